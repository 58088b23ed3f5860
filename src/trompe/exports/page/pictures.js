const names = Object.keys(meta.samples);
const given = {}; // by input: the picture as it came

// The side that the size speaks of: of contents the longer one, of styles the shorter.
function scaled(name, width, height) {
  if (meta.side) return [meta.side, meta.side];
  const wanted = name === "style" ? meta.style_side : +byId("size").value;
  const scale = wanted / (name === "style" ? Math.min : Math.max)(width, height);
  const most = 4 * wanted;
  return [width, height].map((n) => Math.max(16, Math.min(most, Math.round(n * scale))));
}

function place(name) {
  const picture = given[name], canvas = byId(name);
  const [width, height] = scaled(name, picture.width, picture.height);
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff"; // what is transparent shows white, as everywhere in trompe
  context.fillRect(0, 0, width, height);
  // A fixed square shows the middle of the picture.
  const side = Math.min(picture.width, picture.height);
  const [w, h] = meta.side ? [side, side] : [picture.width, picture.height];
  context.drawImage(picture, (picture.width - w) / 2, (picture.height - h) / 2, w, h, 0, 0, width, height);
}

function read(name) {
  const { width, height } = byId(name);
  const { data } = byId(name).getContext("2d").getImageData(0, 0, width, height);
  const area = width * height, numbers = new Float32Array(3 * area);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) numbers[c * area + i] = data[4 * i + c] / 127.5 - 1;
  }
  return repeated(numbers, [3, height, width]);
}

async function show() {
  draw(byId("result"), await compute(Object.fromEntries(names.map((name) => [name, read(name)]))));
}

async function take(name, blob) {
  try {
    given[name] = await createImageBitmap(blob);
  } catch {
    say("This file cannot be read as a picture.", true);
    return false;
  }
  place(name);
  if (names.every((other) => given[other])) schedule(show);
  return true;
}

// A data: URL cannot be fetched here, but its bytes are in it.
function blobOf(url) {
  const [head, text] = url.split(",");
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Blob([bytes], { type: head.slice(5, head.indexOf(";")) });
}

function press(name, chosen) {
  byId(`${name}-samples`).querySelectorAll("button").forEach((button) => {
    button.setAttribute("aria-pressed", button === chosen);
  });
}

for (const name of names) {
  meta.samples[name].forEach(([label, url], i) => {
    const button = document.createElement("button"), image = document.createElement("img");
    button.type = "button";
    button.title = label;
    Object.assign(image, { src: url, alt: label });
    button.append(image);
    button.addEventListener("click", () => {
      press(name, button);
      take(name, blobOf(url));
    });
    byId(`${name}-samples`).append(button);
    if (i === 0) button.click();
  });
  const drop = byId(`${name}-drop`);
  const takeFile = async (file) => {
    if (file && await take(name, file)) press(name, null);
  };
  byId(`${name}-file`).addEventListener("change", (event) => takeFile(event.target.files[0]));
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    takeFile(event.dataTransfer.files[0]);
  });
}
// A picture that misses its place must not replace the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
byId("size")?.addEventListener("change", () => {
  if (!given.content) return;
  place("content");
  schedule(show);
});
open(() => {
  if (names.every((name) => given[name])) schedule(show);
});
