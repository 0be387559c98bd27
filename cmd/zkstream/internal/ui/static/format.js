// How names and content become text that can be shown. Nothing here makes HTML.

const hidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
const hiddenInText = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
const escape = (c) => "\\u{" + c.codePointAt(0).toString(16) + "}";

// visible returns a name with what cannot be seen, or would turn the text around it, as escapes.
export const visible = (name) => name.replace(hidden, escape);

// visibleText is visible for content, which may have lines and tabs.
export const visibleText = (text) => text.replace(/\r\n/g, "\n").replace(hiddenInText, escape);

export const baseName = (path) => path.slice(path.lastIndexOf("/") + 1) || "/";
export const parentOf = (path) => path.slice(0, path.lastIndexOf("/")) || "/";
export const joinPath = (parent, name) => (parent === "/" ? "/" : parent + "/") + name;

export const number = (n) => n.toLocaleString("en");
export const plural = (n, one, many) => number(n) + " " + (n === 1 ? one : many);

export function size(bytes) {
  if (bytes < 1000) return plural(bytes, "byte", "bytes");
  if (bytes < 1e6) return (bytes / 1e3).toPrecision(3) + " kB";
  return (bytes / 1e6).toPrecision(3) + " MB";
}

export function time(ms) {
  if (!ms) return "–";
  const t = new Date(ms);
  return isNaN(t) ? "–" : t.toISOString().replace("T", " ").replace("Z", " UTC");
}

export const clock = () => new Date().toTimeString().slice(0, 8);

// bytesOf decodes base64.
export function bytesOf(base64) {
  const raw = atob(base64 || "");
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
}

// base64Of encodes a text as UTF-8 in base64.
export function base64Of(text) {
  let raw = "";
  for (const b of new TextEncoder().encode(text)) raw += String.fromCharCode(b);
  return btoa(raw);
}

// textOf returns what bytes say in UTF-8, or null if that is not what they are.
export function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

// jsonTokens returns a JSON text with line breaks, as [class, text] pairs, or null if it is no object or array. The tokens stay as they
// are: a number that JavaScript would round is shown as it was written.
export function jsonTokens(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (value === null || typeof value !== "object") return null;
  const tokens = [];
  const put = (kind, s) => tokens.push([kind, s]);
  let depth = 0;
  const line = () => put("", "\n" + "  ".repeat(depth));
  const all = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) || [];
  all.forEach((token, i) => {
    const empty = (token === "{" && all[i + 1] === "}") || (token === "[" && all[i + 1] === "]");
    switch (token) {
      case "{":
      case "[":
        put("", token);
        depth++;
        if (!empty) line();
        break;
      case "}":
      case "]":
        depth--;
        if (all[i - 1] !== (token === "}" ? "{" : "[")) line();
        put("", token);
        break;
      case ",":
        put("", token);
        line();
        break;
      case ":":
        put("", ": ");
        break;
      default:
        put(token[0] !== '"' ? "literal" : all[i + 1] === ":" ? "key" : "string", token);
    }
  });
  return tokens;
}

// hexDump returns lines of an offset, sixteen bytes and what is printable of them.
export function hexDump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = Array.from(bytes.subarray(at, at + 16));
    const hex = part.map((b) => b.toString(16).padStart(2, "0"));
    const left = hex.slice(0, 8).join(" "), right = hex.slice(8).join(" ");
    const text = part.map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : ".")).join("");
    lines.push(at.toString(16).padStart(8, "0") + "  " + left.padEnd(23) + "  " + right.padEnd(23) + "  " + text);
  }
  return lines.join("\n");
}
