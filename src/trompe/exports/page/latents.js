const size = meta.latent.reduce((a, b) => a * b, 1);
const shown = Math.min(size, 24), seeds = 12;
let latent = normal(0);

// Standard normal numbers of a seed: mulberry32, then Box and Muller.
function normal(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  return Float32Array.from({ length: size }, () =>
    Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

const sliders = Array.from({ length: shown }, (_, i) => {
  const label = document.createElement("label");
  const slider = document.createElement("input");
  const value = document.createElement("output");
  Object.assign(slider, { type: "range", min: -3, max: 3, step: 0.05, id: `z${i}` });
  slider.setAttribute("aria-label", `Latent coordinate ${i + 1}`);
  slider.addEventListener("input", () => {
    latent[i] = +slider.value;
    value.textContent = latent[i].toFixed(2);
    schedule(show);
  });
  label.append(`z${i + 1}`, slider, value);
  byId("sliders").append(label);
  return { slider, value };
});

async function show() {
  draw(byId("result"), await compute({ latents: repeated(latent, meta.latent) }));
}

function choose(seed) {
  byId("seed").value = seed;
  latent = normal(seed);
  sliders.forEach(({ slider, value }, i) => {
    slider.value = latent[i];
    value.textContent = latent[i].toFixed(2);
  });
  document.querySelectorAll("#grid button").forEach((button) => {
    button.setAttribute("aria-pressed", button.dataset.seed === String(seed));
  });
  schedule(show);
}

async function fillGrid(first) {
  for (let i = 0; i < seeds; i++) {
    const seed = (first + i) >>> 0;
    const button = document.createElement("button"), canvas = document.createElement("canvas");
    Object.assign(button, { type: "button" });
    button.dataset.seed = seed;
    button.setAttribute("aria-label", `Seed ${seed}`);
    button.setAttribute("aria-pressed", seed === +byId("seed").value);
    button.addEventListener("click", () => choose(seed));
    button.append(canvas);
    byId("grid").append(button);
    draw(canvas, await compute({ latents: repeated(normal(seed), meta.latent) }));
  }
}

byId("seed").addEventListener("change", () => choose(Math.max(0, Math.floor(+byId("seed").value) || 0) >>> 0));
byId("reset").addEventListener("click", () => choose(+byId("seed").value));
byId("new-seed").addEventListener("click", () => choose(Math.floor(Math.random() * 1e6)));
choose(0);
open(async () => {
  await schedule(show);
  await fillGrid(0);
});
