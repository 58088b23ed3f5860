// What a sweep found: what matters, its history, the front, and each parameter against the objective.
function axisFor(values, isLog) {
  const scale = isLog ? Math.log10 : (v) => v;
  const numbers = values.filter((v) => typeof v === "number" && (!isLog || v > 0)).map(scale);
  const ends = [Math.min(...numbers), Math.max(...numbers)];
  const [low, high] = padded(ends, false, 0.06);
  return { place: (v) => (scale(v) - low) / (high - low), ends: [...new Set(ends)].map((v) => (isLog ? 10 ** v : v)) };
}

// points: [{x, y, trial}]; choices stand on x in their order.
function drawPoints(place, points, { xName, yName, logX = false, choices = null, step = null }) {
  const [wide, tall, left, low] = [320, 200, 58, 36];
  const usable = points.filter((p) => p.x !== null && p.x !== undefined && typeof p.y === "number");
  if (!usable.length) { place.replaceChildren(make("p", { class: "hint" }, "no trial has a value yet")); return; }
  const xs = usable.map((p) => (choices ? choices.indexOf(p.x) : p.x));
  const across = axisFor(choices ? [...xs, -0.4, choices.length - 0.6] : xs, logX);
  const up = axisFor(usable.map((p) => p.y), false);
  const at = (x, y) => [left + across.place(x) * (wide - left - 10), tall - low - up.place(y) * (tall - low - 10)];
  const root = draw("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": `${yName} over ${xName}` },
    draw("path", { d: `M${left},8V${tall - low}H${wide - 8}`, class: "axis", fill: "none" }),
    draw("text", { x: (wide + left) / 2, y: tall - 6, "text-anchor": "middle", class: "tick" }, xName));
  for (const v of up.ends) root.append(draw("text", { x: left - 5, y: at(across.ends[0], v)[1] + 4, "text-anchor": "end", class: "tick" }, short(Number(v.toPrecision(3)))));
  const xTicks = choices ? choices.map((c, n) => [n, short(c)]) : across.ends.map((v) => [v, short(Number(v.toPrecision(3)))]);
  for (const [v, text, anchor = "middle"] of xTicks) root.append(draw("text", { x: at(v, up.ends[0])[0], y: tall - low + 14, "text-anchor": anchor, class: "tick" }, text));
  if (step) root.append(draw("polyline", { points: step.map(([x, y]) => at(x, y).map((v) => v.toFixed(1)).join(",")).join(" "), class: "front" }));
  const inTable = new Set(rows);
  usable.forEach((point, n) => {
    const [cx, cy] = at(xs[n], point.y);
    const { trial } = point;
    const circle = draw("circle", { cx, cy, r: 4, class: `point ${trial.state}${trial.run === null || inTable.has(trial.run) ? "" : " off"}` },
      draw("title", {}, `trial ${trial.number}, ${trial.state}: ${xName} ${short(point.x)}, ${yName} ${short(point.y)}`));
    if (trial.run !== null) circle.addEventListener("click", () => openRun(trial.run));
    root.append(circle);
  });
  place.replaceChildren(root);
}

// The best so far, as a staircase.
function bestSoFar(trials, better) {
  const found = [];
  let best = null;
  for (const trial of trials) {
    const value = trial.values[0];
    if (trial.state !== "complete" || typeof value !== "number") continue;
    if (best === null || (better === "higher" ? value > best : value < best)) {
      if (best !== null) found.push([trial.number, best]);
      best = value;
      found.push([trial.number, best]);
    }
  }
  if (best !== null) found.push([trials.at(-1).number, best]);
  return found;
}

// Trials that no other beats in both objectives, along the first.
function frontOf(trials, objectives) {
  const cost = (trial) => objectives.map((o, n) => (o.better === "higher" ? -1 : 1) * trial.values[n]);
  const done = trials.filter((t) => t.state === "complete" && t.values.every((v) => typeof v === "number"));
  const beats = (a, b) => a.every((v, n) => v <= b[n]) && a.some((v, n) => v < b[n]);
  return done.filter((t) => !done.some((o) => beats(cost(o), cost(t)))).sort((a, b) => a.values[0] - b.values[0]);
}

function drawImportance() {
  const names = data.sweep.parameters.map((p) => p.name);
  const bars = data.sweep.importances.flatMap((shares, n) => {
    const sorted = names.filter((name) => name in shares).sort((a, b) => shares[b] - shares[a]);
    const title = data.sweep.objectives.length > 1 && sorted.length ? [make("h4", {}, data.sweep.objectives[n].name)] : [];
    return [...title, ...sorted.map((name) => make("div", { class: "share" }, make("span", { title: name }, columnOf(name)?.short ?? name),
      make("span", { class: "rail" }, make("span", { class: "fill", style: `width:${100 * shares[name]}%;background:${paint(n)}` })),
      make("b", {}, `${Math.round(100 * shares[name])} %`)))];
  });
  byId("importance").replaceChildren(...(bars.length ? bars : [make("p", { class: "hint" }, "too few trials to say")]));
}

function drawSweep() {
  if (!data.sweep) return;
  const { trials, parameters, objectives } = data.sweep;
  if (!trials.length) { byId("parallel").replaceChildren(make("p", { class: "hint" }, "no trial has ended yet")); return; }
  drawParallel();
  drawImportance();
  const [first, second] = objectives;
  drawPoints(byId("history"), trials.map((trial) => ({ x: trial.number, y: trial.values[0], trial })),
    { xName: "trial", yName: first.name, step: bestSoFar(trials, first.better) });
  byId("front-title").hidden = !second;
  if (second) {
    const front = frontOf(trials, objectives);
    drawPoints(byId("front"), trials.filter((t) => t.state === "complete").map((trial) => ({ x: trial.values[0], y: trial.values[1], trial })),
      { xName: first.name, yName: second.name, step: front.map((t) => t.values) });
  }
  const places = parameters.map(() => make("figure"));
  byId("slices").replaceChildren(...places);
  parameters.forEach((p, n) => drawPoints(places[n], trials.map((trial) => ({ x: trial.parameters[n], y: trial.values[0], trial })),
    { xName: columnOf(p.name)?.short ?? p.name, yName: first.name, logX: p.log, choices: p.choices }));
}
sections.push({ id: "sweep", uses: [...CHOOSES, "theme"], draw: drawSweep });
