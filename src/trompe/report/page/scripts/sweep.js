// What a sweep found: what matters, its history, the front, and each parameter against the objective.
// The axis leaves outliers out where it is cropped.
function axisFor(values, { isLog = false, pixels, gap, isCropped = false }) {
  const scale = isLog ? Math.log10 : (v) => v;
  const numbers = values.filter((v) => typeof v === "number" && canShow(v, isLog));
  const fences = isCropped ? fencesOf(numbers) : [-Infinity, Infinity];
  const inside = numbers.filter((v) => v >= fences[0] && v <= fences[1]);
  const ends = [Math.min(...inside), Math.max(...inside)];
  const [low, high] = padded(ends, isLog, 0.06);
  const place = (v) => (scale(v) - scale(low)) / (scale(high) - scale(low));
  const ticks = isLog ? logTicks(low, high, pixels, gap) : roundTicks(low, high, gap, (a, b) => pixels * (b - a) / (high - low));
  return { place, low, high, ticks };
}

// points: [{x, y, trial}]; choices stand on x in their order.
function drawPoints(place, points, { xName, yName, logX = false, choices = null, step = null, isCropped = view.crop }) {
  const [wide, tall, left, low, top] = [Math.max(place.clientWidth, 240), 220, 62, 36, 12];
  const usable = points.filter((p) => p.x !== null && p.x !== undefined && typeof p.y === "number");
  if (!usable.length) { place.replaceChildren(make("p", { class: "hint" }, "no trial has a value yet")); return; }
  const xs = usable.map((p) => (choices ? choices.indexOf(p.x) : p.x));
  const [across, up] = [
    axisFor(choices ? [...xs, -0.4, choices.length - 0.6] : xs, { isLog: logX, pixels: wide - left - 10, gap: 50 }),
    axisFor(usable.map((p) => p.y), { pixels: tall - low - top, gap: 40, isCropped }),
  ];
  const at = (x, y) => [left + across.place(x) * (wide - left - 10), tall - low - up.place(y) * (tall - low - top)];
  const root = draw("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": `${yName} over ${xName}` },
    draw("path", { d: `M${left},${top}V${tall - low}H${wide - 8}`, class: "axis", fill: "none" }),
    draw("text", { x: (wide + left) / 2, y: tall - 4, "text-anchor": "middle", class: "tick" }, xName),
    draw("text", { transform: `translate(12 ${(top + tall - low) / 2}) rotate(-90)`, "text-anchor": "middle", class: "tick y-title" }, yName));
  for (const v of up.ticks) {
    const y = at(across.low, v)[1];
    root.append(draw("line", { x1: left, x2: wide - 8, y1: y, y2: y, class: "rule" }), draw("text", { x: left - 5, y: y + 4, "text-anchor": "end", class: "tick y-tick" }, short(v)));
  }
  const xTicks = choices ? choices.map((c, n) => [n, short(c)]) : across.ticks.map((v) => [v, short(v)]);
  for (const [v, text] of xTicks) root.append(draw("text", { x: at(v, up.low)[0], y: tall - low + 14, "text-anchor": "middle", class: "tick" }, text));
  const inside = (y) => Math.min(Math.max(y, top), tall - low);
  if (step) root.append(draw("polyline", { points: step.map(([x, y]) => at(x, y)).map(([x, y]) => `${x.toFixed(1)},${inside(y).toFixed(1)}`).join(" "), class: "front" }));
  const ticked = new Set(shown);
  usable.forEach((point, n) => root.append(pointOf(point, at(xs[n], point.y), inside, ticked, `${xName} ${short(point.x)}, ${yName} ${short(point.y)}`)));
  place.replaceChildren(root);
}

// A circle; at the edge a triangle, if its value lies beyond it.
function pointOf({ trial }, [x, y], inside, ticked, text) {
  const isOff = trial.run !== null && !ticked.has(trial.run);
  const border = inside(y);
  const isOut = Math.abs(border - y) > 1;
  const foot = border + (y < border ? 8 : -8);
  const shape = isOut ? { d: `M${x},${border}L${x - 5},${foot}H${x + 5}Z` } : { cx: x, cy: y, r: 4 };
  const mark = draw(isOut ? "path" : "circle", { ...shape, class: `point ${trial.state}${isOff ? " off" : ""}${isOut ? " out" : ""}` },
    draw("title", {}, `trial ${trial.number}, ${trial.state}: ${text}`));
  if (trial.run !== null) mark.addEventListener("click", () => openRun(trial.run));
  return mark;
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

const FEWEST_TRIALS = 8; // ours: below, one trial turns the shares around
function drawImportance() {
  const names = data.sweep.parameters.map((p) => p.name);
  const bars = data.sweep.importances.flatMap((shares, n) => {
    const sorted = names.filter((name) => name in shares).sort((a, b) => shares[b] - shares[a]);
    const title = data.sweep.objectives.length > 1 && sorted.length ? [make("h4", {}, data.sweep.objectives[n].name)] : [];
    return [...title, ...sorted.map((name) => make("div", { class: "share" }, make("span", { title: name }, shortName(name)),
      make("span", { class: "rail" }, make("span", { class: "fill", style: `width:${100 * shares[name]}%;background:${paint(n)}` })),
      make("b", {}, `${Math.round(100 * shares[name])} %`)))];
  });
  const enough = data.sweep.trials.filter((trial) => trial.state === "complete").length >= FEWEST_TRIALS;
  byId("importance").replaceChildren(...(enough && bars.length ? bars : [make("p", { class: "hint" }, "too few trials to say")]));
}

function drawSweep() {
  if (!data.sweep) return;
  const { trials, parameters, objectives } = data.sweep;
  if (!trials.length) { byId("parallel").replaceChildren(make("p", { class: "hint" }, "no trial has ended yet")); return; }
  drawParallel();
  drawImportance();
  const [first, second] = objectives;
  drawPoints(byId("history"), trials.map((trial) => ({ x: trial.number, y: trial.values[0], trial })),
    { xName: "trial", yName: shortName(first.name), step: bestSoFar(trials, first.better) });
  byId("front-title").hidden = !second;
  if (second) {
    const front = frontOf(trials, objectives);
    drawPoints(byId("front"), trials.filter((t) => t.state === "complete").map((trial) => ({ x: trial.values[0], y: trial.values[1], trial })),
      { xName: shortName(first.name), yName: shortName(second.name), isCropped: false, step: front.map((t) => t.values) });
  }
  const places = parameters.map(() => make("figure"));
  byId("slices").replaceChildren(...places);
  parameters.forEach((p, n) => drawPoints(places[n], trials.map((trial) => ({ x: trial.parameters[n], y: trial.values[0], trial })),
    { xName: shortName(p.name), yName: shortName(first.name), logX: p.log, choices: p.choices }));
}
sections.push({ id: "sweep", uses: [...CHOOSES, "theme", "crop"], draw: drawSweep });
