// Classifies images in the browser. Everything that is loaded lies in the folder of this file.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { prepare, withoutAlpha } from "./prepare.js";

const TOP = 5;
const CAMERA_PAUSE = 100; // milliseconds between two images of the camera
const at = (id) => document.getElementById(id);
let about;
let network;
let stream;

async function start() {
  about = await (await fetch("page.json")).json();
  showSamples();
  await loadLiteRt("litert/");
  network = await loadAndCompile(about.file, { accelerator: "wasm" });
  await run(new Float32Array(about.size * about.size * 3)); // the first call takes longer than the others
  say("Choose an image or a sample.");
  document.body.dataset.state = "ready";
}

function say(text, kind = "") {
  at("status").textContent = text;
  at("status").className = kind;
}

function fail(error) {
  const memory = error instanceof RangeError || /memory|alloc/i.test(String(error));
  say(memory ? `The network does not fit into the memory of this browser: ${error}` : String(error), "wrong");
  document.body.dataset.state = "failed";
}

function showSamples() {
  for (const sample of about.samples) {
    const button = document.createElement("button");
    button.type = "button";
    const image = new Image();
    image.src = sample.file;
    image.alt = "";
    image.className = about.size < 100 ? "small" : "";
    button.append(image, sample.expected);
    button.addEventListener("click", () => guarded(() => classifySample(sample)));
    const item = document.createElement("li");
    item.append(button);
    at("samples").append(item);
  }
}

/** The outputs of the network, and the milliseconds that it took. */
async function run(values) {
  const whole = about.type === "uint8";
  const input = new Tensor(whole ? Uint8Array.from(values, Math.round) : values, [1, about.size, about.size, 3]);
  const begin = performance.now();
  const [output] = await network.run(input);
  const milliseconds = performance.now() - begin;
  const scores = Array.from(await output.data());
  input.delete();
  output.delete();
  return { scores, milliseconds };
}

function probabilities(scores) {
  if (about.values !== "logits") return scores;
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

async function classify(pixels, isPrepared, expected) {
  const values = isPrepared ? withoutAlpha(pixels) : prepare(pixels, about.preprocessing);
  const { scores, milliseconds } = await run(values);
  const shares = probabilities(scores);
  const order = shares.map((_, i) => i).sort((a, b) => shares[b] - shares[a]);
  show(values);
  at("classes").replaceChildren(...order.slice(0, TOP).map((k) => bar(about.classes[k], shares[k])));
  const best = about.classes[order[0]];
  if (expected === undefined) say(best);
  else say(best === expected ? `${best}, as expected` : `${best}; expected: ${expected}`,
    best === expected ? "right" : "wrong");
  at("time").textContent = `${milliseconds.toFixed(1)} ms for the image`;
  document.body.dataset.classified = String(1 + Number(document.body.dataset.classified ?? 0));
  return { scores, best, milliseconds };
}

function bar(name, share) {
  const item = document.createElement("li");
  const percent = `${(100 * share).toFixed(1)} %`;
  for (const [text, kind] of [["", "bar"], [name, ""], [percent, ""]]) {
    const part = document.createElement("span");
    part.textContent = text;
    part.className = kind;
    item.append(part);
  }
  item.firstChild.style.width = percent.replace(" ", "");
  return item;
}

/** Show the image as the network sees it. */
function show(values) {
  const canvas = at("image");
  canvas.width = canvas.height = about.size;
  canvas.className = about.size < 100 ? "small" : "";
  const pixels = new ImageData(about.size, about.size);
  for (let i = 0; i < about.size * about.size; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = values[3 * i + c];
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  canvas.hidden = Boolean(stream);
  at("hint").hidden = true;
}

/** The pixels of what can be drawn, upright. */
function pixelsOf(source, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** A decoded image, turned upright as its EXIF data say. */
function bitmapOf(blob) {
  return createImageBitmap(blob, { colorSpaceConversion: "none" });
}

async function classifyBitmap(image, isPrepared = false, expected = undefined) {
  const pixels = pixelsOf(image, image.width, image.height);
  image.close();
  return classify(pixels, isPrepared, expected);
}

async function classifySample(sample) {
  stopCamera();
  const image = await bitmapOf(await (await fetch(sample.file)).blob());
  return classifyBitmap(image, true, sample.expected);
}

async function classifyFile(file) {
  stopCamera();
  if (!file) throw new Error("This is not a file: choose or drop an image file.");
  const image = await bitmapOf(file).catch(() => {
    throw new Error(`${file.name} is not an image that this browser can read.`);
  });
  return classifyBitmap(image);
}

async function toggleCamera() {
  if (stream) {
    stopCamera();
    return;
  }
  if (!navigator.mediaDevices) throw new Error("The camera needs a page from localhost or over https.");
  at("camera").disabled = true; // a second click would start the camera twice
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    throw new Error(`The camera cannot be used: ${error.message}.`);
  } finally {
    at("camera").disabled = false;
  }
  const video = at("video");
  video.srcObject = stream;
  await video.play();
  video.hidden = false;
  at("camera").textContent = "stop the camera";
  while (stream) {
    await classify(pixelsOf(video, video.videoWidth, video.videoHeight), false);
    await new Promise((resolve) => setTimeout(resolve, CAMERA_PAUSE));
  }
}

function stopCamera() {
  if (stream) at("image").hidden = false; // the last image that was classified
  stream?.getTracks().forEach((track) => track.stop());
  stream = undefined;
  at("video").hidden = true;
  at("camera").textContent = "use the camera";
}

/** Do something with the network; what goes wrong is a sentence on the page. */
async function guarded(work) {
  if (document.body.dataset.state !== "ready") return undefined;
  try {
    return await work();
  } catch (error) {
    stopCamera();
    say(error.message ?? String(error), "wrong");
    return undefined;
  }
}

at("file").addEventListener("change", (event) => {
  guarded(() => classifyFile(event.target.files[0]));
  event.target.value = "";
});
at("camera").addEventListener("click", () => guarded(toggleCamera));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") guarded(() => classifyFile(event.dataTransfer.files[0]));
  });
}
// For whoever embeds the page, and for its test.
window.page = { classifySample, about: () => about };
start().catch(fail);
