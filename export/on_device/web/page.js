// What a person sees of the worker that draws.

const $ = (id) => document.getElementById(id);
const MB = 1e6;
let ready = false, drawing = false, wanted = null; // wanted: the latest that was asked for while another is drawn

const heard = {
  loading([loaded, total]) {
    const all = total ? ` of ${(total / MB).toFixed(1)}` : "";
    tell(`Loading the model: ${(loaded / MB).toFixed(1)}${all} MB`);
    if (total) $("progress").value = loaded / total;
  },

  ready(card) {
    ready = true;
    $("about").textContent = `${card.model}: StackGAN ${card.family} of ${card.dataset}, ${card.step} steps`;
    $("licence").textContent = `Licence of the weights: ${card.licence_of_the_weights}.`;
    $("words").hidden = !card.text;
    for (const side of card.scales) $("pictures").append(frame(side));
    $("form").inert = false;
    $("progress").hidden = true;
    tell(card.text ? "Say what shall be drawn." : "");
    $("sentence").focus();
  },

  drawn({ seed, pictures, milliseconds }) {
    for (const { side, levels } of pictures) {
      const figure = $(`picture-${side}`);
      figure.querySelector("canvas").getContext("2d").putImageData(new ImageData(levels, side), 0, 0);
      figure.querySelector("a").download = `${side}-seed-${seed}.png`;
    }
    $("pictures").hidden = false;
    tell(`Drawn in ${Math.round(milliseconds)} ms.`);
    next();
  },

  failed(message) {
    $("progress").hidden = true;
    tell(message, true);
    if (ready) next();
  },
};

function tell(message, wrong = false) {
  $("status").textContent = message;
  $("status").classList.toggle("wrong", wrong);
}

function frame(side) {
  const tags = ["figure", "canvas", "figcaption", "a"];
  const [figure, canvas, caption, link] = tags.map((tag) => document.createElement(tag));
  figure.id = `picture-${side}`;
  canvas.width = canvas.height = side;
  link.textContent = "Save";
  link.href = "#";
  link.onclick = () => { link.href = canvas.toDataURL(); };
  caption.append(`${side} × ${side} `, link);
  figure.append(canvas, caption);
  return figure;
}

function draw() {
  const [seed, truncation] = ["seed", "truncation"].map((id) => $(id).valueAsNumber);
  wanted = { sentence: $("sentence").value, seed, truncation };
  if (!drawing) next();
}

function next() {
  drawing = wanted !== null;
  if (drawing) {
    tell("Drawing …");
    worker.postMessage(wanted);
  }
  wanted = null;
}

$("form").onsubmit = (event) => {
  event.preventDefault();
  draw();
};
$("another").onclick = () => {
  $("seed").stepUp();
  $("form").requestSubmit();
};
$("truncation").oninput = () => {
  $("level").textContent = $("truncation").valueAsNumber.toFixed(2);
  if (!$("pictures").hidden) $("form").requestSubmit();
};

let worker;
if (location.protocol === "file:") {
  heard.failed("A browser opens this page from a server only: run python -m http.server in its folder.");
} else {
  worker = new Worker("worker.js");
  worker.onmessage = ({ data }) => Object.entries(data).forEach(([kind, told]) => heard[kind](told));
  worker.onerror = ({ message }) => heard.failed(`It does not work here (${message ?? "worker.js cannot be loaded"}).`);
}
