"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const color = (i) => `hsl(${(i * 137.5) % 360} 62% ${i % 2 ? 36 : 48}%)`;
const shown = new Set(data.labels.keys());
const options = { responsive: true, displaylogo: false };
const layout = (more) => Object.assign(
  { margin: { l: 70, r: 20, t: 30, b: 50 }, height: 400, hovermode: "closest" }, more);

document.querySelectorAll(".swatch").forEach((s) => { s.style.background = color(+s.dataset.run); });

// Curves
function drawCurves() {
  const name = byId("curve-name").value;
  const traces = (data.curves[name] || []).map((points, i) => ({
    x: points.map((p) => p[0]), y: points.map((p) => p[1]), name: data.labels[i],
    mode: points.length < 30 ? "lines+markers" : "lines", line: { color: color(i), width: 1.6 },
    visible: shown.has(i),
  })).filter((trace) => trace.visible && trace.x.length);
  Plotly.react("curve-plot", traces, layout({
    xaxis: { title: { text: "kimg (thousands of images seen)" } },
    yaxis: { title: { text: name }, type: byId("log-y").checked ? "log" : "linear" },
    showlegend: traces.length <= 20,
  }), options);
}

// Samples: of every run the newest grid that is not later than the slider.
const slider = byId("kimg");
function drawGrids() {
  if (!slider) return;
  const limit = +slider.dataset.values.split(" ")[slider.value];
  byId("kimg-shown").textContent = limit.toLocaleString("en", { maximumFractionDigits: 1 });
  slider.setAttribute("aria-valuetext", `${limit} kimg`);
  const figures = [...shown].sort((a, b) => a - b).map((i) => {
    const grid = data.grids[i].filter(([kimg]) => kimg <= limit).pop();
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    if (grid) {
      const image = document.createElement("img");
      image.src = grid[1];
      image.alt = `samples of ${data.labels[i]} at ${grid[0]} kimg`;
      figure.append(image);
    }
    caption.textContent = data.labels[i] + (grid ? `, ${grid[0]} kimg` : ": nothing yet");
    figure.append(caption);
    return figure;
  });
  byId("grids").classList.toggle("few", figures.length <= 6);
  byId("grids").replaceChildren(...figures);
}

// Table
const body = document.querySelector("#runs tbody");
const titles = [...document.querySelectorAll("#runs thead th")];
function sortBy(column) {
  const title = titles[column];
  const direction = title.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  titles.forEach((t) => t.hasAttribute("aria-sort") && t.setAttribute("aria-sort", "none"));
  title.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  const key = (row) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value;
  };
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // what has no value comes last
    const [m, n] = [Number(x), Number(y)];
    return direction * (isNaN(m) || isNaN(n) ? x.localeCompare(y, "en", { numeric: true }) : m - n);
  };
  body.append(...[...body.rows].sort(compare));
}
titles.forEach((title, column) => {
  const button = title.querySelector("button");
  if (button) button.addEventListener("click", () => sortBy(column));
});
function refresh() {
  for (const row of body.rows) {
    const run = +row.dataset.run;
    if (row.querySelector("input").checked) shown.add(run); else shown.delete(run);
  }
  byId("all").checked = shown.size === data.labels.length;
  drawCurves();
  drawGrids();
}
body.addEventListener("change", refresh);
byId("all").addEventListener("change", (event) => {
  for (const box of body.querySelectorAll("input")) box.checked = event.target.checked;
  refresh();
});
byId("curve-name").addEventListener("change", drawCurves);
byId("log-y").addEventListener("change", drawCurves);
if (slider) slider.addEventListener("input", drawGrids);

// Sweep
if (data.sweep && data.sweep.trials.length) {
  const { dimensions, outcomes, importances, trials } = data.sweep;
  // Parallel coordinates as plain lines: Plotly's own need WebGL, which not every browser has.
  const axes = [...dimensions, ...outcomes];
  const name = (d, value) => d.choices ? d.choices[value] : Number(value.toPrecision(4)).toString();
  const scaled = axes.map((d) => {
    const [low, high] = [Math.min(...d.values), Math.max(...d.values)];
    return d.values.map((v) => (high > low ? (v - low) / (high - low) : 0.5));
  });
  const quality = scaled[dimensions.length];
  const lines = trials.map((trial, i) => ({
    x: axes.map((d) => d.label), y: scaled.map((values) => values[i]), name: `trial ${trial}`,
    mode: "lines+markers", line: { color: `hsl(${260 - 210 * quality[i]} 65% 45%)`, width: 1.5 },
    text: axes.map((d) => `${d.label} = ${name(d, d.values[i])}`), hovertemplate: "%{text}",
  }));
  const ends = axes.flatMap((d) => [Math.min, Math.max].map((end, i) => ({
    x: d.label, y: i, yshift: i ? 14 : -14, showarrow: false, text: name(d, end(...d.values)),
  })));
  Plotly.newPlot("parallel", lines, layout({
    annotations: ends, showlegend: trials.length <= 20, margin: { l: 60, r: 20, t: 50, b: 50 },
    xaxis: { side: "top", showgrid: true, type: "category" },
    yaxis: { visible: false, range: [-0.12, 1.12] },
  }), options);
  if (outcomes.length > 1) {
    byId("pareto").hidden = false;
    Plotly.newPlot("pareto", [{
      x: outcomes[0].values, y: outcomes[1].values, mode: "markers+text", marker: { size: 11 },
      text: trials.map((t) => `trial ${t}`), textposition: "top center",
    }], layout({ xaxis: { title: { text: outcomes[0].label } }, yaxis: { title: { text: outcomes[1].label } } }), options);
  }
  const bars = importances.map((found, i) => ({
    type: "bar", orientation: "h", name: outcomes[i].label,
    x: Object.values(found).reverse(), y: Object.keys(found).reverse(),
  }));
  Plotly.newPlot("importance", bars, layout({
    margin: { l: 260, r: 20, t: 20, b: 40 }, barmode: "group", height: 120 + 40 * dimensions.length,
    xaxis: { range: [0, 1], title: { text: "share" } },
  }), options);
}
drawCurves();
drawGrids();
