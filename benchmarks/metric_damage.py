"""Do the metrics grow with the damage? Real test images against other real ones, damaged more and more.

    python benchmarks/metric_damage.py --dataset=oxford102 --data_dir=DIR --extractor=FILE.keras --out=damage.png

The test images are cut in two halves at random: one is the reference, the other is damaged. Each metric is asked about
each damage at each strength, and about the halves as they are: what real images get. Where classes are dropped there
are fewer images, which alone changes most figures: as many of all classes are beside. Prints a table, draws a plot.
"""

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from absl import flags
from PIL import Image, ImageFilter

from stackgan_tf import cards, program
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.preprocess import load_plain
from stackgan_tf.data.records import Records
from stackgan_tf.evaluation import extractors
from stackgan_tf.evaluation.fid import Fid
from stackgan_tf.evaluation.inception_score import InceptionScore
from stackgan_tf.evaluation.kid import Kid
from stackgan_tf.evaluation.metric import Metric, Seen
from stackgan_tf.evaluation.precision_recall import PrecisionRecall
from stackgan_tf.evaluation.sliced_wasserstein import SlicedWasserstein

SIDE = 256  # pixels
BATCH = 32
METRICS: dict[str, tuple[type[Metric], tuple[str, int | None]]] = {  # resize filter, and the side first made of
    "fid": (Fid, ("bicubic", None)),
    "fid_bilinear": (Fid, ("bilinear", None)),
    "fid_at64": (Fid, ("bicubic", 64)),
    "kid": (Kid, ("bicubic", None)),
    "kid_at64": (Kid, ("bicubic", 64)),
    "is": (InceptionScore, ("bicubic", None)),
    "is_at64": (InceptionScore, ("bicubic", 64)),
    "pr": (PrecisionRecall, ("bicubic", None)),
    "swd": (SlicedWasserstein, ("bicubic", None)),
}
FALLS = ("is", "is_at64", "pr/precision", "pr/recall")  # with the damage; the others grow
Damage = Callable[[np.ndarray, float], np.ndarray]  # of all images at once, [N, S, S, 3] uint8

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "oxford102", "A data set with a test split.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Where it is prepared.")
flags.DEFINE_string("extractor", None, "As in stackgan_tf.evaluate.", required=True)
flags.DEFINE_string("weights", "", "As in stackgan_tf.evaluate.")
flags.DEFINE_string("out", "damage.png", "The plot.")


def each(change: Callable[[Image.Image, float], Image.Image]) -> Damage:
    """A change of one picture as one of many."""
    return lambda images, strength: np.stack([np.asarray(change(Image.fromarray(x), strength)) for x in images])


def squeezed(image: Image.Image, quality: float) -> Image.Image:
    """Through a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(quality))
    return Image.open(file)


def noised(images: np.ndarray, deviation: float) -> np.ndarray:
    """Gaussian noise, of a deviation in grey levels."""
    noise = np.random.default_rng(0).standard_normal(images.shape, np.float32)
    return np.clip(np.rint(images + deviation * noise), 0, 255).astype(np.uint8)


def colour_shifted(images: np.ndarray, shift: float) -> np.ndarray:
    """More red and less blue, by so many grey levels."""
    return np.clip(images + np.array([shift, 0, -shift]), 0, 255).astype(np.uint8)


DAMAGES: dict[str, tuple[Damage, tuple[float, ...]]] = {
    "blurred (pixels)": (each(lambda image, radius: image.filter(ImageFilter.GaussianBlur(radius))), (1, 2, 4, 8)),
    "noised (grey levels)": (noised, (8, 16, 32, 64)),
    "JPEG (quality)": (each(squeezed), (40, 20, 10, 4)),
    "colour-shifted (grey levels)": (colour_shifted, (10, 20, 40, 80)),
}
DROPPED = "classes dropped (share)", (0.25, 0.5, 0.75, 0.9)
CONTROL = "as few images, of all classes"


def measured(images: np.ndarray, extractor: extractors.Extractor) -> dict[str, Metric]:
    """Every metric of these images."""
    found = {name: cls(len(images), None) for name, (cls, _) in METRICS.items()}
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        numbers = np.arange(start, start + len(part))
        seen = {view: extractor(part, *view) for view in {view for _, view in METRICS.values()}}
        for name, metric in found.items():
            features, logits = seen[METRICS[name][1]]
            metric.add(Seen(numbers, part, features.numpy(), logits.numpy()))
    return found


def scores(metrics: dict[str, Metric], real: dict[str, Metric]) -> dict[str, float]:
    """The figures by name; of those of the same kind as others, the main one."""
    found = {}
    for name, metric in metrics.items():
        values = metric.scores(real[name])
        found |= {f"{name}/{kind}".rstrip("/"): score.value for kind, score in values.items() if not kind.isdigit()}
    return found


def main() -> int:
    """Prints the table and draws the plot."""
    extractor = extractors.load(FLAGS.extractor, FLAGS.weights)
    records = Records(prepare(FLAGS.dataset, Path(FLAGS.data_dir)), "test")
    data = cards.build(cards.find(FLAGS.dataset, "v2").values).data
    order = np.random.default_rng(0).permutation(len(records))
    images = np.stack([load_plain(r.image, r.box, SIDE, data) for r in records.fetch(order)])
    half = len(images) // 2
    real, (clean, labels) = measured(images[:half], extractor), (images[half:], records.labels[order[half:]])
    found = {"real": {0.0: scores(measured(clean, extractor), real)}}
    for name, (damage, strengths) in DAMAGES.items():
        found[name] = {s: scores(measured(damage(clean, s), extractor), real) for s in strengths}
    classes = np.unique(labels)
    kept = {s: np.isin(labels, classes[: max(1, round(len(classes) * (1 - s)))]) for s in DROPPED[1]}
    found[DROPPED[0]] = {s: scores(measured(clean[rows], extractor), real) for s, rows in kept.items()}
    found[CONTROL] = {s: scores(measured(clean[: rows.sum()], extractor), real) for s, rows in kept.items()}
    report(found)
    plot(found, extractor.name)
    return 0


def report(found: dict[str, dict[float, dict[str, float]]]) -> None:
    """A row for each damage at each strength."""
    names = list(found["real"][0.0])
    print("| damage | strength | " + " | ".join(names) + " |\n" + "| --- " * (len(names) + 2) + "|")
    for damage, strengths in found.items():
        for strength, values in strengths.items():
            print(f"| {damage} | {strength:g} | " + " | ".join(f"{values[name]:.3g}" for name in names) + " |")


def plot(found: dict[str, dict[float, dict[str, float]]], extractor: str) -> None:
    """A small plot for each metric, a line for each damage."""
    names = list(found["real"][0.0])
    figure, panels = plt.subplots(2, -(-len(names) // 2), figsize=(11, 4.6), layout="constrained")
    for axes, name in zip(panels.ravel(), names, strict=False):
        for damage, strengths in found.items():
            values = [found["real"][0.0][name], *(strengths[s][name] for s in strengths)]
            if damage != "real":
                line, label = "--" if damage == CONTROL else "-", f"{damage}: {', '.join(f'{s:g}' for s in strengths)}"
                axes.plot(range(len(values)), values, line, marker=".", label=label)
        axes.set_title(f"{name} {'(higher is better)' if name in FALLS else '(lower is better)'}", fontsize=9)
        axes.set_xticks(range(5), ["real", "1", "2", "3", "4"], fontsize=8)
        axes.tick_params(labelsize=8)
    for axes in panels.ravel()[len(names) :]:
        axes.set_axis_off()
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle(f"Real test images, damaged, against other real ones; {extractor}", fontsize=10)
    figure.savefig(Path(FLAGS.out).expanduser(), dpi=150)


if __name__ == "__main__":
    program.run(main)
