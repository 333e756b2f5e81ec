// From a sentence, a seed and a truncation to pictures, with LiteRT.js: the same pictures as stackgan_tf/on_device.py.

import { characters, hashing } from "./encoders.js";
import { loadAndCompile, loadLiteRt, Tensor } from "./litert/index.js"; // `npm run build` puts it there
import { draw as drawNoise } from "./noise.js";

const LITERT = new URL("litert/", import.meta.url).href;
const FORMAT = 1; // of the card, as in stackgan_tf/on_device.py
const SAME = 4; // grey levels of 255 by which WebGPU's picture may differ

// What is wrong, in words for whoever looks at the page.
export class Refusal extends Error {
  name = "Refusal";
}

export class Artist {
  // Draws with the model that lies beside the page. progress(loaded, total): bytes of it.
  static async load(progress) {
    const artist = new Artist();
    artist.card = await (await fetched("model_card.json")).json();
    if (artist.card.format !== FORMAT) {
      throw new Refusal(`This model is of another version than this page (format ${artist.card.format}, not ${FORMAT}).`);
    }
    const gpu = await startLiteRt();
    artist.encode = artist.card.text && (await encoderOf(artist.card.text));
    artist.run = await fastest(await downloaded("generator.tflite", progress), gpu);
    return artist;
  }

  // A picture at every scale, { side, levels: RGBA }, the coarsest first. seed: a BigInt.
  async draw(sentence, seed, truncation) {
    const inputs = mapped(this.card.noise, (told) => drawNoise(seed, told).map((x) => Math.fround(truncation) * x));
    if (this.encode) inputs.text_embedding = await this.encode(sentence);
    const images = await this.run(inputs);
    return this.card.scales.map((side) => ({ side, levels: greyLevels(images[`image_${side}`]) }));
  }
}

// A function from a sentence to its embedding, for what the card tells of the text.
async function encoderOf({ encoder, size }) {
  const embed = await {
    hashing: () => (sentence) => hashing(sentence, size),
    char_cnn_rnn: async () => {
      const run = await compiled(await downloaded("text_encoder.tflite"), "wasm");
      return async (sentence) => (await run({ characters: characters(sentence) })).text_embedding;
    },
  }[encoder]?.();
  if (!embed) {
    throw new Refusal(`This model's text encoder, ${encoder}, does not run in a page; hashing and char_cnn_rnn do.`);
  }
  return async (sentence) => {
    const embedding = await embed(sentence);
    if (!sentence.trim() || !embedding.some((x) => x)) throw new Refusal("The sentence has no word to draw.");
    return embedding;
  };
}

// Whether WebGPU can be tried. A model is on it in parts, between which it waits: this takes WebAssembly with JSPI.
async function startLiteRt() {
  self.Module = { locateFile: (name) => LITERT + name, printErr: console.debug }; // it tells all it does as errors
  try {
    const gpu = "Suspending" in WebAssembly && Boolean(await navigator.gpu?.requestAdapter());
    await loadLiteRt(LITERT, { jspi: gpu });
    return gpu;
  } catch (error) {
    throw new Refusal(`WebAssembly does not run in this browser (${error.message ?? "its files cannot be loaded"}).`);
  }
}

// The model on WebGPU where this draws the same picture sooner, else on the processor.
async function fastest(bytes, gpuThere) {
  const processor = await compiled(bytes, "wasm");
  if (!gpuThere) return processor;
  try {
    const gpu = await compiled(bytes, "webgpu");
    const [expected, found] = [await trial(processor), await trial(gpu)];
    const same = Object.entries(expected.levels).every(([name, levels]) =>
      levels.every((level, i) => Math.abs(level - found.levels[name][i]) <= SAME));
    const [better, worse] = same && found.took < expected.took ? [gpu, processor] : [processor, gpu];
    worse.model.delete();
    return better;
  } catch (error) {
    console.warn(error);
    return processor;
  }
}

// What it draws for some noise as its inputs, and the milliseconds, those of the second time.
async function trial(run) {
  const inputs = Object.fromEntries(run.model.getInputDetails().map(({ name, shape }, stream) =>
    [name, drawNoise(0n, { size: shape[1], stream, distribution: "normal" })]));
  await run(inputs);
  const start = performance.now();
  const levels = mapped(await run(inputs), greyLevels);
  return { levels, took: performance.now() - start };
}

// A model as a function of arrays by name, one row each, to arrays by name.
async function compiled(bytes, accelerator) {
  const model = await loadAndCompile(bytes, { accelerator, gpuOptions: { precision: "fp32" } });
  const run = async (inputs) => {
    const given = mapped(inputs, (numbers) => new Tensor(numbers, [1, numbers.length]));
    const found = await model.run(given);
    const arrays = {};
    for (const [name, tensor] of Object.entries(found)) arrays[name] = await tensor.data();
    for (const tensor of [...Object.values(given), ...Object.values(found)]) tensor.delete();
    return arrays;
  };
  return Object.assign(run, { model });
}

async function fetched(name) {
  const response = await fetch(`model/${name}`);
  if (response.ok) return response;
  throw new Refusal(`There is no model/${name} beside this page: npm run build -- FOLDER puts a model there.`);
}

async function downloaded(name, progress = () => {}) {
  const response = await fetched(name), total = Number(response.headers.get("Content-Length"));
  let loaded = 0;
  const counted = new TransformStream({
    transform(part, on) {
      progress((loaded += part.length), total);
      on.enqueue(part);
    },
  });
  return new Uint8Array(await new Response(response.body.pipeThrough(counted)).arrayBuffer());
}

// From RGB in [-1, 1] to RGBA of 256 levels; this kind of array rounds half to even, as numpy does.
function greyLevels(image) {
  const levels = new Uint8ClampedArray((image.length / 3) * 4).fill(255);
  image.forEach((x, i) => { levels[i + Math.floor(i / 3)] = Math.fround(Math.fround(x + 1) * 127.5); });
  return levels;
}

function mapped(record, change) {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}
