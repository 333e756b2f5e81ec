// From a sentence to what a network reads: the same numbers as stackgan_tf/text/hashing.py and char_cnn_rnn.py.
//
// Sources: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009, section 2; Reed et al.,
// CVPR 2016.

const SEPARATORS = /[\x00-\x2f\x3a-\x60\x7b-\x7f]+/;
const STOP_WORDS = new Set(
  ("a an and are as at be but by can for from has have in is it its of on or so some that the their there these they " +
    "this those to very was were which with").split(" "),
);
const MODULUS = 2n ** 31n - 1n, BASE = 1103515245n, PLACE = 1664525003n, SIGN = 1566083941n, MAX_BYTES = 256;

// Hashed words and pairs of words: Float32Array of `size`; zeros for a sentence without a word.
export function hashing(sentence, size) {
  const lowered = sentence.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const words = lowered.split(SEPARATORS).filter((word) => word && !STOP_WORDS.has(word));
  const embedding = new Float32Array(size);
  for (const gram of new Set([...words, ...words.slice(1).map((word, i) => `${words[i]} ${word}`)])) {
    const code = hash(gram);
    embedding[Number(((code * PLACE) % MODULUS) % BigInt(size))] += (code * SIGN) % MODULUS % 2n ? 1 : -1;
  }
  const norm = Math.fround(Math.sqrt(embedding.reduce((sum, x) => sum + x * x, 0) / size));
  return norm ? embedding.map((x) => x / norm) : embedding;
}

function hash(gram) {
  const bytes = new TextEncoder().encode(gram.replace(/\p{Surrogate}/gu, "?")); // half a character, as Python does
  let code = 0n, power = 1n;
  for (const byte of bytes.subarray(0, MAX_BYTES)) {
    power = (power * BASE) % MODULUS;
    code += BigInt(byte) * power;
  }
  return code % MODULUS;
}

const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} ";
const PLACES = new Map([...ALPHABET].map((character, i) => [character, i + 1])); // of the two "-" the second
const POSITIONS = 201;

// 1-based places in the alphabet, Int32Array, 0 behind the end; what is not in the alphabet counts as a space.
export function characters(sentence) {
  const places = new Int32Array(POSITIONS);
  const letters = [...sentence.toLowerCase()].slice(0, POSITIONS);
  places.set(letters.map((letter) => PLACES.get(letter) ?? PLACES.get(" ")));
  return places;
}
