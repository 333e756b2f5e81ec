// The noise of a picture, from its seed alone: the same numbers as stackgan_tf/noise.py.
//
// Sources: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3: Philox-4x32-10.
// Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988): PPND16.

const WORD = 2 ** 32, MASK = 0xffffffffn;
const MULTIPLIERS = [0xd2511f53n, 0xcd9e8d57n], KEY_STEPS = [0x9e3779b9n, 0xbb67ae85n], ROUNDS = 10;
const BOUNDS = { normal: [0, 1], truncated_normal: [0.022750131948179195, 0.9772498680518208] }; // at 2 deviations

// The numbers of one input of a generator.
//   seed: of the picture, a BigInt of 64 bits
//   size, stream, distribution: as the model's card tells of the input
export function draw(seed, { size, stream, distribution }) {
  const [low, high] = BOUNDS[distribution];
  const numbers = new Float32Array(size), blocks = Math.ceil(size / 4);
  for (let block = 0; block < blocks; block++) { // first words first; what is written behind the end is dropped
    const words = philox([BigInt(block), BigInt(stream), 0n, 0n], [seed & MASK, (seed >> 32n) & MASK]);
    for (const [k, word] of words.entries()) {
      numbers[k * blocks + block] = inverseNormal(low + (high - low) * ((Number(word) + 0.5) / WORD));
    }
  }
  return numbers;
}

function philox(counter, key) {
  for (let round = 0; round < ROUNDS; round++) {
    const first = MULTIPLIERS[0] * counter[0], second = MULTIPLIERS[1] * counter[2];
    const [high, low] = [(second >> 32n) ^ counter[1] ^ key[0], (first >> 32n) ^ counter[3] ^ key[1]];
    counter = [high, second & MASK, low, first & MASK];
    key = key.map((word, i) => (word + KEY_STEPS[i]) & MASK);
  }
  return counter;
}

// AS 241's rational functions, the highest power first. Its third range, beyond sqrt(-log p) = 5, is not needed: the
// smallest p is 2^-33, where it is 4.78.
const MIDDLE = [
  [2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
    1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.387132872796366608],
  [5.226495278852854561e3, 2.8729085735721942674e4, 3.930789580009271061e4, 2.1213794301586595867e4,
    5.3941960214247511077e3, 6.871870074920579083e2, 4.2313330701600911252e1, 1],
];
const TAIL = [
  [7.7454501427834140764e-4, 2.27238449892691845833e-2, 2.4178072517745061177e-1, 1.27045825245236838258,
    3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734],
  [1.05075007164441684324e-9, 5.475938084995344946e-4, 1.51986665636164571966e-2, 1.4810397642748007459e-1,
    6.8976733498510000455e-1, 1.6763848301838038494, 2.05319162663775882187, 1],
];

const ratio = ([above, below], x) => polynomial(above, x) / polynomial(below, x);
const polynomial = (factors, x) => factors.reduce((sum, factor) => sum * x + factor);

function inverseNormal(p) {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) return q * ratio(MIDDLE, 0.180625 - q * q);
  return Math.sign(q) * ratio(TAIL, Math.sqrt(-Math.log(Math.min(p, 1 - p))) - 1.6);
}
