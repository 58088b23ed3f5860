// A sweep's trials across its parameters and objectives, brushed along the axes.
const SVG = "http://www.w3.org/2000/svg";
function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Parameters and objectives alike: where a trial's value lies from 0 to 1, and what the ends are called.
function sweepAxes() {
  const { parameters, objectives, trials } = data.sweep;
  const wanted = [
    ...parameters.map((p, n) => ({ ...p, of: (trial) => trial.parameters[n] })),
    ...objectives.map((o, n) => ({ name: o.name, choices: null, log: false, better: o.better, of: (trial) => trial.values[n] })),
  ];
  return wanted.map((axis) => {
    if (axis.choices) {
      const last = Math.max(axis.choices.length - 1, 1);
      const place = (v) => { const n = axis.choices.indexOf(v); return n < 0 ? null : axis.choices.length === 1 ? 0.5 : n / last; };
      return { ...axis, place, ticks: axis.choices.map((c) => [place(c), short(c)]) };
    }
    const scale = axis.log ? Math.log10 : (v) => v;
    const values = trials.map(axis.of).filter((v) => typeof v === "number").map(scale);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const back = (part) => { const v = low + part * (high - low); return axis.log ? 10 ** v : v; };
    const place = (v) => (typeof v !== "number" ? null : high > low ? (scale(v) - low) / (high - low) : 0.5);
    return { ...axis, place, back, ticks: values.length ? roundedTicks(back, place, high > low) : [] };
  });
}

// At round values: of two digits, or of as many as set them apart.
function roundedTicks(back, place, isRange) {
  const values = (isRange ? [0, 0.25, 0.5, 0.75, 1] : [0.5]).map(back);
  const rounded = [2, 3, 4, 5].map((digits) => values.map((v) => Number(v.toPrecision(digits))));
  const chosen = rounded.find((list) => new Set(list).size === values.length) ?? rounded.at(-1);
  return chosen.map((v) => [place(v), short(v)]);
}

// view.brush: "name:0.1:0.5;..." in parts of the axes.
const readBrush = () => new Map(view.brush.split(";").filter(Boolean).map((text) => {
  const parts = text.split(":");
  return [parts.slice(0, -2).join(":"), parts.slice(-2).map(Number)];
}).filter(([, ends]) => ends.length === 2 && ends.every(Number.isFinite)));
const writeBrush = (brushes) => [...brushes].map(([name, [low, high]]) => `${name}:${low.toFixed(3)}:${high.toFixed(3)}`).join(";");

function chosenTrials() {
  const brushes = readBrush();
  const axes = sweepAxes().filter((axis) => brushes.has(axis.name));
  return data.sweep.trials.filter((trial) => axes.every((axis) => {
    const part = axis.place(axis.of(trial));
    const [low, high] = brushes.get(axis.name);
    const near = axis.choices ? 0.04 : 1e-3;
    return part !== null && part >= low - near && part <= high + near;
  }));
}

// Whether a run is of a chosen trial; all are while nothing is brushed.
function brushTest() {
  if (!data.sweep || !view.brush) return () => true;
  const chosen = new Set(chosenTrials().map((trial) => trial.run));
  return (i) => chosen.has(i);
}

// What is brushed, each with a button that lets go.
function drawChips() {
  const brushes = data.sweep ? readBrush() : new Map();
  const chips = (data.sweep ? sweepAxes() : []).filter((axis) => brushes.has(axis.name)).map((axis) => {
    const ends = brushes.get(axis.name).map((part) => Math.min(Math.max(part, 0), 1));
    const inside = axis.choices?.filter((c) => { const part = axis.place(c); return part >= ends[0] - 0.04 && part <= ends[1] + 0.04; });
    const range = inside ? inside.map(short).join(", ") || "none" : ends.map((part) => short(Number(axis.back(part).toPrecision(2)))).join(" to ");
    const clear = () => { brushes.delete(axis.name); update({ brush: writeBrush(brushes) }); };
    return make("button", { type: "button", class: "chip", title: `let go of ${axis.name}`, onclick: clear }, `${shortName(axis.name)} ${range} ✕`);
  });
  byId("chips").replaceChildren(...chips);
}
const shortName = (name) => columnOf(name)?.short ?? name.split(/[./]/).at(-1);
sections.push({ id: "chips", always: true, uses: ["brush"], draw: drawChips });

const TALL = 300;
function drawParallel() {
  const axes = sweepAxes();
  const place = byId("parallel");
  const wide = Math.max(place.clientWidth - 4, axes.length * 110);
  const x = (n) => 70 + (wide - 140) * (axes.length > 1 ? n / (axes.length - 1) : 0.5);
  const y = (part) => 50 + TALL * (1 - part);
  const root = draw("svg", { viewBox: `0 0 ${wide} ${TALL + 80}`, width: wide, height: TALL + 80, role: "img", "aria-label": "trials over parameters and objectives" });
  const chosen = new Set(chosenTrials().map((trial) => trial.number));
  const ticked = new Set(shown);
  const objective = axes[data.sweep.parameters.length];
  const values = data.sweep.trials.map(objective.of).filter((v) => typeof v === "number").sort((a, b) => a - b);
  // By rank, so that one trial that diverged does not make the others look alike.
  const goodness = (value) => {
    if (typeof value !== "number") return null;
    const rank = values.length > 1 ? values.indexOf(value) / (values.length - 1) : 0;
    return objective.better === "higher" ? rank : 1 - rank;
  };
  const order = [...data.sweep.trials].sort((a, b) => isOn(a) - isOn(b));
  function isOn(trial) { return chosen.has(trial.number) && (trial.run === null || ticked.has(trial.run)); }
  for (const trial of order) {
    const points = axes.map((axis, n) => [x(n), axis.place(axis.of(trial))]).filter(([, part]) => part !== null).map(([a, part]) => `${a.toFixed(1)},${y(part).toFixed(1)}`);
    const good = goodness(objective.of(trial));
    const line = draw("polyline", {
      points: points.join(" "), class: `trial${isOn(trial) ? "" : " off"}`, stroke: good === null ? "gray" : shade(good),
      "stroke-dasharray": trial.state === "complete" ? null : "4 4", "data-trial": trial.number,
    });
    line.addEventListener("pointerenter", (event) => showTrial(trial, axes, event));
    line.addEventListener("pointerleave", hideTip);
    if (trial.run !== null) line.addEventListener("click", () => openRun(trial.run));
    root.append(line);
  }
  axes.forEach((axis, n) => root.append(axisOf(axis, x(n), y, n % 2 && wide / axes.length < 150)));
  place.replaceChildren(root);
}

function showTrial(trial, axes, event) {
  const items = axes.map((axis) => make("li", {}, `${axis.name} `, make("b", {}, short(axis.of(trial)))));
  showTip({ left: 0, top: 0 }, event.clientX, event.clientY, make("p", {}, `trial ${trial.number}, ${trial.state}`), make("ul", {}, ...items));
}

function axisOf(axis, x, y, isLow) {
  const title = draw("text", { x, y: isLow ? 30 : 16, "text-anchor": "middle", class: "axis-title" }, shortName(axis.name));
  title.append(draw("title", {}, axis.name));
  const ticks = axis.ticks.map(([part, text]) => draw("text", { x: x + 6, y: y(part) + 4, class: "tick" }, text));
  const group = draw("g", { "data-axis": axis.name }, draw("line", { x1: x, x2: x, y1: y(0), y2: y(1), class: "axis" }), title, ...ticks);
  const brush = readBrush().get(axis.name);
  const box = draw("rect", { x: x - 9, width: 18, y: brush ? y(brush[1]) : 0, height: brush ? Math.max(y(brush[0]) - y(brush[1]), 3) : 0, class: "brush" });
  const hit = draw("rect", { x: x - 16, width: 32, y: y(1) - 8, height: TALL + 16, class: "hit" });
  let from = null;
  const partAt = (event) => {
    const frame = hit.getBoundingClientRect();
    return Math.min(Math.max(1 - (event.clientY - frame.top - 8) / TALL, -0.01), 1.01);
  };
  hit.addEventListener("pointerdown", (event) => { from = partAt(event); hit.setPointerCapture(event.pointerId); });
  hit.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const [low, high] = [from, partAt(event)].sort((a, b) => a - b);
    box.setAttribute("y", y(high));
    box.setAttribute("height", y(low) - y(high));
  });
  hit.addEventListener("pointercancel", () => { from = null; drawParallel(); });
  hit.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const brushes = readBrush();
    const ends = [from, partAt(event)].sort((a, b) => a - b);
    from = null;
    if (ends[1] - ends[0] < 0.02) brushes.delete(axis.name); else brushes.set(axis.name, ends);
    update({ brush: writeBrush(brushes) });
  });
  group.append(box, hit);
  return group;
}
