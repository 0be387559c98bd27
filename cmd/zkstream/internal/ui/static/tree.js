// The tree on the left: pages of children of the nodes that are open.

import { el, get, light, throttled } from "./dom.js";
import { baseName, joinPath, number, parentOf, plural, visible } from "./format.js";

const perPage = 100;

export class Tree {
  // ul is the element; onSelect is called with the path that the user selects, or "" if it is gone.
  constructor(ul, onSelect, onError) {
    this.ul = ul;
    this.onSelect = onSelect;
    this.onError = onError;
    this.nodes = new Map(); // by path: those that have an element
    this.root = "/";
    this.selected = "";
    this.fresh = new Set(); // paths that have come, and have no element yet
    this.refresh = throttled(() => this.loadDirty(), 60);
    ul.addEventListener("keydown", (event) => this.key(event));
    ul.addEventListener("click", (event) => this.click(event));
  }

  // begin shows the tree anew from root, with what was open of it.
  async begin(root) {
    this.root = root;
    if (!this.nodes.has(root)) {
      this.nodes.clear();
      this.ul.replaceChildren(this.make({ name: baseName(root), path: root, children: 0 }, 1).li);
      this.nodes.get(root).li.tabIndex = 0;
      this.nodes.get(root).open = true;
    }
    this.reload();
  }

  // reload asks anew for all that is open.
  reload() {
    for (const node of this.nodes.values()) {
      node.seq = 0; // the server may count anew
      if (node.open) node.dirty = Infinity;
    }
    return this.refresh();
  }

  make(row, level) {
    const node = { path: row.path, row, level, open: false, from: 0, total: 0, seq: 0, dirty: 0 };
    node.label = el("div", { class: "row" });
    node.li = el("li", { role: "treeitem", "aria-level": level, tabindex: -1 }, node.label);
    node.li.dataset.path = row.path;
    this.nodes.set(row.path, node);
    this.show(node, row);
    return node;
  }

  // show has the element of a node say what row does.
  show(node, row) {
    node.row = row;
    const li = node.li, children = row.children > 0;
    if (children || node.open) li.setAttribute("aria-expanded", node.open);
    else li.removeAttribute("aria-expanded");
    if (node.path === this.selected) li.setAttribute("aria-selected", "true");
    else li.removeAttribute("aria-selected");
    const badges = [];
    if (row.denied) badges.push(el("span", { class: "badge denied" }, "no permission"));
    if (row.owner) badges.push(el("span", { class: "badge ephemeral", title: "of session " + row.owner }, "ephemeral"));
    if (row.container) badges.push(el("span", { class: "badge" }, "container"));
    if (row.ttl) badges.push(el("span", { class: "badge" }, "TTL"));
    const name = visible(baseName(node.path));
    node.label.replaceChildren(
      el("span", { class: "twist", "aria-hidden": "true" }, children ? (node.open ? "▾" : "▸") : ""),
      el("span", { class: "name" + (row.owner ? " ephemeral" : "") }, node.path === this.root ? visible(node.path) : name),
      ...badges,
      children ? el("span", { class: "quiet" }, number(row.children)) : "",
    );
    const words = badges.map((b) => b.textContent);
    if (children) words.push(plural(row.children, "child", "children"));
    li.setAttribute("aria-label", [name, ...words].join(", "));
  }

  async loadDirty() {
    const dirty = [...this.nodes.values()].filter((n) => n.open && n.dirty > n.seq);
    await Promise.all(dirty.map((n) => this.load(n)));
    this.fresh.clear();
  }

  // load asks for the page of children that a node shows, or for that on which the child is that at names.
  async load(node, at) {
    const wanted = node.dirty;
    if (wanted === Infinity) node.dirty = 0; // of whatever state the answer is
    try {
      const query = { path: node.path, from: node.from, limit: perPage };
      if (at) query.at = at;
      this.fill(node, await get("children", query));
    } catch (error) {
      this.onError(error);
    }
  }

  // fill shows a page of children.
  fill(node, page) {
    if (this.nodes.get(node.path) !== node || !node.open) return;
    node.seq = Math.max(node.seq, page.seq);
    node.total = page.total;
    node.from = page.from;
    this.show(node, page.node);
    if (!node.group) node.li.append((node.group = el("ul", { role: "group" })));
    const focused = document.activeElement && node.group.contains(document.activeElement);
    const keep = new Set(page.rows.map((row) => row.path));
    for (const li of [...node.group.children]) if (li.dataset.path === undefined || !keep.has(li.dataset.path)) this.drop(li);
    let place = node.group.firstChild;
    for (const row of page.rows) {
      let child = this.nodes.get(row.path);
      if (child) this.show(child, row);
      else {
        child = this.make(row, node.level + 1);
        if (this.fresh.has(row.path)) light(child.label, "lit");
      }
      if (child.li === place) place = place.nextSibling;
      else node.group.insertBefore(child.li, place);
    }
    if (page.total > page.rows.length) node.group.prepend(this.pager(node, page));
    if (focused && !node.group.contains(document.activeElement)) this.focus(node);
  }

  // drop takes an element out, and all that is below it.
  drop(li) {
    for (const e of [li, ...li.querySelectorAll("[data-path]")]) {
      if (this.nodes.get(e.dataset.path)?.li === e) this.nodes.delete(e.dataset.path);
    }
    li.remove();
  }

  pager(node, page) {
    const last = Math.floor((page.total - 1) / perPage) * perPage, pages = last / perPage + 1;
    const go = (from) => async () => {
      node.from = Math.min(Math.max(0, from), last);
      await this.load(node);
      this.focus(node);
    };
    const button = (text, label, from, disabled) => el("button", { type: "button", "aria-label": label, title: label, disabled, onclick: go(from) }, text);
    const field = el("input", { type: "number", min: 1, max: pages, value: page.from / perPage + 1, "aria-label": "Page of " + pages });
    field.addEventListener("change", () => go((Math.floor(field.valueAsNumber || 1) - 1) * perPage)());
    return el("li", { role: "none", class: "pager" },
      button("«", "First page", 0, page.from === 0), button("‹", "Page before", page.from - perPage, page.from === 0),
      field, el("span", { class: "quiet" }, `${number(page.from + 1)}–${number(page.from + page.rows.length)} of ${number(page.total)}`),
      button("›", "Next page", page.from + perPage, page.from >= last), button("»", "Last page", last, page.from >= last));
  }

  // changed shows what a message says has changed.
  changed(message) {
    const all = message.changes || [];
    for (const change of all) {
      const node = this.nodes.get(change.path), parent = this.nodes.get(parentOf(change.path));
      if (node && change.node) {
        this.show(node, change.node);
        light(node.label, "lit");
      } else if (node) {
        node.label.classList.add("gone");
      } else if (change.what === "added") this.fresh.add(change.path);
      if (parent && change.path !== this.root && change.what !== "changed") {
        if (parent.open) parent.dirty = Math.max(parent.dirty, message.seq);
        this.show(parent, { ...parent.row, children: Math.max(0, parent.row.children + (change.what === "added" ? 1 : -1)) });
      }
      if (!node) this.lightAbove(change.path);
      if (change.path === this.root) this.reload();
    }
    if (message.total > all.length) this.reload();
    else this.refresh();
  }

  // lightAbove lights the lowest node up that is above a path and to be seen.
  lightAbove(path) {
    while (path !== "/" && path !== this.root) {
      path = parentOf(path);
      const node = this.nodes.get(path);
      if (node) return light(node.label, "lit-below");
    }
  }

  async open(node, at) {
    node.open = true;
    this.show(node, node.row);
    await this.load(node, at);
  }

  close(node) {
    node.open = false;
    for (const li of node.group ? [...node.group.children] : []) this.drop(li);
    node.group?.remove();
    node.group = undefined;
    this.show(node, node.row);
  }

  toggle(node) {
    if (node.open) this.close(node);
    else if (node.row.children > 0) this.open(node);
  }

  select(node) {
    const before = this.nodes.get(this.selected);
    this.selected = node.path;
    if (before) this.show(before, before.row);
    this.show(node, node.row);
    this.focus(node);
    this.onSelect(node.path);
  }

  // reveal opens what is above a path, and selects it. It reports whether there is such a node.
  async reveal(path) {
    let node = this.nodes.get(this.root);
    if (!node || (path !== this.root && !path.startsWith(this.root === "/" ? "/" : this.root + "/"))) return false;
    const names = path === this.root ? [] : path.slice(this.root === "/" ? 1 : this.root.length + 1).split("/");
    for (const name of names) {
      const next = joinPath(node.path, name);
      if (!node.open || !this.nodes.has(next)) await this.open(node, name);
      node = this.nodes.get(next);
      if (!node) return false;
    }
    this.select(node);
    node.label.scrollIntoView({ block: "nearest" });
    return true;
  }

  focus(node) {
    for (const e of this.ul.querySelectorAll('[role=treeitem][tabindex="0"]')) e.tabIndex = -1;
    node.li.tabIndex = 0;
    node.li.focus({ preventScroll: true });
    node.label.scrollIntoView({ block: "nearest" });
  }

  click(event) {
    const label = event.target.closest(".row");
    if (!label) return;
    const node = this.nodes.get(label.parentElement.dataset.path);
    if (event.target.closest(".twist")) this.toggle(node);
    else this.select(node);
  }

  key(event) {
    const li = event.target;
    if (li.getAttribute("role") !== "treeitem" || event.altKey || event.ctrlKey || event.metaKey) return;
    const node = this.nodes.get(li.dataset.path);
    const items = [...this.ul.querySelectorAll("[role=treeitem]")], i = items.indexOf(li);
    const focus = (e) => e && this.focus(this.nodes.get(e.dataset.path));
    switch (event.key) {
      case "ArrowDown": focus(items[i + 1]); break;
      case "ArrowUp": focus(items[i - 1]); break;
      case "Home": focus(items[0]); break;
      case "End": focus(items.at(-1)); break;
      case "ArrowRight":
        if (!node.open) this.toggle(node);
        else focus(node.group?.querySelector("[role=treeitem]"));
        break;
      case "ArrowLeft":
        if (node.open) this.close(node);
        else focus(li.parentElement.closest("[role=treeitem]"));
        break;
      case "Enter":
      case " ": this.select(node); break;
      default: return;
    }
    event.preventDefault();
  }
}
