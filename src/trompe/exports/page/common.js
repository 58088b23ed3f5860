"use strict";
const meta = JSON.parse(document.getElementById("meta").textContent);
const byId = (id) => document.getElementById(id);
let session = null;

// Base64 of gzip, as the folder's scripts hold what a page opened from a file cannot fetch.
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function start() {
  const { env, InferenceSession } = globalThis.onnxruntime;
  env.wasm.numThreads = 1;
  env.wasm.wasmBinary = (await unpack(globalThis.RUNTIME)).buffer;
  session = await InferenceSession.create(await unpack(globalThis.MODEL));
}

// Inputs by name, each { data, shape } of one image or several; returns { data, dims }.
async function compute(inputs) {
  const feeds = {};
  for (const [name, { data, shape }] of Object.entries(inputs)) {
    feeds[name] = new globalThis.onnxruntime.Tensor("float32", data, shape);
  }
  return (await session.run(feeds))[meta.output];
}

// A model with a fixed batch gets the same image that often.
function repeated(data, shape) {
  const times = meta.batch || 1;
  const all = new Float32Array(data.length * times);
  for (let i = 0; i < times; i++) all.set(data, i * data.length);
  return { data: all, shape: [times, ...shape] };
}

function draw(canvas, { data, dims }, index = 0) {
  const [, channels, height, width] = dims;
  const area = height * width, first = index * channels * area;
  const picture = new ImageData(width, height);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) {
      picture.data[4 * i + c] = Math.round(data[first + (c % channels) * area + i] * 127.5 + 127.5);
    }
    picture.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  if (canvas.id === "result") canvas.parentElement.style.aspectRatio = width / height;
  canvas.classList.toggle("small", Math.max(width, height) < 100);
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

function say(text, failed = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("failed", failed);
}

// Only the newest of the jobs that come while one runs is done.
let running = false, waiting = null;
async function schedule(job) {
  waiting = job;
  if (running || !session) return;
  running = true;
  while (waiting) {
    const next = waiting;
    waiting = null;
    document.body.classList.add("busy");
    say("Working …");
    await new Promise((resolve) => setTimeout(resolve, 30)); // lets the page be drawn
    try {
      const began = performance.now();
      await next();
      const took = performance.now() - began;
      const { width, height } = byId("result");
      say(`${width} × ${height} pixels in ${took < 1000 ? `${took.toFixed(0)} ms` : `${(took / 1000).toFixed(1)} s`}`);
      byId("save").disabled = false;
      document.body.dataset.made = +(document.body.dataset.made || 0) + 1;
    } catch (error) {
      say(`This did not work: ${error.message || error}. A smaller size needs less memory.`, true);
    }
    document.body.classList.remove("busy");
  }
  running = false;
}

byId("save").addEventListener("click", () => {
  byId("result").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "trompe.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
});

async function open(show) {
  document.body.classList.add("busy");
  try {
    await start();
  } catch (error) {
    document.body.classList.remove("busy");
    say(`The model cannot be loaded: ${error.message || error}`, true);
    return;
  }
  show();
}
