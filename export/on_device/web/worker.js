// Draws beside the page, which stays awake meanwhile. A classic worker, as LiteRT.js loads by importScripts.

const artist = import("./draw.js").then(({ Artist }) => Artist.load((...bytes) => postMessage({ loading: bytes })));
answer(async () => ({ ready: (await artist).card }));
onmessage = ({ data }) => answer(async () => ({ drawn: await draw(data) }));

async function draw({ sentence, seed, truncation }) {
  const start = performance.now();
  const pictures = await (await artist).draw(sentence, BigInt(seed), truncation);
  return { seed, pictures, milliseconds: performance.now() - start };
}

async function answer(work) {
  try {
    postMessage(await work());
  } catch (error) {
    const told = error.message ?? error;
    postMessage({ failed: error.name === "Refusal" ? told : `It does not work here (${told}).` });
  }
}
