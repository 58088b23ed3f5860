// One run's card, the keys that differ, and the metric cards.
const MOST_COLUMNS = 40;

// As a shell takes it.
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // a page from a file may not be trusted with the clipboard
    const area = make("textarea", {}, text);
    (button.closest("dialog") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = button.textContent;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = before; }, 1200);
}

function openRun(i) {
  const run = data.runs[i];
  const path = quoted(`run=${run.path}`);
  const commands = { reproduce: `trompe reproduce ${path}`, resume: `trompe train ${path}`, sample: `trompe sample ${path}`, note: `trompe note ${quoted(run.path)} "..."` };
  const events = [...run.events].sort((a, b) => a[0] - b[0]).map(([kimg, word]) => `${word} at ${short(kimg)} kimg`);
  const facts = [["folder", run.path], ["status", run.error ? `${run.status}: ${run.error}` : run.status], ["started", run.started],
    ["seen", run.kimg === null ? "" : `${short(run.kimg)} kimg in ${short(run.minutes)} minutes on ${run.devices} device${run.devices === 1 ? "" : "s"}`],
    ["events", events.join(", ")], ...data.metrics.map((m) => [m.name, run.best[m.name] === undefined ? "" : `best ${short(run.best[m.name])}, last ${short(run.last[m.name])}`]),
    ...data.columns.map((c) => [c.key, short(c.values[i])])].filter(([, text]) => text !== "");
  byId("run").replaceChildren(...[
    make("h2", { id: "run-title" }, run.name, run.name === run.id ? "" : make("span", { class: "id" }, ` ${run.id}`)),
    run.notes ? make("pre", { class: "notes" }, run.notes) : null,
    make("div", { class: "commands" }, ...Object.entries(commands).map(([name, text]) => make("div", {}, make("code", {}, text),
      make("button", { type: "button", "aria-label": `copy the command that does ${name}`, onclick: (event) => copy(text, event.target) }, `copy ${name}`)))),
    make("table", { class: "facts" }, make("tbody", {}, ...facts.map(([name, text]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, text))))),
    make("button", { type: "button", onclick: () => byId("run").close() }, "Close")].filter((part) => part !== null));
  byId("run").showModal();
}

function drawDiff() {
  if (!data.columns.length) { byId("diff").replaceChildren(make("p", {}, "Nothing: all have the same config.")); return; }
  const indices = shown.slice(0, MOST_COLUMNS);
  const head = make("tr", {}, make("th", { scope: "col" }, "key"), ...indices.map((i) => make("th", { scope: "col" }, titleOf(i))));
  const body = data.columns.map((column) => make("tr", {}, make("th", { scope: "row" }, make("code", {}, column.key),
    column.followers.length ? make("details", { class: "followers" }, make("summary", {}, `and ${column.followers.length} that follow`), ...column.followers.map((f) => make("div", {}, make("code", {}, f)))) : null),
  ...indices.map((i) => make("td", {}, column.values[i] === null ? "-" : short(column.values[i])))));
  const more = shown.length - indices.length;
  byId("diff").replaceChildren(make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body))),
    more > 0 ? make("p", { class: "hint" }, `and ${more} more runs: filter to see them`) : "");
}

function drawCards() {
  const cards = data.cards.map((card) => {
    const owners = card.labels.length > 4 ? `${card.labels.length} runs` : card.labels.join(", ");
    return make("details", {}, make("summary", {}, `${card.what}: ${owners}`), make("pre", {}, card.text));
  });
  byId("card-list").replaceChildren(...(cards.length ? cards : [make("p", { class: "hint" }, "No run has measured anything.")]));
}
sections.push({ id: "config", uses: CHOOSES, draw: drawDiff });
