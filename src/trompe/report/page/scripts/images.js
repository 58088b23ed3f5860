// Sample grids: of every run the newest that is not later than the slider.
let steps = []; // all kimg at which some run has a grid
const stepNow = () => (view.kimg < 0 ? steps.length - 1 : Math.max(0, steps.filter((kimg) => kimg <= view.kimg).length - 1));

function gridAt(i, kimg) {
  return data.grids[i].filter(([at]) => at <= kimg).at(-1) ?? null;
}

function caption(i, kimg) {
  const metric = data.metrics[0];
  const curve = metric && data.curves[metric.name]?.[i];
  return captionOf(i, kimg, metric, curve ? valueAt(curve, kimg) : null);
}

// What the run reached, as the table says it.
function filmCaption(i) {
  const metric = data.metrics[0];
  const word = view.value === "at" ? `at ${short(view.at)} kimg` : view.value;
  return captionOf(i, data.grids[i].at(-1)[0], metric, metric ? lookUp(i, metric.name) : null, `${word} `);
}

function captionOf(i, kimg, metric, value, word = "") {
  const where = kimg === null ? ": nothing yet" : `, ${short(kimg)} kimg`;
  return make("figcaption", {}, make("span", { class: "swatch", style: `background:${colorOf(i)}` }),
    titleOf(i) + where, value === null ? null : make("span", { class: "id" }, ` ${word}${metric.name} ${short(value)}`));
}

function pictureOf(i, [kimg, url]) {
  return make("button", { type: "button", class: "picture", title: "enlarge", onclick: () => update({ light: lightKey({ a: i, kimg }) }) },
    make("img", { src: url, alt: `samples of ${data.runs[i].name} at ${kimg} kimg`, loading: "lazy" }));
}

function drawGrids() {
  const limit = steps[stepNow()] ?? 0;
  byId("kimg").value = stepNow();
  byId("kimg").setAttribute("aria-valuetext", `${limit} kimg`);
  byId("kimg-shown").textContent = short(limit);
  const place = byId("grids");
  const having = shown.filter((i) => data.grids[i].length);
  const reals = [...new Set(having.map((i) => data.real[i]).filter((n) => n !== null))];
  const realOf = (n) => realFigure(n, having.find((i) => data.real[i] === n), limit);
  if (view.film) {
    place.className = "films";
    place.replaceChildren(...(reals.length ? [make("div", { class: "strip" }, ...reals.map(realOf))] : []), ...having.map(filmOf));
    return;
  }
  place.className = having.length + reals.length <= 6 ? "few" : "";
  place.replaceChildren(
    ...reals.map(realOf),
    ...having.map((i) => {
      const grid = gridAt(i, limit);
      return make("figure", {}, grid ? pictureOf(i, grid) : null, caption(i, grid ? grid[0] : null));
    }));
}

function realFigure(n, a, kimg) {
  const credit = data.credits[n]?.replace(/CC [A-Z-]+ [\d.]+/g, (license) => license.replaceAll(" ", "\u00a0"));
  return make("figure", { class: "real" },
    make("button", { type: "button", class: "picture", title: "enlarge", onclick: () => update({ light: lightKey({ a, kimg, b: "real" }) }) },
      make("img", { src: data.reals[n], alt: "real images", loading: "lazy" })),
    make("figcaption", {}, make("b", {}, "real images"), credit ? make("span", { class: "id" }, ` ${credit}`) : null));
}

const MANY_FRAMES = 4; // with more, the noise before training is left out
function filmOf(i) {
  const kept = data.grids[i].filter(([kimg]) => kimg > 0 || data.grids[i].length <= MANY_FRAMES);
  const frames = kept.map((grid) => make("figure", {}, pictureOf(i, grid), make("figcaption", {}, `${short(grid[0])} kimg`)));
  return make("figure", { class: "film" }, filmCaption(i), make("div", { class: "strip" }, ...frames));
}

let playing = 0;
function play() {
  clearInterval(playing);
  if (playing) { playing = 0; byId("play").textContent = "▶"; return; }
  byId("play").textContent = "⏸";
  playing = setInterval(() => update({ kimg: steps[(stepNow() + 1) % steps.length] }), 600);
}
byId("play").addEventListener("click", play);
byId("kimg").addEventListener("input", (event) => {
  const step = Number(event.target.value);
  update({ kimg: step === steps.length - 1 ? -1 : steps[step] });
});
sections.push({ id: "samples", uses: [...CHOOSES, "color", "kimg", "film"], draw: drawGrids });
