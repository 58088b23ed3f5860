"use strict";
// The runs, and what can be asked of them.
const byId = (id) => document.getElementById(id);
let data = JSON.parse(byId("data").textContent);

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// At most five digits, as short as they can be typed.
function short(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const plain = String(Number(value.toPrecision(5)));
  const scientific = Number(value.toPrecision(5)).toExponential().replace("e+", "e");
  return plain.length <= scientific.length + 1 ? plain : scientific;
}

const metricOf = (name) => data.metrics.find((metric) => metric.name === name);
const isRanked = (name) => (metricOf(name) ?? { groups: [] }).groups.length <= 1;

// A column by its key, by the end of it, or by a key that follows it.
function columnOf(name) {
  return data.columns.find((c) => c.key === name)
    ?? data.columns.find((c) => c.short === name || c.followers.includes(name));
}

const PLAIN = ["status", "kimg", "minutes", "started", "name", "id", "experiment"];

// A run's value by a name that `trompe runs` knows too; undefined if no run can have it.
function lookUp(i, name) {
  const run = data.runs[i];
  if (name === "tag") return run.tags;
  if (PLAIN.includes(name)) return run[name];
  if (metricOf(name)) return metricValue(i, name);
  const column = columnOf(name);
  return column ? column.values[i] : undefined;
}

// How many of the ascending numbers are at most x.
function countUpTo(xs, x) {
  let [low, high] = [0, xs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle + 1; else high = middle;
  }
  return low;
}

// The last value that a curve has at or before x.
function valueAt([xs, ys], x) {
  const count = countUpTo(xs, x);
  return count ? ys[count - 1] : null;
}

function metricValue(i, name) {
  const run = data.runs[i];
  if (view.value === "best") return run.best[name] ?? null;
  if (view.value === "last") return run.last[name] ?? null;
  return data.curves[name] ? valueAt(data.curves[name][i], view.at) : null;
}

// Minutes at a kimg, between the ticks.
function minutesAt(i, kimg) {
  const [xs, ys] = data.clocks[i];
  const next = xs.findIndex((x) => x >= kimg);
  if (next === -1) return ys.at(-1) ?? 0;
  if (next === 0) return xs[0] ? ys[0] * kimg / xs[0] : 0;
  const part = (kimg - xs[next - 1]) / (xs[next] - xs[next - 1]);
  return ys[next - 1] + part * (ys[next] - ys[next - 1]);
}

function along(i, kimg, axis) {
  if (axis === "kimg") return kimg;
  return minutesAt(i, kimg) * (axis === "cost" ? data.runs[i].devices : 1);
}

// Colors
const isDark = () => document.documentElement.dataset.theme === "dark";
const PALETTE = [[211, 70], [28, 85], [142, 50], [354, 70], [271, 45], [18, 35], [322, 60], [190, 75], [52, 75], [90, 45]];
function paint(n) {
  const [hue, strength] = n < PALETTE.length ? PALETTE[n] : [(n * 137.5) % 360, 60];
  return `hsl(${hue} ${strength}% ${isDark() ? 64 : n % 3 === 2 ? 38 : 46}%)`;
}
const shade = (part) => `hsl(${Math.round(265 - 215 * part)} 70% ${isDark() ? 62 : 44}%)`;

// How runs are colored: each its own, or by a key's value; grouped runs have their group's color.
let legend = []; // [color, value]
let legendEnds = null; // of a key with many numbers: the lowest and the highest
function makeColors() {
  [legend, legendEnds] = [[], null];
  const name = view.color || view.group;
  if (!name) return (i) => paint(i);
  const values = data.runs.map((_, i) => groupValue(i, name));
  const distinct = [...new Set(values)];
  const numbers = distinct.filter((v) => v !== "none").map(Number);
  if (view.color && name !== "seeds" && distinct.length > 5 && numbers.every((n) => !isNaN(n))) {
    const order = [...numbers].sort((a, b) => a - b);
    legendEnds = [order[0], order.at(-1)].map(short);
    return (i) => values[i] === "none" ? "gray" : shade(order.indexOf(Number(values[i])) / Math.max(order.length - 1, 1));
  }
  distinct.sort((a, b) => String(a).localeCompare(String(b), "en", { numeric: true }));
  const colorFor = (value) => (value === "none" ? "gray" : paint(distinct.indexOf(value)));
  legend = distinct.map((value) => [colorFor(value), groupTitle([values.indexOf(value)], name)]);
  return (i) => colorFor(values[i]);
}

// The value by which runs are put together; runs without one are together too.
function groupValue(i, name) {
  if (name === "seeds") return String(data.runs[i].alike);
  const value = lookUp(i, name);
  return value === null || value === undefined ? "none" : short(value);
}
const groupTitle = (indices, name) => {
  if (name !== "seeds") return `${columnOf(name)?.short ?? name} ${groupValue(indices[0], name)}`;
  const names = indices.map((i) => data.runs[i].name.split(", ").filter((part) => !/^seed /.test(part)).join(", "));
  return names[0] || data.runs[indices[0]].experiment;
};
