// What ties the parts of the page together: the stream of events, the address, the search.

import { byId, el, get, throttled } from "./dom.js";
import { clock, plural, visible } from "./format.js";
import { Detail } from "./detail.js";
import { Tree } from "./tree.js";

const mostListed = 200; // changes

let current = null; // the newest message
let source = null; // the stream of events, while the page is to be seen
let failed = ""; // why the stream does not work

const tree = new Tree(byId("tree"), selected, (error) => problem(error.message));
const detail = new Detail(byId("detail"), go, find);

function selected(path) {
  const hash = "#" + encodeURIComponent(path);
  if (location.hash !== hash) history.pushState(null, "", hash);
  document.title = visible(path) + " – zkstream";
  detail.show(path);
}

// go shows the node at path.
async function go(path) {
  clearSearch();
  if (!(await tree.reveal(path))) {
    detail.show(path);
    document.title = visible(path) + " – zkstream";
  }
}

const addressed = () => {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
};
addEventListener("popstate", () => addressed() && go(addressed()));

// The stream of events. A tab that nobody sees has none: browsers keep only six connections to one server.

function connect() {
  if (source) return;
  source = new EventSource("api/events");
  source.onmessage = (event) => {
    failed = "";
    receive(JSON.parse(event.data));
  };
  source.onerror = () => {
    failed = "This page has lost its own server, and tries to reach it again.";
    banner();
    if (source?.readyState === EventSource.CLOSED) {
      disconnect();
      setTimeout(() => document.hidden || connect(), 2000);
    }
  };
}

function disconnect() {
  source?.close();
  source = null;
}

let hiding = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(disconnect, 5000);
  else connect();
});

async function receive(message) {
  const first = !current;
  current = message;
  const { state, server, id } = message.session;
  byId("state").textContent = state;
  byId("state").className = "state " + state;
  byId("server").textContent = visible(server);
  byId("session").title = "session " + id;
  byId("count").textContent = message.ready ? plural(message.nodes, "node", "nodes") : "reading…";
  byId("mode").textContent = message.write ? "writable" : "read-only";
  banner();
  detail.root = message.root;
  if (detail.write !== message.write) {
    detail.write = message.write;
    detail.refresh();
  }
  if (message.begin) {
    await tree.begin(message.root);
    if (first) {
      const path = addressed();
      if (path) go(path);
    } else detail.refresh();
    return;
  }
  list(message);
  tree.changed(message);
  detail.changed(message);
  if (message.total && byId("query").value) searchAgain();
}

function problem(text) {
  failed = text;
  banner();
}

// banner says what keeps the page from being up to date.
function banner() {
  let text = failed;
  if (!text && current?.error) text = "The tree is not followed: " + current.error + ". Begin further down: zkstream ui PATH.";
  else if (!text && current && current.session.state !== "connected") text = "No ZooKeeper server answers. What is shown may be old.";
  byId("banner").textContent = visible(text);
  byId("banner").hidden = !text;
}

// The list of changes.

function list(message) {
  if (!message.total) return;
  const ol = byId("changes").querySelector("ol");
  const at = clock();
  const items = (message.changes || []).map((change) => el("li", { class: change.what },
    el("time", {}, at), el("span", { class: "what" }, change.what),
    el("button", { type: "button", class: "link path", onclick: () => go(change.path) }, visible(change.path))));
  const more = message.total - items.length;
  if (more > 0) items.push(el("li", {}, el("time", {}, at), el("span", { class: "what" }, `and ${plural(more, "other", "others")}`)));
  ol.prepend(...items.reverse());
  while (ol.children.length > mostListed) ol.lastElementChild.remove();
}

// The search.

const query = byId("query"), results = byId("results");
let asked = 0;

async function search() {
  const q = query.value.trim(), mine = ++asked;
  if (!q) return clearSearch();
  let found;
  try {
    found = await get("search", { q });
  } catch (error) {
    return problem(error.message);
  }
  if (mine !== asked) return;
  results.hidden = false;
  byId("tree").hidden = true;
  const some = found.total > found.rows.length ? `, the first ${found.rows.length}` : "";
  results.querySelector("h2").textContent = found.total ? plural(found.total, "node", "nodes") + some : "Nothing found";
  results.querySelector("ul").replaceChildren(...found.rows.map((row) => el("li", {},
    el("button", { type: "button", class: "link path", onclick: () => go(row.path) }, visible(row.path)),
    row.owner && el("span", { class: "badge ephemeral" }, "ephemeral"))));
}

const searchAgain = throttled(search, 500);

function clearSearch() {
  asked++;
  query.value = "";
  results.hidden = true;
  byId("tree").hidden = false;
}

// find searches for q.
function find(q) {
  query.value = q;
  search();
}

query.addEventListener("input", throttled(search, 150));
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  results.querySelector("button")?.focus();
});
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    query.focus();
  } else if (event.key === "Escape" && query.value && !byId("dialog").open) {
    clearSearch();
    const node = tree.nodes.get(tree.selected) || tree.nodes.get(tree.root);
    if (node) tree.focus(node);
  }
});

connect();
