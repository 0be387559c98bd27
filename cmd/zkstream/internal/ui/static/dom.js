// Small helpers. Whatever comes from ZooKeeper gets into the page by these, as text.

// el makes an element. Attributes whose value is false are left out; on... are listeners; children are elements or texts.
export function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === undefined || value === null) continue;
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else e.setAttribute(key, value === true ? "" : String(value));
  }
  e.append(...children.filter((c) => c !== false && c !== undefined && c !== null));
  return e;
}

export const byId = (id) => document.getElementById(id);

// light lets an element light up for a moment.
const lit = new WeakMap();
export function light(e, kind) {
  clearTimeout(lit.get(e));
  e.classList.remove("lit", "lit-below");
  void e.offsetWidth; // so that the animation begins anew
  e.classList.add(kind);
  lit.set(e, setTimeout(() => e.classList.remove(kind), 2500));
}

// get asks the server for JSON.
export async function get(path, query = {}) {
  return answer(await fetch("api/" + path + "?" + new URLSearchParams(query)));
}

// post has the server change something.
export async function post(path, body) {
  return answer(await fetch("api/" + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
}

async function answer(response) {
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Error(text.trim() || response.statusText);
  }
  if (!response.ok) throw new Error(body.error);
  return body;
}

// throttled returns a function that calls fn at once, but waits for it to end and a pause before the next call, and makes one of all
// that come meanwhile.
export function throttled(fn, pause) {
  let running = false, again = false;
  return async function call() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      await fn();
    } finally {
      setTimeout(() => {
        running = false;
        if (again) {
          again = false;
          call();
        }
      }, pause);
    }
  };
}
