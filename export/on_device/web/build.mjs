// Puts the page, LiteRT.js and a model into dist/, for any server of static files.
//
//   npm run build -- ../../../models/flowers/tflite/1                      float16, or the next best that is there
//   npm run build -- ../../../models/flowers/tflite/1/int8_batch1.tflite   this one

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const HERE = import.meta.dirname, DIST = join(HERE, "dist"), LITERT = join(HERE, "node_modules/@litertjs");
const PAGE = ["index.html", "page.js", "worker.js", "draw.js", "noise.js", "encoders.js"];
// By what the browser can do. Not the one with threads: it asks for headers that not every server sends.
const RUNTIMES = ["", "compat_", "jspi_"].map((kind) => `litert_wasm_${kind}internal`);
const GENERATORS = ["float16", "float32", "dynamic", "int8"].map((kind) => `${kind}_batch1.tflite`); // the best first

function refuse(message) {
  console.error(`error: ${message}`);
  process.exit(2);
}

function generator(named) {
  const files = named.endsWith(".tflite") ? [named] : GENERATORS.map((name) => join(named, name));
  const found = files.find((file) => existsSync(file));
  if (!found) refuse(`${named}: no ..._batch1.tflite is there; python -m stackgan_tf.export --format=tflite makes it`);
  if (GENERATORS.includes(basename(found))) return found;
  refuse(`${found}: a page runs the files of batch 1 only: ${GENERATORS.join(", ")}`);
}

// Not a copy of the file: those of LiteRT.js may not be read by everybody, so not by every server.
function put(file, name, change = (bytes) => bytes) {
  mkdirSync(dirname(join(DIST, name)), { recursive: true });
  writeFileSync(join(DIST, name), change(readFileSync(file)));
}

if (process.argv.length !== 3) refuse("name the folder of a model: npm run build -- FOLDER");
if (!existsSync(LITERT)) refuse("LiteRT.js is not installed: npm install brings it");
const model = generator(process.argv[2]);
rmSync(DIST, { recursive: true, force: true });
for (const name of PAGE) put(join(HERE, name), name);

for (const name of RUNTIMES.flatMap((runtime) => [`${runtime}.js`, `${runtime}.wasm`])) {
  put(join(LITERT, "core/wasm", name), `litert/${name}`);
}
put(join(LITERT, "wasm-utils/dist/index.js"), "litert/wasm-utils.js");
put(join(LITERT, "core/dist/index.js"), "litert/index.js", (code) => // a worker has no import map
  String(code).replace('"@litertjs/wasm-utils"', '"./wasm-utils.js"'));

put(model, "model/generator.tflite");
for (const name of ["model_card.json", "text_encoder.tflite"]) {
  const beside = join(dirname(model), name);
  if (existsSync(beside)) put(beside, `model/${name}`);
}
console.log(`dist: the page with ${model}`);
