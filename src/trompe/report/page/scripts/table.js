// The table of runs.
const narrow = matchMedia("(max-width: 600px)");
function columnsShown() {
  const metrics = data.metrics.map((m) => ({ name: m.name, title: `${m.name} ${m.better === "higher" ? "↑" : "↓"}`, metric: m }));
  const first = narrow.matches ? metrics.filter((m) => m.name === judge()?.name) : []; // beside the name, where little is seen
  return [
    { name: "name", title: "run" }, ...first, { name: "status", title: "status" },
    ...metrics.filter((m) => !first.includes(m)),
    ...data.columns.map((c) => ({ name: c.key, title: c.short, column: c })),
    { name: "kimg", title: "kimg" }, { name: "minutes", title: "minutes" }, { name: "started", title: "started" },
  ];
}

// What decides which run is the best: a sweep's objective, or the first metric that can be ranked.
function judge() {
  const wanted = data.sweep ? data.sweep.objectives[0] : data.metrics.find((m) => m.groups.length === 1);
  return wanted && isRanked(wanted.name) ? wanted : null;
}

function bestRun() {
  const wanted = judge();
  if (!wanted) return -1;
  const sign = wanted.better === "higher" ? -1 : 1;
  const having = rows.filter((i) => typeof lookUp(i, wanted.name) === "number");
  return having.length < 2 ? -1 : having.reduce((a, b) => (sign * lookUp(b, wanted.name) < sign * lookUp(a, wanted.name) ? b : a));
}

function drawTable() {
  const columns = columnsShown();
  const all = make("input", {
    type: "checkbox", id: "all", "aria-label": "show all runs",
    onchange: (event) => update({ hidden: event.target.checked ? "" : data.runs.map((r) => r.label).join(",") }),
  });
  all.checked = shown.length === rows.length;
  all.indeterminate = shown.length > 0 && shown.length < rows.length;
  const heads = columns.map((column) => {
    const refused = column.metric && column.metric.groups.length > 1;
    const sort = orderNow();
    const order = sort === `-${column.name}` ? "descending" : sort === column.name ? "ascending" : "none";
    const followers = column.column?.followers ?? [];
    const hint = refused ? "measured by different protocols: not ranked"
      : [column.name, followers.length ? `and with it ${followers.join(", ")}` : ""].filter(Boolean).join(" ");
    const button = make("button", {
      type: "button", disabled: refused, title: hint,
      onclick: () => {
        update({ sort: order === "ascending" ? `-${column.name}` : column.name });
        byId("runs").querySelectorAll("thead button")[columns.indexOf(column)].focus();
      },
    }, column.title);
    const isNumber = rows.some((i) => typeof lookUp(i, column.name) === "number");
    return make("th", { scope: "col", "aria-sort": order, class: isNumber ? "number" : null }, button);
  });
  byId("runs").tHead.replaceChildren(make("tr", {}, make("th", { scope: "col" }, all), ...heads));
  for (const column of columns) if (column.metric || column.column) column.digits = digitsOf(column.name);
  const best = bestRun();
  const ticked = new Set(shown);
  const body = [];
  const groups = view.group ? bySame(rows, view.group) : new Map([["", rows]]);
  for (const indices of groups.values()) {
    if (view.group) body.push(groupRow(indices, columns));
    body.push(...indices.map((i) => runRow(i, columns, ticked.has(i), i === best)));
  }
  byId("runs").tBodies[0].replaceChildren(...(body.length ? body : [emptyRow(columns.length + 1)]));
  sayCount();
}

function emptyRow(wide) {
  const clear = () => { update({ filter: "", brush: "" }); showControls(); };
  return make("tr", { class: "empty" }, make("td", { colspan: wide }, "no run matches ",
    make("button", { type: "button", onclick: clear }, view.brush && !view.filter ? "Clear the choice" : "Clear the filter")));
}

function runRow(i, columns, isTicked, isBest) {
  const run = data.runs[i];
  const box = make("input", { type: "checkbox", "aria-label": `show ${run.name} ${run.id}`, onchange: () => toggle(run.label) });
  box.checked = isTicked;
  const name = make("div", { class: "name" },
    make("span", { class: "swatch", style: `background:${colorOf(i)}` }),
    make("button", { type: "button", class: "open", title: `${run.name}: commands, notes, folder`, onclick: () => openRun(i) }, run.name),
    isBest ? make("span", { class: "star", title: "the best of these runs" }, " ★") : null,
    run.name === run.id ? null : make("span", { class: "id" }, ` ${run.id}`),
    ...run.tags.map((tag) => make("span", { class: "tag" }, tag)),
    run.notes ? make("span", { class: "id", title: run.notes }, " ✎") : null);
  const cells = columns.slice(1).map((column) => cellOf(i, column));
  return make("tr", { "data-run": i, class: isBest ? "best" : null }, make("td", {}, box), make("th", { scope: "row" }, name), ...cells);
}

// Of the numbers of a column, with as many digits as the longest of them has, at most five.
function digitsOf(name) {
  const values = rows.map((i) => lookUp(i, name)).filter((v) => typeof v === "number");
  if (values.every(Number.isInteger)) return 0;
  return Math.max(...values.map((v) => short(v).replace(/e.*$/, "").replace(/^[-0.]+/, "").replace(".", "").length), 1);
}

function padShort(value, digits) {
  const text = typeof value === "number" && digits ? value.toPrecision(digits) : "e";
  return text.includes("e") ? short(value) : text;
}

function cellOf(i, column) {
  const run = data.runs[i];
  if (column.name === "status") {
    const text = run.unreadable ? `unreadable: ${run.error}` : run.status;
    return make("td", { class: `status ${run.status}`, title: run.error }, text);
  }
  const value = lookUp(i, column.name);
  if (column.name === "started") return make("td", {}, value);
  const text = ["kimg", "minutes"].includes(column.name) && value !== null ? value.toFixed(1) : padShort(value, column.digits);
  const group = column.metric && column.metric.groups.length > 1 ? column.metric.groups.findIndex((g) => g.includes(i)) : -1;
  const mark = group < 0 || value === null ? null : make("b", {}, ` ${letter(group)}`);
  const isBestValue = column.metric && view.value === "best" && typeof value === "number";
  return make("td", { class: typeof value === "number" ? "number" : null, title: isBestValue ? whenBest(i, column.metric) : null },
    isBestValue ? fallen(i, column.metric) : null, text, mark);
}

// At which kimg a run had its best value, and what the last one is.
function whenBest(i, metric) {
  const [xs, ys] = data.curves[metric.name]?.[i] ?? [[], []];
  if (!xs.length) return null;
  const at = ys.indexOf((metric.better === "higher" ? Math.max : Math.min)(...ys));
  return `best at ${short(xs[at])} kimg; ${short(data.runs[i].last[metric.name])} at the end (${short(xs.at(-1))} kimg)`;
}

// A hint that the last value is much worse than the best.
function fallen(i, metric) {
  const { best: { [metric.name]: best }, last: { [metric.name]: last } } = data.runs[i];
  const isUp = metric.better === "higher";
  if (typeof last !== "number" || !(best > 0) || !(isUp ? last < best * 2 / 3 : last > best * 1.5)) return null;
  return make("span", { class: "fallen" }, `${isUp ? "↘" : "↗"} now ${last >= 1000 ? Math.round(last) : short(Number(last.toPrecision(4)))} `);
}
const letter = (n) => String.fromCharCode(65 + n % 26);

// Of a group, the mean of each metric over its runs, where these were measured alike.
function groupRow(indices, columns) {
  const cells = columns.slice(1).map((column) => {
    const values = indices.map((i) => lookUp(i, column.name));
    if (column.metric) {
      const alike = column.metric.groups.filter((g) => indices.some((i) => g.includes(i))).length < 2;
      const numbers = values.filter((v) => typeof v === "number");
      return make("td", { class: "number", title: alike && numbers.length > 1 ? "95 % interval over seeds (Student's t)" : null }, alike ? sayInterval(numbers) : "");
    }
    const same = column.column && new Set(values.map(short)).size === 1;
    return make("td", { class: same && typeof values[0] === "number" ? "number" : null }, same ? short(values[0]) : "");
  });
  const title = `${groupTitle(indices, view.group)} (${indices.length})`;
  return make("tr", { class: "group" }, make("td"), make("th", { scope: "row" },
    make("div", { class: "name" }, make("span", { class: "swatch", style: `background:${colorOf(indices[0])}` }), make("span", { class: "open", title }, title))), ...cells);
}

function toggle(label) {
  const hidden = new Set(view.hidden.split(",").filter(Boolean));
  if (!hidden.delete(label)) hidden.add(label);
  update({ hidden: [...hidden].join(",") });
}

function sayCount() {
  const bad = data.runs.filter((run) => run.unreadable).length;
  const count = rows.length === data.runs.length ? `${rows.length} run${rows.length === 1 ? "" : "s"}` : `${rows.length} of ${data.runs.length} runs`;
  const drawn = shown.length < rows.length ? `, ${shown.length} drawn` : "";
  byId("count").textContent = `${count}${drawn}${bad ? ` (${bad} unreadable)` : ""}, compared ${data.now}`;
  byId("filter-note").textContent = filterFault;
}

function drawRefusals() {
  byId("refusals").replaceChildren(...data.metrics.filter((m) => m.groups.length > 1).map((metric) => {
    const fields = metric.differing.map((d) => `${d.field}: ${d.values.map((v, n) => `${letter(n)} ${v}`).join(", ")}`);
    return make("p", { class: "refusal", role: "alert" }, make("strong", {}, `${metric.name} is not ranked:`),
      ` its values were measured by ${metric.groups.length} protocols and cannot be compared (${fields.join("; ")}). Measure the runs the same way with `,
      make("code", {}, "trompe evaluate"), ".");
  }));
}
narrow.addEventListener("change", drawTable);
sections.push({ id: "table", always: true, uses: [...CHOOSES, "color"], draw: drawTable });
