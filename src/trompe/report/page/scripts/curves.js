// Every quantity over training: small multiples, one of them large.
const AXES = { kimg: "kimg (thousands of images seen)", minutes: "minutes", cost: "minutes × devices" };
const MOST_PANELS = 12;

function linesOf(name, indices) {
  const all = data.curves[name] ?? [];
  const lines = indices.filter((i) => all[i]?.[0].length).map((i) => {
    const [kimg, ys] = all[i];
    const marks = data.runs[i].events.map(([at, word]) => [along(i, at, view.x), word]);
    const xs = view.x === "kimg" ? kimg : kimg.map((k) => along(i, k, view.x));
    return { xs, ys, color: colorOf(i), title: titleOf(i), run: i, marks };
  });
  if (view.group) return meansOf(lines);
  if (!view.smooth) return lines;
  const faint = lines.map((line) => ({ ...line, faint: true, width: 1, marks: [] }));
  return [...faint, ...lines.map((line) => ({ ...line, ys: smoothed(line.ys, view.smooth) }))];
}
const titleOf = (i) => (data.runs[i].name === data.runs[i].id ? data.runs[i].name : `${data.runs[i].name} (${data.runs[i].id})`);

// The mean of each group with its interval, and all its runs faint.
function meansOf(lines) {
  const faint = [];
  const means = [];
  let count = 0;
  for (const indices of bySame(lines.map((line) => line.run), view.group).values()) {
    const members = lines.filter((line) => indices.includes(line.run));
    const { color } = members[0];
    count++;
    faint.push(...members.map((line) => ({ ...line, faint: true, width: 1, marks: [] })));
    const mean = meanCurve(members.map((line) => (view.smooth ? { ...line, ys: smoothed(line.ys, view.smooth) } : line)));
    const band = members.length > 1 ? { low: mean.low, high: mean.high } : {};
    means.push({ xs: mean.xs, ys: mean.ys, ...band, color, width: 2, title: `${groupTitle(indices, view.group)} (${members.length})`, run: `group ${count}` });
  }
  return [...faint, ...means];
}

const curveNames = () => Object.keys(data.curves);
const largeName = () => (data.curves[view.curve] ? view.curve : curveNames()[0]);

// frame: the lines that set the range; without it the panel's own.
function panel(title, name, indices, height, frame) {
  const plot = make("div", { class: "plot", "data-over": view.x });
  const figure = make("figure", {}, title, plot);
  return [figure, () => drawChart(plot, linesOf(name, indices), { title: name, logX: view.logx, logY: view.logy, crop: view.crop, height, frame })];
}

function drawLarge() {
  const name = largeName();
  byId("curve-name").textContent = name ?? "";
  const place = byId("curve-large");
  place.className = view.facet ? "multiples" : "plot";
  place.dataset.over = view.x;
  if (!view.facet) {
    place.style.minHeight = "";
    drawChart(place, name ? linesOf(name, shown) : [], { title: name, xTitle: AXES[view.x], logX: view.logx, logY: view.logy, crop: view.crop, height: 380, large: true });
    return;
  }
  charts.get(place)?.destroy();
  charts.delete(place);
  const groups = [...bySame(shown, view.facet)].slice(0, MOST_PANELS);
  const frame = linesOf(name, groups.flatMap(([, indices]) => indices));
  const made = groups.map(([, indices]) => panel(make("figcaption", {}, groupTitle(indices, view.facet)), name, indices, 220, frame));
  place.replaceChildren(...made.map(([figure]) => figure));
  made.forEach(([, draw]) => draw());
}

// What the marks on the curves are.
function sayMarks() {
  const lines = largeName() && !view.group ? linesOf(largeName(), shown) : [];
  const words = new Set(lines.flatMap((line) => (line.marks ?? []).map(([, word]) => word)));
  const metric = judge() ?? data.metrics[0];
  const said = [words.has("best") ? `○ the best ${metric?.name ?? "value"} of a run` : "", words.has("resumed") ? "| resumed" : ""];
  byId("marks").textContent = said.filter(Boolean).join(", ");
}

// What the colors are, where they say a value.
function drawLegend() {
  const seen = new Set(shown.map(colorOf));
  const kept = legend.filter(([color]) => seen.has(color));
  const items = kept.length > MOST_PANELS ? [] : kept.map(([color, text]) => make("span", {}, make("span", { class: "swatch", style: `background:${color}` }), text));
  byId("legend").replaceChildren(...(legendEnds ? [`${columnOf(view.color)?.short ?? view.color} ${legendEnds[0]} `,
    make("span", { class: "shades", style: `background:linear-gradient(90deg,${[0, 0.25, 0.5, 0.75, 1].map(shade).join(",")})` }), ` ${legendEnds[1]}`] : items));
  byId("legend").hidden = !byId("legend").childNodes.length;
}

function drawSmall(place, names) {
  const made = names.map((name) => {
    const button = make("button", { type: "button", "aria-pressed": String(name === largeName()), title: "enlarge", onclick: () => {
      update({ curve: name });
      byId("curves").scrollIntoView({ block: "start" });
    } }, name);
    return panel(make("figcaption", {}, button), name, shown, 150);
  });
  place.replaceChildren(...made.map(([figure]) => figure));
  made.forEach(([, draw]) => draw());
}

function drawCurves() {
  for (const element of [...charts.keys()]) if (!element.isConnected) { charts.get(element).destroy(); charts.delete(element); }
  byId("thinned").hidden = !data.thinned;
  byId("smooth-shown").textContent = view.smooth.toFixed(2);
  drawLegend();
  drawLarge();
  sayMarks();
  const isSpeed = (name) => name.startsWith("speed/");
  drawSmall(byId("curve-small"), curveNames().filter((name) => !isSpeed(name)));
  const rest = curveNames().filter(isSpeed);
  byId("bookkeeping").hidden = !rest.length;
  if (byId("bookkeeping").open) drawSmall(byId("curve-speed"), rest);
}
byId("bookkeeping").addEventListener("toggle", drawCurves);
sections.push({ id: "curves", uses: [...CHOOSES, "color", "x", "smooth", "logx", "logy", "crop", "curve", "facet"], draw: drawCurves });
