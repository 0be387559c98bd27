// The node on the right: metadata, content, access control list, and what can be done with it.

import { byId, el, get, light, post, throttled } from "./dom.js";
import { base64Of, baseName, bytesOf, hexDump, joinPath, jsonTokens, number, parentOf, size, textOf, time, visible, visibleText } from "./format.js";

const mostHex = 16 * 1024; // bytes that are dumped at first

export class Detail {
  // go is called with a path that the user asks for, find with what to search for.
  constructor(section, go, find) {
    this.section = section;
    this.go = go;
    this.find = find;
    this.root = "/"; // of what is shown at all
    this.path = "";
    this.view = ""; // that the user has chosen for this node: "text", "json" or "hex"
    this.write = false;
    this.refresh = throttled(() => this.load(), 60);
  }

  // show shows the node at path.
  show(path) {
    if (path !== this.path) {
      this.path = path;
      this.view = "";
      this.allHex = false;
      this.node = undefined;
    }
    return this.refresh();
  }

  // changed shows what a message says of the node.
  changed(message) {
    const all = message.changes || [];
    const mine = all.filter((c) => c.path === this.path || (parentOf(c.path) === this.path && c.what !== "changed"));
    if (!this.path || (!mine.length && !(message.total > all.length))) return;
    this.lights = mine.some((c) => c.path === this.path);
    this.refresh();
  }

  async load() {
    const path = this.path;
    if (!path) return;
    try {
      const node = await get("node", { path });
      if (path === this.path) this.render(node);
    } catch (error) {
      if (path === this.path) this.section.replaceChildren(this.heading(path), el("p", { class: "error", role: "alert" }, error.message));
    }
  }

  heading(path) {
    const parts = path === "/" ? [] : path.slice(1).split("/");
    const link = (at, text) => at.length < this.root.length ? text : el("button", { type: "button", class: "link", onclick: () => this.go(at) }, text);
    const links = [link("/", "/")];
    let at = "/";
    parts.forEach((part, i) => {
      at = joinPath(at, part);
      if (i > 0) links.push("/");
      links.push(i === parts.length - 1 ? el("b", {}, visible(part)) : link(at, visible(part)));
    });
    return el("h2", { class: "path" }, ...links);
  }

  render(node) {
    const focus = this.section.contains(document.activeElement) && document.activeElement.dataset.key;
    this.node = node;
    this.bytes = bytesOf(node.data);
    const parts = [this.heading(node.path)];
    if (!node.exists) parts.push(el("p", { class: "quiet" }, "There is no such node."));
    else if (node.denied) parts.push(el("p", { class: "denied" }, "This client has no permission to read the node."));
    else parts.push(this.old(), this.actions(), this.facts(), ...this.content(), ...this.acl());
    this.section.replaceChildren(...parts.filter(Boolean));
    if (focus) this.section.querySelector(`[data-key="${focus}"]`)?.focus();
    if (this.lights) light(this.section.querySelector(".content") || this.section.firstChild, "lit");
    this.lights = false;
  }

  old() {
    return this.node.old && el("p", { class: "warning" }, "As last seen, since it could not be read just now: " + visible(this.node.old));
  }

  facts() {
    const n = this.node;
    const facts = [["version", n.version], ["size", size(n.size)], ["children", number(n.children)]];
    if (n.owner) facts.push(["owner", el("span", {}, "session ",
      el("button", { type: "button", class: "link", "data-key": "owner", title: "Find all nodes of this session", onclick: () => this.find(n.owner) }, n.owner))]);
    if (n.container) facts.push(["kind", "container: deleted when its last child has gone"]);
    if (n.ttl) facts.push(["kind", `deleted when it has no children and has not changed for ${number(n.ttl / 1000)} s`]);
    facts.push(["changed", `${time(n.mtime)}, zxid ${n.mzxid}`], ["created", `${time(n.ctime)}, zxid ${n.czxid}`],
      ["child list", `version ${n.cversion}, zxid ${n.pzxid}`]);
    return el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  }

  content() {
    const text = textOf(this.bytes), tokens = text === null || this.node.cut ? null : jsonTokens(text);
    const views = { text: text !== null || this.node.cut, json: tokens !== null, hex: true };
    const view = views[this.view] ? this.view : tokens ? "json" : text !== null ? "text" : "hex";
    const tabs = Object.entries({ text: "Text", json: "JSON", hex: "Hex" }).map(([key, label]) =>
      el("button", { type: "button", "data-key": key, "aria-pressed": String(key === view), disabled: !views[key],
        title: views[key] ? false : key === "json" ? "It is no JSON object or list" : "It is not UTF-8",
        onclick: () => { this.view = key; this.render(this.node); } }, label));
    const head = el("div", { class: "bar" }, el("h3", {}, "Content"), el("div", { class: "tabs", role: "group", "aria-label": "Show content as" }, ...tabs),
      el("a", { href: "api/content?" + new URLSearchParams({ path: this.path }), download: "" }, "download"));
    if (!this.bytes.length) return [head, el("p", { class: "quiet content" }, "empty")];
    const pre = el("pre", { class: "content", tabindex: 0, "data-key": "content", "aria-label": "Content" });
    const after = this.node.cut ? [el("p", { class: "quiet" }, `The first ${size(this.bytes.length)} of ${size(this.node.size)}.`)] : [];
    if (view === "json") pre.append(...tokens.map(([kind, t]) => (kind ? el("span", { class: kind }, visibleText(t)) : t)));
    else if (view === "text") pre.append(visibleText(text ?? new TextDecoder().decode(this.bytes)));
    else {
      const shown = this.allHex ? this.bytes : this.bytes.subarray(0, mostHex);
      pre.append(hexDump(shown));
      if (shown.length < this.bytes.length) after.push(el("button", { type: "button", onclick: () => { this.allHex = true; this.render(this.node); } }, "show all"));
    }
    return [head, pre, ...after];
  }

  acl() {
    const n = this.node, head = el("h3", {}, "Access");
    if (n.aclError) return [head, el("p", { class: "quiet" }, visible(n.aclError))];
    if (!n.acl) return [];
    const words = { r: "read", w: "write", c: "create", d: "delete", a: "admin" };
    return [head, el("table", { class: "acl" }, el("thead", {}, el("tr", {}, ...["scheme", "who", "may"].map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", {}, ...n.acl.map((a) => el("tr", {}, el("td", {}, visible(a.scheme)), el("td", { class: "mono" }, visible(a.id)),
        el("td", {}, [...a.perms].map((p) => words[p]).join(", ") || "nothing")))))];
  }

  actions() {
    if (!this.write) return null;
    const text = textOf(this.bytes);
    const why = this.node.cut ? "it is too large" : text === null ? "it is not text" : text.includes("\r") ? "it has carriage returns, which a field would drop" : "";
    return el("div", { class: "actions" },
      el("button", { type: "button", "data-key": "edit", disabled: !!why, title: why ? "Not here: " + why : false, onclick: () => this.edit(text) }, "Edit"),
      el("button", { type: "button", "data-key": "create", onclick: () => this.create() }, "Create child"),
      el("button", { type: "button", "data-key": "delete", disabled: this.node.children > 0 || this.path === "/",
        title: this.node.children > 0 ? "It has children" : false, onclick: () => this.remove() }, "Delete"));
  }

  edit(text) {
    const { path, version } = this.node;
    const field = el("textarea", { rows: 14, spellcheck: "false", "aria-label": "Content" });
    field.value = text;
    ask(`Content of ${visible(path)}`, "Save", [field], () => post("set", { path, data: base64Of(field.value), version }));
  }

  create() {
    const { path } = this.node;
    const name = el("input", { type: "text", required: true, spellcheck: "false", autocomplete: "off" });
    const sequential = el("input", { type: "checkbox" });
    const field = el("textarea", { rows: 8, spellcheck: "false" });
    ask(`New node below ${visible(path)}`, "Create",
      [el("label", {}, "Name ", name), el("label", {}, sequential, " with a number that the server appends"), el("label", {}, "Content ", field)],
      async () => this.go((await post("create", { path: joinPath(path, name.value), data: base64Of(field.value), sequential: sequential.checked })).path));
  }

  remove() {
    const { path, version } = this.node;
    ask(`Delete ${visible(path)}?`, "Delete", [el("p", {}, `It has version ${version} and ${size(this.node.size)}. This cannot be undone.`)], async () => {
      await post("delete", { path, version });
      this.go(parentOf(path));
    });
  }
}

// ask shows a question, and closes when run has done what is asked for.
function ask(question, ok, fields, run) {
  const dialog = byId("dialog"), form = dialog.firstElementChild;
  const [, body, error, buttons] = form.children, main = buttons.lastElementChild;
  form.firstElementChild.textContent = question;
  body.replaceChildren(...fields);
  error.textContent = "";
  main.textContent = ok;
  main.disabled = false;
  form.onsubmit = async (event) => {
    if (event.submitter?.value === "cancel") return;
    event.preventDefault();
    main.disabled = true;
    error.textContent = "";
    try {
      await run();
      dialog.close();
    } catch (failure) {
      error.textContent = failure.message;
    }
    main.disabled = false;
  };
  dialog.showModal();
  (body.querySelector("input, textarea") || main).focus();
}
