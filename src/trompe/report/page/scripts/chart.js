// One chart: axes, zoom and crosshair by uPlot; the lines are ours, so that any number of runs, each
// with points of its own, stays quick.
const charts = new Map(); // by element

// lines: [{xs, ys, color, width, faint, low, high, title, run, marks: [[x, word]]}]
// frame: the lines that set the range, where several charts share it.
function drawChart(element, lines, { title, xTitle = "", crop = false, height = 160, large = false, frame = lines, ...scales }) {
  charts.get(element)?.destroy();
  const fit = fitted(frame, { crop, ...scales });
  if (!fit) {
    charts.delete(element);
    element.replaceChildren(make("p", { class: "hint" }, "nothing to draw"));
    return;
  }
  const { box, logX, logY } = fit;
  element.replaceChildren();
  const style = getComputedStyle(document.documentElement);
  const [ink, grid] = [style.getPropertyValue("--soft-ink"), style.getPropertyValue("--line")];
  const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, size: 4 }, font: "11px system-ui" };
  const range = (u, low, high) => [low, high];
  const chart = new uPlot({
    width: Math.max(element.clientWidth, 120), height,
    legend: { show: false },
    cursor: {
      sync: { key: "x", scales: ["x", null] }, points: { show: false }, y: large,
      drag: { x: true, y: large, uni: 20, setScale: true },
      move: (u, left, top) => [u.cursor.event?.buttons ? left : snapped(u, lines, left), top],
    },
    scales: {
      x: { time: false, distr: logX ? 3 : 1, range },
      y: { distr: logY ? 3 : 1, range },
    },
    axes: [
      { ...axis, size: large ? 42 : 24, label: large ? xTitle : null, labelSize: 18, labelFont: "12px system-ui", space: large ? 60 : 50, ...ticksOf(logX, "x", 50) },
      { ...axis, size: large ? 64 : 48, space: large ? 36 : 28, ...ticksOf(logY, "y", 28) },
    ],
    padding: [8, 10, 0, 0],
    series: [{}, { show: true, paths: () => null, points: { show: false } }],
    hooks: {
      draw: [(u) => { paintLines(u, lines, logX, logY); if (crop) paintLeaving(u, lines, logX, logY); }],
      setCursor: [(u) => pointAt(u, lines, element)],
    },
  }, [box.x, box.y], element);
  chart.lines = lines;
  element.append(...notesOf(lines, fit, crop));
  charts.set(element, chart);
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", `${title}: ${lines.filter((l) => !l.faint).length} curves`);
}

// As uPlot asks for them: an axis that is not logarithmic has its own.
function ticksOf(isLog, side, gap) {
  const values = (u, ticks) => ticks.map((v) => short(v));
  if (!isLog) return { values };
  const pixels = (u) => (side === "x" ? u.bbox.width : u.bbox.height) / uPlot.pxRatio;
  return { values, splits: (u, axis, low, high) => logTicks(low, high, pixels(u), gap), filter: (u, ticks) => ticks };
}

const several = (n, thing, one, many) => `${n} ${thing}${n === 1 ? "" : "s"} ${n === 1 ? one : many}`;

// What the picture does not show.
function notesOf(lines, { box, logX, logY, fell }, crop) {
  const notes = [];
  const runsWith = (test, list) => new Map(list.filter((line) => line.ys.some(test)).map((line) => [line.run, line.title]));
  if (fell) notes.push(make("p", { class: "hint note" }, "no value is above 0: this axis is linear"));
  const low = runsWith((y) => y <= 0, lines.filter((line) => typeof line.run === "number"));
  if (logY && low.size) {
    notes.push(make("p", { class: "hint note", title: [...low.values()].join("\n") },
      `${several(low.size, "run", "has", "have")} values of 0 or less, which a log axis cannot show`));
  }
  const early = logX ? new Set(lines.filter((line) => line.xs[0] <= 0).map((line) => line.run)) : new Set();
  if (early.size) notes.push(make("p", { class: "hint note" }, `${several(early.size, "curve", "begins", "begin")} at 0, which a log axis cannot show`));
  const away = crop ? runsWith((y) => canShow(y, logY) && (y < box.y[0] || y > box.y[1]), lines.filter((line) => !line.faint)) : new Map();
  if (away.size) {
    const thing = typeof [...away.keys()][0] === "number" ? "run" : "group";
    notes.push(make("p", { class: "hint note", title: [...away.values()].join("\n") }, `${several(away.size, thing, "leaves", "leave")} the picture`));
  }
  return notes;
}

// The pieces of a line between the points that the axes cannot show.
function piecesOf(line, logX, logY) {
  const pieces = [[]];
  line.xs.forEach((x, n) => {
    if (canShow(x, logX) && canShow(line.ys[n], logY)) pieces.at(-1).push(n);
    else if (pieces.at(-1).length) pieces.push([]);
  });
  return pieces.filter((piece) => piece.length);
}

function paintLines(u, lines, logX, logY) {
  const { ctx } = u;
  const ratio = uPlot.pxRatio;
  const at = (x, y) => [u.valToPos(x, "x", true), u.valToPos(y, "y", true)];
  const edge = (y) => (canShow(y, logY) ? y : u.scales.y.min); // of a band that reaches below a log axis
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
  for (const line of lines) {
    const pieces = piecesOf(line, logX, logY);
    ctx.strokeStyle = ctx.fillStyle = line.color;
    if (line.low) {
      ctx.globalAlpha = 0.18;
      for (const piece of pieces) {
        ctx.beginPath();
        piece.forEach((n) => ctx.lineTo(...at(line.xs[n], edge(line.high[n]))));
        [...piece].reverse().forEach((n) => ctx.lineTo(...at(line.xs[n], edge(line.low[n]))));
        ctx.fill();
      }
    }
    ctx.globalAlpha = line.faint ? 0.25 : 1;
    ctx.lineWidth = (line.width ?? 1.5) * ratio * (u.near === line.run && u.near !== undefined ? 2 : 1);
    for (const piece of pieces) {
      ctx.beginPath();
      if (piece.length > 1) piece.forEach((n) => ctx.lineTo(...at(line.xs[n], line.ys[n])));
      else ctx.arc(...at(line.xs[piece[0]], line.ys[piece[0]]), 2.5 * ratio, 0, 7);
      if (piece.length > 1) ctx.stroke(); else ctx.fill();
    }
    ctx.globalAlpha = 1;
    for (const [x, word] of line.marks ?? []) {
      const y = between(line.xs, line.ys, x);
      if (canShow(x, logX) && canShow(y, logY)) paintMark(ctx, at(x, y), word, ratio);
    }
  }
  ctx.restore();
}

// Where a line leaves the picture, or comes back: [x, true at the top], in pixels of the canvas.
function leavings(u, line, logX, logY) {
  const { top, height } = u.bbox;
  const side = (y) => (y < top ? -1 : y > top + height ? 1 : 0);
  const found = [];
  for (const piece of piecesOf(line, logX, logY)) {
    const points = piece.map((n) => [u.valToPos(line.xs[n], "x", true), u.valToPos(line.ys[n], "y", true)]);
    points.forEach(([x, y], n) => {
      if (!n) { if (side(y)) found.push([x, side(y) < 0]); return; }
      const [beforeX, beforeY] = points[n - 1];
      if (side(beforeY) === side(y)) return;
      for (const out of [side(beforeY), side(y)].filter(Boolean)) {
        const border = out < 0 ? top : top + height;
        found.push([beforeX + (x - beforeX) * (border - beforeY) / (y - beforeY), out < 0]);
      }
    });
  }
  return found;
}

function paintLeaving(u, lines, logX, logY) {
  const { ctx, bbox } = u;
  const size = 5 * uPlot.pxRatio;
  ctx.save();
  for (const line of lines.filter((l) => !l.faint)) {
    ctx.fillStyle = line.color;
    for (const [place, isTop] of leavings(u, line, logX, logY)) {
      const x = Math.min(Math.max(place, bbox.left + size), bbox.left + bbox.width - size);
      if (Math.abs(x - place) > size) continue; // zoomed away
      const [tip, foot] = isTop ? [bbox.top, bbox.top + 1.6 * size] : [bbox.top + bbox.height, bbox.top + bbox.height - 1.6 * size];
      ctx.beginPath();
      ctx.moveTo(x, tip);
      ctx.lineTo(x - size, foot);
      ctx.lineTo(x + size, foot);
      ctx.fill();
    }
  }
  ctx.restore();
}

// The best tick is a ring, a resumption a short stroke across the line.
function paintMark(ctx, [x, y], word, ratio) {
  ctx.lineWidth = 1.5 * ratio;
  ctx.beginPath();
  if (word === "best") ctx.arc(x, y, 4 * ratio, 0, 7);
  else { ctx.moveTo(x, y - 6 * ratio); ctx.lineTo(x, y + 6 * ratio); }
  ctx.stroke();
}

// The place of the nearest tick; while the mouse drags, it goes where it is.
function snapped(u, lines, left) {
  if (left < 0) return left;
  const x = u.posToVal(left, "x");
  let best = null;
  for (const { xs } of lines) {
    const next = countUpTo(xs, x);
    for (const v of [xs[next], xs[next - 1]]) {
      if (v !== undefined && v >= u.scales.x.min && v <= u.scales.x.max && (best === null || Math.abs(v - x) < Math.abs(best - x))) best = v;
    }
  }
  return best === null ? left : u.valToPos(best, "x");
}

// What all runs have under the crosshair, the nearest marked.
const MOST_NAMED = 14;
function pointAt(u, lines, element) {
  const { left, top } = u.cursor;
  if (!element.matches(":hover")) return;
  if (left === null || left < 0) { hideTip(); u.near = undefined; return; }
  const x = u.posToVal(left, "x");
  const found = [];
  for (const line of lines) {
    if (line.faint || !line.xs.length || x < line.xs[0] || x > line.xs.at(-1)) continue;
    const y = between(line.xs, line.ys, x);
    const isSeen = canShow(y, u.scales.y.distr === 3);
    found.push({ line, y, distance: isSeen ? Math.abs(u.valToPos(y, "y") - top) : Infinity });
  }
  const nearest = found.reduce((a, b) => (a && a.distance <= b.distance ? a : b), null);
  const near = nearest?.line.run;
  if (near !== u.near) { u.near = near; u.redraw(false); }
  const kept = [...found].sort((a, b) => a.distance - b.distance).slice(0, MOST_NAMED).sort((a, b) => b.y - a.y);
  const items = kept.map(({ line, y }) => make("li", { class: line === nearest.line ? "near" : null },
    make("span", { class: "swatch", style: `background:${line.color}` }), make("b", {}, short(y)), ` ${line.title}`,
    ...(line.marks ?? []).filter(([at]) => Math.abs(u.valToPos(at, "x") - left) < 5).map(([, word]) => make("i", {}, ` ${word}`))));
  const rest = found.length - kept.length;
  showTip(u.over.getBoundingClientRect(), left, top, make("p", {}, `${element.dataset.over} ${short(x)}`),
    make("ul", {}, ...items), rest > 0 ? make("p", {}, `and ${rest} others`) : null);
}

function showTip(box, left, top, ...children) {
  const tip = byId("tip");
  tip.replaceChildren(...children.filter((child) => child !== null));
  tip.hidden = false;
  const [x, y] = [box.left + left, box.top + top];
  tip.style.left = `${Math.max(4, x + 16 + tip.offsetWidth > innerWidth ? x - tip.offsetWidth - 16 : x + 16)}px`;
  tip.style.top = `${Math.max(4, Math.min(y - 20, innerHeight - tip.offsetHeight - 4))}px`;
}
function hideTip() { byId("tip").hidden = true; }
addEventListener("scroll", hideTip, { passive: true });
let resizing = 0;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => {
    for (const [element, chart] of charts) {
      if (element.isConnected && element.clientWidth) chart.setSize({ width: element.clientWidth, height: chart.height });
    }
  }, 150);
});
