// Controls, theme, keys, and the first drawing.
function fillChoice(id, choices) {
  byId(id).replaceChildren(...choices.map(([value, text]) => make("option", { value }, text)));
}

function fillChoices() {
  const keys = data.columns.map((c) => [c.key, c.short]);
  const several = new Set(data.runs.map((r) => r.experiment)).size > 1 ? [["experiment", "experiment"]] : [];
  const repeated = new Set(data.runs.map((r) => r.alike)).size < data.runs.length ? [["seeds", "seeds (all else alike)"]] : [];
  fillChoice("color", [["", "each run"], ...repeated, ...several, ...keys, ["status", "status"]]);
  fillChoice("group", [["", "none"], ...repeated, ...several, ...keys, ["status", "status"]]);
  fillChoice("facet", [["", "one panel"], ...several, ...keys]);
  steps = [...new Set(data.grids.flatMap((grids) => grids.map(([kimg]) => kimg)))].sort((a, b) => a - b);
  byId("kimg").max = steps.length - 1;
  for (const [id, there] of [["samples", steps.length], ["sweep", data.sweep], ["curves", curveNames().length]]) {
    byId(id).hidden = !there;
    document.querySelector(`nav a[href="#${id}"]`).hidden = !there;
  }
}

// id of a control, key of the view
const CONTROLS = { filter: "filter", value: "value", at: "at", color: "color", group: "group", x: "x", smooth: "smooth", "log-x": "logx", "log-y": "logy", crop: "crop", facet: "facet", film: "film" };
function showControls() {
  for (const [id, key] of Object.entries(CONTROLS)) {
    const control = byId(id);
    if (control.type === "checkbox") control.checked = view[key];
    else if (control !== document.activeElement || control.tagName === "SELECT") control.value = view[key];
  }
  byId("at-label").hidden = view.value !== "at";
}

function connect() {
  for (const [id, key] of Object.entries(CONTROLS)) {
    const control = byId(id);
    control.addEventListener(control.tagName === "SELECT" || control.type === "checkbox" ? "change" : "input", () => {
      const value = control.type === "checkbox" ? control.checked : typeof DEFAULTS[key] === "number" ? Number(control.value) : control.value;
      const start = key === "value" && value === "at" && !view.at ? { at: Math.max(...data.runs.map((r) => r.kimg ?? 0)) } : {};
      update({ [key]: value, ...start });
      showControls();
    });
  }
  byId("share").addEventListener("click", (event) => copy(location.href, event.target));
  byId("reset").addEventListener("click", () => { update(DEFAULTS); showControls(); });
  byId("help").addEventListener("click", () => byId("keys").showModal());
  document.querySelectorAll("[data-close]").forEach((button) => button.addEventListener("click", () => button.closest("dialog").close()));
  document.querySelectorAll("nav a").forEach((link) => link.addEventListener("click", (event) => {
    event.preventDefault(); // the address holds the view
    document.querySelector(link.getAttribute("href")).scrollIntoView({ block: "start" });
  }));
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    byId("filter").focus();
  });
  addEventListener("hashchange", () => { readHash(); repair(); showControls(); redraw(null); });
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  redraw(null);
}
const wanted = matchMedia("(prefers-color-scheme: dark)");
wanted.addEventListener("change", () => setTheme(wanted.matches ? "dark" : "light"));
byId("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));

// What an address names and these runs do not have is the default.
function repair() {
  for (const [id, key] of Object.entries(CONTROLS)) {
    const control = byId(id);
    if (control.tagName === "SELECT" && ![...control.options].some((option) => option.value === view[key])) view[key] = DEFAULTS[key];
  }
  if (!columnsShown().some((column) => column.name === view.sort.replace(/^-/, ""))) view.sort = DEFAULTS.sort;
  if (!data.curves[view.curve]) view.curve = DEFAULTS.curve;
}

function begin() {
  byId("heading").textContent = document.title = data.heading;
  fillChoices();
  repair();
  showControls();
  drawRefusals();
  drawCards();
  setTheme(document.documentElement.dataset.theme ?? (wanted.matches ? "dark" : "light"));
}

// Served: ask for newer data while somebody looks.
async function follow() {
  let tag = "";
  for (;;) {
    await new Promise((done) => setTimeout(done, 3000));
    if (document.hidden) continue;
    try {
      const answer = await fetch("data.json", { headers: tag ? { "If-None-Match": tag } : {} });
      document.documentElement.classList.remove("away");
      if (answer.status !== 200) continue;
      const isFirst = !tag;
      tag = answer.headers.get("ETag");
      const newer = await answer.json();
      if (isFirst && JSON.stringify(newer) === JSON.stringify(data)) continue;
      data = newer;
      begin();
    } catch { // the server has ended, or is busy
      document.documentElement.classList.add("away");
    }
  }
}

readHash();
connect();
begin();
sections.filter((section) => !section.always).forEach((section) => watcher.observe(byId(section.id)));
if ("live" in document.documentElement.dataset) follow();
