// Sample grids: of every run the newest that is not later than the slider.
let steps = []; // all kimg at which some run has a grid
const stepNow = () => (view.kimg < 0 ? steps.length - 1 : Math.max(0, steps.filter((kimg) => kimg <= view.kimg).length - 1));

function gridAt(i, kimg) {
  return data.grids[i].filter(([at]) => at <= kimg).at(-1) ?? null;
}

function caption(i, kimg) {
  const metric = data.metrics[0];
  const curve = metric && data.curves[metric.name]?.[i];
  const value = curve ? valueAt(curve, kimg) : null;
  const where = kimg === null ? ": nothing yet" : `, ${short(kimg)} kimg`;
  return make("figcaption", {}, make("span", { class: "swatch", style: `background:${colorOf(i)}` }),
    titleOf(i) + where, value === null ? null : make("span", { class: "id" }, ` ${metric.name} ${short(value)}`));
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
  if (view.film) {
    place.className = "films";
    place.replaceChildren(...having.map(filmOf));
    return;
  }
  const reals = [...new Set(having.map((i) => data.real[i]).filter((n) => n !== null))];
  place.className = having.length + reals.length <= 6 ? "few" : "";
  place.replaceChildren(
    ...reals.map((n) => make("figure", { class: "real" },
      make("button", { type: "button", class: "picture", title: "enlarge", onclick: () => update({ light: lightKey({ a: having.find((i) => data.real[i] === n), kimg: limit, b: "real" }) }) },
        make("img", { src: data.reals[n], alt: "real images", loading: "lazy" })),
      make("figcaption", {}, "real images", data.credits[n] ? make("span", { class: "id" }, ` ${data.credits[n]}`) : null))),
    ...having.map((i) => {
      const grid = gridAt(i, limit);
      return make("figure", {}, grid ? pictureOf(i, grid) : null, caption(i, grid ? grid[0] : null));
    }));
}

function filmOf(i) {
  const frames = data.grids[i].map((grid) => make("figure", {}, pictureOf(i, grid), make("figcaption", {}, `${short(grid[0])} kimg`)));
  return make("figure", { class: "film" }, caption(i, data.grids[i].at(-1)[0]), make("div", { class: "strip" }, ...frames));
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
