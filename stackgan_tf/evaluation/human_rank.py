"""Human rank: people rank the models' pictures of a caption from best to worst and do not know whose is whose.

The page and the files that it saves call the models by random tokens; `key.json` has their names.
"""

import base64
import io
import json
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy.special import stdtrit

from stackgan_tf.errors import UserError
from stackgan_tf.files import write_whole

PAGE, KEY = "index.html", "key.json"
TEMPLATE = Path(__file__).with_suffix(".html")
PLACE = "{{study}}"  # in the template
MOST = 9  # models: a number key for each
NOT_SAVED_BY_US = "is no file that the page saved"
FOOT = """\
1 is best, lower is better. The interval is Student's t over the captions: each caption's ranks are first averaged over
its raters, whose judgements of one picture are not independent. It tells of other captions, not of other raters.
"""


class Study(NamedTuple):
    """What the raters' files are read with: `key.json`."""

    id: str
    models: dict[str, str]  # token -> name
    captions: list[str]


class Answers(NamedTuple):
    """What one rater said."""

    rater: str
    rankings: dict[int, list[str]]  # number of a caption -> tokens, the best first


def named(run_dirs: Sequence[Path]) -> dict[str, Path]:
    """Runs by the last part of their path, or by as many of its last parts as no other run has.

    Raises:
        UserError: fewer than two, more than `MOST`, or one twice.
    """
    said = f"--runs={','.join(map(str, run_dirs))}"
    if not 2 <= len(run_dirs) <= MOST:
        raise UserError(f"{said}: give 2 to {MOST} run directories")
    whole = [run_dir.resolve() for run_dir in run_dirs]
    if len(set(whole)) < len(whole):
        raise UserError(f"{said}: one of them is given twice")
    return {_name(path, set(whole) - {path}): run_dir for path, run_dir in zip(whole, run_dirs, strict=True)}


def _name(path: Path, others: Set[Path]) -> str:
    tails = ((count, path.parts[-count:]) for count in range(1, len(path.parts) + 1))
    return next(str(Path(*tail)) for count, tail in tails if all(o.parts[-count:] != tail for o in others))


def check_free(out: Path) -> None:
    """Whether a study can be written to a folder.

    Raises:
        UserError: there is one in it.
    """
    for name in (PAGE, KEY):
        if (out / name).exists():
            raise UserError(f"--out={out}: holds the {name} of a study; choose another folder")


def draw(
    runs: Mapping[str, Path], count: int, seed: int, data_dir: Path, source_dir: Path | None = None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Each run's pictures at its finest scale, `{name: [N, S, S, 3] uint8}`, and their N captions, "" without text.

    Raises:
        UserError: runs that cannot be compared or loaded, or a test split with fewer images than captions are asked.
    """
    from stackgan_tf.data.embeddings import told_embeddings
    from stackgan_tf.generation import load_generator, run_config

    configs = {name: run_config(run_dir) for name, run_dir in runs.items()}
    _check_alike(configs)
    ours = next(iter(configs.values()))
    records, captions = [], [""] * count
    if ours.model.conditional:
        records, captions = _told(ours.data.dataset, data_dir, source_dir, count)
    pictures = {}
    for name, run_dir in runs.items():
        artist = load_generator(run_dir)
        asked = told_embeddings(artist.encoder, records, captions) if artist.encoder else count
        pictures[name] = artist(asked, seed)[artist.scales[-1]]
    return pictures, captions


def _check_alike(configs: Mapping[str, Any]) -> None:
    """Whether runs of these configurations, by name, can be compared."""
    first, *others = configs
    for name in others:
        ours, theirs = configs[first], configs[name]
        if ours.model.conditional != theirs.model.conditional:
            raise UserError(f"--runs: {first} and {name}: one draws with text, one without; compare like with like")
        if ours.data.dataset != theirs.data.dataset:
            known = f"{first} is of the data set {ours.data.dataset!r}, {name} of {theirs.data.dataset!r}"
            raise UserError(f"--runs: {known}; compare runs of one data set")


def _told(dataset: str, data_dir: Path, source_dir: Path | None, count: int) -> tuple[list[Any], list[str]]:
    """Records of the test split and a caption of each."""
    from stackgan_tf.data.prepare import prepare
    from stackgan_tf.data.records import Records

    records = Records(prepare(dataset, data_dir, source_dir), "test")
    records.require_captions()
    if count > len(records):
        raise UserError(f"--captions={count}: the test split of {dataset} has {len(records)} images only")
    return records.told(count)


def make_study(pictures: Mapping[str, np.ndarray], captions: Sequence[str], out: Path) -> tuple[Path, Path]:
    """Writes the page and its key to a folder; returns the two files.

    Args:
        pictures: `{name: [N, S, S, 3] uint8}`; the sides may differ.
        captions: N sentences, "" for pictures that have none.

    Raises:
        UserError: there is a study in the folder, or it cannot be written.
    """
    check_free(out)
    study = Study(secrets.token_hex(4), {secrets.token_hex(4): name for name in pictures}, list(captions))
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / KEY, json.dumps(study._asdict(), indent=2) + "\n")
        write_whole(out / PAGE, _page(study, pictures))
    except OSError as error:
        raise UserError(f"--out={out}: cannot be written ({error.strerror or error})") from None
    return out / PAGE, out / KEY


def _page(study: Study, pictures: Mapping[str, np.ndarray]) -> str:
    items = [
        {
            "caption": caption,
            "pictures": {token: _uri(pictures[study.models[token]][i]) for token in sorted(study.models)},
        }
        for i, caption in enumerate(study.captions)
    ]
    told = json.dumps({"id": study.id, "items": items}).replace("<", "\\u003c")  # a caption may not end the script
    return TEMPLATE.read_text(encoding="utf-8").replace(PLACE, told)


def _uri(image: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def read_key(path: Path) -> Study:
    """The key of a study.

    Raises:
        UserError: it cannot be read, or is none.
    """
    said = _json(path)
    kinds = {field: type(value) for field, value in said.items()} if isinstance(said, dict) else {}
    if kinds != {"id": str, "models": dict, "captions": list}:
        raise UserError(f"--key={path}: is no {KEY} of a study")
    return Study(**said)


def read_answers(paths: Sequence[Path], study: Study) -> list[Answers]:
    """What the raters said.

    Raises:
        UserError: a file that cannot be read, is of another study, has something else than rankings of all models, or
            is the second of its rater; or no ranking in all of them.
    """
    read: dict[str, Path] = {}
    found = []
    for path in paths:
        answers = _answers(path, study)
        if answers.rater in read:
            raise UserError(f"{path}: is of the same rater as {read[answers.rater]}; give the later one only")
        read[answers.rater] = path
        found.append(answers)
    if not any(answers.rankings for answers in found):
        raise UserError(f"{', '.join(map(str, paths))}: no caption is ranked; save after the first one at least")
    return found


def _answers(path: Path, study: Study) -> Answers:
    said = _json(path)
    try:
        of, rater = str(said["study"]), str(said["rater"])
        rankings = [(entry["caption"], entry["order"]) for entry in said["rankings"]]
    except (KeyError, TypeError):
        raise UserError(f"{path}: {NOT_SAVED_BY_US}") from None
    if of != study.id:
        raise UserError(f"{path}: is of the study {of}, the key is of {study.id}; give the key of that study")
    for caption, order in rankings:
        _check_ranking(path, study, caption, order)
    if len({caption for caption, _ in rankings}) < len(rankings):
        raise UserError(f"{path}: ranks a caption twice; {NOT_SAVED_BY_US}")
    return Answers(rater, dict(rankings))


def _check_ranking(path: Path, study: Study, caption: Any, order: Any) -> None:
    if caption not in range(len(study.captions)) or not isinstance(order, list):
        raise UserError(f"{path}: {NOT_SAVED_BY_US} (caption {caption!r}, order {order!r})")
    strange = [token for token in order if token not in list(study.models)]
    if strange:
        raise UserError(f"{path}: caption {caption}: the key has no model {strange[0]!r}")
    if sorted(order) != sorted(study.models):
        raise UserError(f"{path}: caption {caption}: must rank all {len(study.models)} models once, not {order}")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no JSON ({error})") from None


def caption_ranks(answers: Sequence[Answers], models: Sequence[str]) -> np.ndarray:
    """Each caption's ranks, averaged over its raters: [captions that were ranked, models]."""
    ranks = defaultdict(list)
    for said in answers:
        for caption, order in said.rankings.items():
            ranks[caption].append([1 + order.index(model) for model in models])
    return np.array([np.mean(ranks[caption], axis=0) for caption in sorted(ranks)])


def half_widths(ranks: np.ndarray) -> np.ndarray:
    """Of the 95 % t-intervals of the means: [captions, models] -> [models]; at least two captions."""
    count = len(ranks)
    return stdtrit(count - 1, 0.975) * ranks.std(axis=0, ddof=1) / np.sqrt(count)


def table(study: Study, answers: Sequence[Answers]) -> str:
    """Each model's mean rank and its 95 % interval, the best first; underneath what they are of."""
    ranks = caption_ranks(answers, list(study.models))
    means = ranks.mean(axis=0)
    halves = half_widths(ranks) if len(ranks) > 1 else None
    width = max(len("model"), *map(len, study.models.values()))
    lines = [f"{'model':<{width}}  mean rank" + ("" if halves is None else "  95 % interval")]
    names = list(study.models.values())
    for i in np.argsort(means, kind="stable"):
        interval = "" if halves is None else f"   {means[i] - halves[i]:.2f} to {means[i] + halves[i]:.2f}"
        lines.append(f"{names[i]:<{width}}{means[i]:>11.2f}{interval}")
    count = sum(len(said.rankings) for said in answers)
    raters = sum(bool(said.rankings) for said in answers)
    lines.append(f"raters: {raters}, rankings: {count}, captions: {len(ranks)}")
    foot = FOOT if halves is not None else "1 is best, lower is better. There is no interval: one caption only.\n"
    return "\n".join(lines) + "\n" + foot
