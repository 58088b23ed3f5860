// One picture large, or two on top of each other: swiped, blinking, or subtracted.
const MODES = ["one", "swipe", "blink", "difference"];
const light = { a: 0, b: null, kimg: 0, mode: "one", zoom: 0, cut: 50 };
let blinking = 0;

const nameInLink = (i) => (i === "real" ? "real" : data.runs[i].label);
function lightKey(changes) {
  const next = { ...light, ...changes };
  return [nameInLink(next.a), next.kimg, next.mode, next.b === null ? "" : nameInLink(next.b), next.zoom].join("|");
}

function readLight() {
  const [a, kimg, mode, b, zoom] = view.light.split("|");
  const find = (label) => data.runs.findIndex((run) => run.label === label);
  light.a = find(a);
  if (light.a < 0) return false;
  light.kimg = Number(kimg) || 0;
  light.mode = MODES.includes(mode) ? mode : "one";
  light.b = b === "real" ? "real" : b && find(b) >= 0 ? find(b) : null;
  light.zoom = Math.min(Math.max(Number(zoom) || 0, 0), 8);
  return true;
}

const having = () => shown.filter((i) => data.grids[i].length);
const urlOf = (who) => (who === "real" ? data.reals[data.real[light.a]] : gridAt(who, light.kimg)?.[1]) ?? "data:,";
const titleIn = (who) => (who === "real" ? "real images" : titleOf(who));

function drawLight() {
  const dialog = byId("light");
  clearInterval(blinking);
  if (!view.light || !readLight()) { if (dialog.open) dialog.close(); return; }
  if (light.mode !== "one" && light.b === null) light.b = having().find((i) => i !== light.a) ?? (data.real[light.a] === null ? light.a : "real");
  const two = light.mode !== "one";
  const radios = MODES.map((mode, n) => make("button", { type: "button", "aria-pressed": String(mode === light.mode), title: `key ${n + 1}`, onclick: () => turn({ mode }) }, mode === "difference" ? "difference ×4" : mode));
  const choice = (key) => make("select", { "aria-label": key === "a" ? "run" : "other run", onchange: (e) => turn({ [key]: e.target.value === "real" ? "real" : Number(e.target.value) }) },
    ...having().map((i) => make("option", { value: i, selected: i === light[key] }, titleOf(i))),
    key === "b" && data.real[light.a] !== null ? make("option", { value: "real", selected: light.b === "real" }, "real images") : null);
  const legendText = !two ? titleIn(light.a) : light.mode === "swipe" ? `left: ${titleIn(light.a)}, right: ${titleIn(light.b)}` : `${titleIn(light.a)} against ${titleIn(light.b)}`;
  const bar = make("div", { class: "bar" }, ...radios,
    make("button", { type: "button", class: "close", "aria-label": "close", onclick: () => update({ light: "" }) }, "✕"), choice("a"), two ? make("span", {}, "against") : null, two ? choice("b") : null,
    make("output", {}, `${short(gridAt(light.a, light.kimg)?.[0] ?? 0)} kimg`),
    make("button", { type: "button", title: "key −", onclick: () => turn({ zoom: Math.max(light.zoom - 1, 0) }) }, "−"),
    make("output", { id: "zoom-shown" }, light.zoom ? `${light.zoom}×` : "fit"),
    make("button", { type: "button", title: "key +", onclick: () => turn({ zoom: Math.min(light.zoom + 1, 8) }) }, "+"));
  const stage = make("div", { class: "stage" });
  const focused = [...dialog.querySelectorAll(".bar > *")].indexOf(document.activeElement);
  dialog.replaceChildren(bar, make("div", { class: "view" }, stage),
    make("p", { class: "legend" }, legendText));
  if (!dialog.open) dialog.showModal();
  (bar.children[focused] ?? bar.children[MODES.indexOf(light.mode)]).focus();
  fill(stage);
}

function turn(changes) { update({ light: lightKey(changes) }); }

function layer(who, className) {
  const image = make("img", { src: urlOf(who), alt: `samples of ${titleIn(who)}`, class: className });
  image.addEventListener("load", () => resizeLight(image));
  return image;
}

function resizeLight(image) {
  const first = image.parentElement?.querySelector("img");
  if (first) fitStage(image.parentElement, first.naturalWidth, first.naturalHeight);
}

// Whole multiples of the picture's own pixels, or what fits.
function fitStage(stage, wide, high) {
  const space = stage.closest(".view");
  if (!space || !wide) return;
  const fit = Math.min((space.clientWidth - 8) / wide, (space.clientHeight - 8) / high); // within the padding
  const scale = light.zoom || (fit > 2 ? Math.floor(fit) : fit);
  stage.style.width = `${wide * scale}px`;
  stage.style.height = `${high * scale}px`;
}

function fill(stage) {
  stage.className = `stage ${light.mode}`;
  if (light.mode === "one") { stage.append(layer(light.a, "a")); return; }
  if (light.mode === "difference") { subtract(stage); return; }
  const [under, over] = [layer(light.b, "b"), layer(light.a, "a")];
  stage.append(under, over);
  if (light.mode === "blink") {
    blinking = setInterval(() => { over.style.visibility = over.style.visibility === "hidden" ? "" : "hidden"; }, 500);
    return;
  }
  const cut = (percent) => {
    light.cut = Math.min(Math.max(percent, 0), 100);
    over.style.clipPath = `inset(0 ${100 - light.cut}% 0 0)`;
    handle.style.left = `${light.cut}%`;
    handle.setAttribute("aria-valuenow", Math.round(light.cut));
  };
  const handle = make("div", { class: "handle", role: "slider", tabindex: "0", "aria-label": "border between the runs", "aria-valuemin": 0, "aria-valuemax": 100 });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
    if (step) { cut(light.cut + step); event.stopPropagation(); event.preventDefault(); }
  });
  stage.append(handle);
  const drag = (event) => { const box = stage.getBoundingClientRect(); cut(100 * (event.clientX - box.left) / box.width); };
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); drag(event); });
  stage.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
  cut(light.cut);
}

// |A - B| times 4, so that what differs by a 64th is a 16th of white.
async function subtract(stage) {
  const pictures = [light.a, light.b].map((who) => { const image = new Image(); image.src = urlOf(who); return image; });
  try { await Promise.all(pictures.map((image) => image.decode())); } catch { return; }
  const [a, b] = pictures;
  const canvas = make("canvas", { width: a.naturalWidth, height: a.naturalHeight, role: "img", "aria-label": "difference times 4" });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const [first, second] = [a, b].map((image) => {
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  });
  for (let n = 0; n < first.data.length; n += 1) {
    if (n % 4 !== 3) first.data[n] = Math.min(4 * Math.abs(first.data[n] - second.data[n]), 255);
  }
  context.putImageData(first, 0, 0);
  stage.append(canvas);
  fitStage(stage, canvas.width, canvas.height);
}

function lightKeys(event) {
  if (!byId("light").open || event.target.matches("select")) return;
  const runs = having();
  const along = (list, now, by) => list[Math.min(Math.max(list.indexOf(now) + by, 0), list.length - 1)];
  const now = steps.filter((kimg) => kimg <= light.kimg).at(-1) ?? steps[0];
  const other = event.shiftKey && light.mode !== "one" ? "b" : "a";
  const changes = {
    ArrowLeft: () => ({ kimg: along(steps, now, -1) }), ArrowRight: () => ({ kimg: along(steps, now, 1) }),
    ArrowUp: () => ({ [other]: along(runs, light[other], -1) }), ArrowDown: () => ({ [other]: along(runs, light[other], 1) }),
    "+": () => ({ zoom: Math.min(light.zoom + 1, 8) }), "-": () => ({ zoom: Math.max(light.zoom - 1, 0) }), 0: () => ({ zoom: 0 }),
    1: () => ({ mode: "one" }), 2: () => ({ mode: "swipe" }), 3: () => ({ mode: "blink" }), 4: () => ({ mode: "difference" }),
  }[event.key];
  if (!changes) return;
  event.preventDefault();
  turn(changes());
}
addEventListener("keydown", lightKeys);
byId("light").addEventListener("close", () => { clearInterval(blinking); update({ light: "" }); });
sections.push({ id: "light", always: true, uses: ["light", "theme"], draw: drawLight });
