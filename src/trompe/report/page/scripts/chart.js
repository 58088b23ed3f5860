// One chart: axes, zoom and crosshair by uPlot; the lines are ours, so that any number of runs, each
// with points of its own, stays quick.
const charts = new Map(); // by element

// lines: [{xs, ys, color, width, faint, low, high, title, run, marks: [[x, word]]}]
function drawChart(element, lines, { title, xTitle = "", logX = false, logY = false, crop = false, height = 160, large = false }) {
  charts.get(element)?.destroy();
  const box = extent(lines, logX, logY, crop);
  if (!box) {
    charts.delete(element);
    element.replaceChildren(make("p", { class: "hint" }, "nothing to draw"));
    return;
  }
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
    },
    scales: {
      x: { time: false, distr: logX ? 3 : 1, range },
      y: { distr: logY ? 3 : 1, range },
    },
    axes: [
      { ...axis, size: large ? 42 : 24, label: large ? xTitle : null, labelSize: 18, labelFont: "12px system-ui", space: large ? 60 : 40, ...ticksOf(logX) },
      { ...axis, size: large ? 64 : 48, space: large ? 36 : 26, ...ticksOf(logY) },
    ],
    padding: [8, 10, 0, 0],
    series: [{}, { show: true, paths: () => null, points: { show: false } }],
    hooks: {
      draw: [(u) => paintLines(u, lines)],
      setCursor: [(u) => pointAt(u, lines, element)],
    },
  }, [box.x, box.y], element);
  chart.lines = lines;
  charts.set(element, chart);
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", `${title}: ${lines.filter((l) => !l.faint).length} curves`);
}

const ticksOf = (isLog) => (isLog ? { values: logNames, splits: logTicks, filter: (u, ticks) => ticks } : { values: names });
const names = (u, ticks) => ticks.map((v) => short(v));
function logNames(u, ticks) {
  const round = (v) => /^[125]e/.test(v.toExponential());
  const few = ticks.filter(round).length < 2; // of those that are named where there is more to see
  return ticks.map((v) => (few || round(v) ? short(v) : ""));
}

// 1, 2, ..., 9, 10, 20, ...; where fewer than three of them are seen, as on a linear axis.
function logTicks(u, axis, low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    for (let digit = 1; digit < 10; digit++) ticks.push(Number((digit * 10 ** power).toPrecision(12)));
  }
  const seen = ticks.filter((v) => v >= low && v <= high);
  if (seen.length > 2) return seen;
  const each = 10 ** Math.floor(Math.log10((high - low) / 2));
  return Array.from({ length: 40 }, (_, n) => Number(((Math.ceil(low / each) + n) * each).toPrecision(12))).filter((v) => v <= high);
}

function extent(lines, logX, logY, crop) {
  const box = { x: [Infinity, -Infinity], y: [Infinity, -Infinity] };
  const take = (side, v, isLog) => {
    if (!Number.isFinite(v) || (isLog && v <= 0)) return;
    if (v < box[side][0]) box[side][0] = v;
    if (v > box[side][1]) box[side][1] = v;
  };
  for (const line of lines) {
    for (const x of line.xs) take("x", x, logX);
    for (const y of line.ys) take("y", y, logY);
  }
  if (box.x[0] > box.x[1] || box.y[0] > box.y[1]) return null;
  if (crop) {
    const fences = fencesOf(lines.flatMap((line) => line.ys.filter((y) => Number.isFinite(y) && !(logY && y <= 0))));
    box.y = [Math.max(box.y[0], fences[0]), Math.min(box.y[1], fences[1])];
  }
  return { x: padded(box.x, logX, 0), y: padded(box.y, logY, 0.06) };
}

// Tukey 1977: what lies further from the quartiles than 1.5 times their distance is an outlier.
function fencesOf(values) {
  const order = Float64Array.from(values).sort();
  const [low, high] = [0.25, 0.75].map((part) => order[Math.round(part * (order.length - 1))]);
  const reach = 1.5 * (high - low);
  return reach ? [low - reach, high + reach] : [order[0], order.at(-1)];
}

function padded([low, high], isLog, part) {
  if (low === high) return isLog ? [low / 2, high * 2] : [low - (Math.abs(low) * 0.1 || 1), high + (Math.abs(high) * 0.1 || 1)];
  if (isLog) return [low / (high / low) ** part, high * (high / low) ** part];
  return [low - part * (high - low), high + part * (high - low)];
}

function paintLines(u, lines) {
  const { ctx } = u;
  const ratio = uPlot.pxRatio;
  const at = (x, y) => [u.valToPos(x, "x", true), u.valToPos(y, "y", true)];
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
  for (const line of lines) {
    ctx.strokeStyle = ctx.fillStyle = line.color;
    if (line.low) {
      ctx.globalAlpha = 0.18;
      ctx.beginPath();
      line.xs.forEach((x, n) => ctx.lineTo(...at(x, line.high[n])));
      [...line.xs.keys()].reverse().forEach((n) => ctx.lineTo(...at(line.xs[n], line.low[n])));
      ctx.fill();
    }
    ctx.globalAlpha = line.faint ? 0.25 : 1;
    ctx.lineWidth = (line.width ?? 1.5) * ratio * (u.near === line.run && u.near !== undefined ? 2 : 1);
    ctx.beginPath();
    line.xs.forEach((x, n) => ctx.lineTo(...at(x, line.ys[n])));
    ctx.stroke();
    if (line.xs.length < 2) {
      ctx.beginPath();
      line.xs.forEach((x, n) => { const [a, b] = at(x, line.ys[n]); ctx.arc(a, b, 2.5 * ratio, 0, 7); });
      ctx.fill();
    }
    ctx.globalAlpha = 1;
    for (const [x, word] of line.marks ?? []) paintMark(ctx, at(x, between(line.xs, line.ys, x)), word, ratio);
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
    found.push({ line, y, distance: Math.abs(u.valToPos(y, "y") - top) });
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
