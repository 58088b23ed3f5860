// What is looked at: kept in the address, so that a link shows the same.
const DEFAULTS = {
  filter: "", sort: "", value: "best", at: 0, color: "", group: "", hidden: "", x: "kimg", smooth: 0,
  logx: false, logy: false, crop: false, curve: "", facet: "", kimg: -1, film: false, light: "", brush: "",
};
const view = { ...DEFAULTS };
const sections = []; // {id, uses: keys of the view, draw}
let rows = []; // numbers of the runs in the table, in its order
let shown = []; // those of them that are ticked
let colorOf = paint;
let filterFault = "";

function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  Object.assign(view, DEFAULTS);
  for (const [key, usual] of Object.entries(DEFAULTS)) {
    const text = given.get(key);
    if (text === null) continue;
    if (typeof usual === "number") view[key] = isNaN(Number(text)) ? usual : Number(text);
    else view[key] = typeof usual === "boolean" ? text === "true" : text;
  }
}

function writeHash() {
  const said = new URLSearchParams();
  for (const [key, usual] of Object.entries(DEFAULTS)) if (view[key] !== usual) said.set(key, view[key]);
  const text = said.toString();
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch {
    location.hash = text; // where history is closed to files
  }
}

// Change the view, and draw what depends on it.
function update(changes) {
  const changed = Object.keys(changes).filter((key) => view[key] !== changes[key]);
  if (!changed.length) return;
  Object.assign(view, changes);
  writeHash();
  redraw(changed);
}

const CHOOSES = ["filter", "sort", "value", "at", "hidden", "group", "brush"]; // which runs, in what order
function redraw(changed) {
  if (changed === null || changed.includes("color") || changed.includes("group")) colorOf = makeColors();
  if (changed === null || changed.some((key) => CHOOSES.includes(key))) choose();
  for (const section of sections) {
    if (changed === null || changed.some((key) => section.uses.includes(key))) {
      section.stale = true;
      if (section.visible || section.always) refresh(section);
    }
  }
}

function refresh(section) {
  if (!section.stale) return;
  section.stale = false;
  section.draw();
}

// A section is drawn when it comes near the window.
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const section = sections.find((s) => s.id === entry.target.id);
    section.visible = entry.isIntersecting;
    if (section.visible) refresh(section);
  }
}, { rootMargin: "400px" });

function choose() {
  const [passes, fault] = parseFilter(view.filter);
  filterFault = fault;
  const brushed = brushTest();
  const hidden = new Set(view.hidden.split(",").filter(Boolean));
  rows = sorted(data.runs.map((_, i) => i).filter((i) => passes(i) && brushed(i)));
  shown = rows.filter((i) => !hidden.has(data.runs[i].label));
}

// The chosen order; without one the best run is first.
function orderNow() {
  const wanted = judge();
  return view.sort || (wanted ? `${wanted.better === "higher" ? "-" : ""}${wanted.name}` : "");
}

// What has no value comes last.
function sorted(indices) {
  const order = orderNow();
  const name = order.replace(/^-/, "");
  if (!name || !isRanked(name)) return grouped(indices);
  const sign = order.startsWith("-") ? -1 : 1;
  const values = new Map(indices.map((i) => [i, lookUp(i, name)]));
  const missing = (v) => v === null || v === undefined || v === "";
  return grouped([...indices].sort((a, b) => {
    const [x, y] = [values.get(a), values.get(b)];
    if (missing(x) || missing(y)) return missing(x) - missing(y);
    if (typeof x === "number" && typeof y === "number") return sign * (x - y);
    return sign * String(x).localeCompare(String(y), "en", { numeric: true });
  }));
}

// Runs of a group stand together, groups in the order of their first runs.
function grouped(indices) {
  return view.group ? [...bySame(indices, view.group).values()].flat() : indices;
}

function bySame(indices, name) {
  const groups = new Map();
  for (const i of indices) {
    const value = groupValue(i, name);
    if (!groups.has(value)) groups.set(value, []);
    groups.get(value).push(i);
  }
  return groups;
}
