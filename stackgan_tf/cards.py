"""Cards: YAML files that become configurations, those of `configs/` and a user's own.

configs/<dataset>_<model>.yaml       an experiment: what this data set and model need
configs/presets/<name>.yaml          by family, what the papers or the released code fix; a card's own fields win
configs/ablations/<name>.yaml        a change of some models, found as <dataset>_<model>_<name>
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from stackgan_tf.config import Config, differences, from_dict
from stackgan_tf.errors import UserError

Values = dict[str, dict[str, Any]]
RELEASED = "released_code"


class Card(NamedTuple):
    """A card's name, without `.yaml`, and what it says."""

    name: str
    values: Values


def folder() -> Path:
    """The folder of the cards: in the wheel beside this file, in a checkout at its top."""
    packaged = Path(__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "configs"


def find(dataset: str, model: str) -> Card:
    """The card `configs/<dataset>_<model>.yaml`, or that of a model with an ablation behind it, as in `v2_no_jcu`.

    Raises:
        UserError: there is none; names those that exist.
    """
    if card := _own(dataset, model):
        return card
    ablations = sorted((folder() / "ablations").glob("*.yaml"))
    for path in ablations:
        base = _own(dataset, model.removesuffix(f"_{path.stem}"))
        if base and (ablated := ablate(base, path)):
            return ablated
    cards = [Card(path.stem, read(path)) for path in sorted(folder().glob("*.yaml"))]
    datasets = sorted({_dataset(card) for card in cards})
    if dataset not in datasets:
        raise UserError(f"--dataset={dataset}: unknown data set; choose from {', '.join(datasets)}")
    bases = [card for card in cards if _dataset(card) == dataset]
    known = bases + [ablated for base in bases for path in ablations if (ablated := ablate(base, path))]
    names = ", ".join(card.name.removeprefix(f"{dataset}_") for card in known)
    raise UserError(f"--model={model}: no card for {dataset}; choose from {names}")


def default_model(dataset: str) -> str:
    """`v2`, or `v2_unconditional` for a data set that has no other card."""
    names = {path.stem for path in folder().glob(f"{dataset}_*.yaml")}
    return "v2_unconditional" if names == {f"{dataset}_v2_unconditional"} else "v2"


def ablate(card: Card, path: Path) -> Card | None:
    """A card with an ablation's changes; None where the ablation is not one of its model, or changes nothing."""
    changes = _read_yaml(path)
    models = changes.pop("models", None)
    if not isinstance(models, list):
        raise UserError(f"{path}: must name the models that it is for, as in 'models: [v2]'")
    before = build(card.values)
    if before.model.name not in models:
        return None
    with _told_of(path):
        values = _merged(card.values, changes)
        return Card(f"{card.name}_{path.stem}", values) if differences(before, build(values)) else None


def build(values: Values, overrides: Sequence[str] = (), preset: str = RELEASED, **train: Any) -> Config:
    """A configuration: the preset, over it the card, over it `section.field=value`, over it fields of `train`.

    Raises:
        UserError: a preset, a name or a value that is wrong.
    """
    values = _merged(values, {})
    for override in overrides:
        _override(values, override)
    values = _merged(values, {"train": train})
    config = from_dict(values)  # whatever is wrong is the card's, and the family is known now
    if preset not in presets():
        raise UserError(f"--preset={preset}: unknown; choose from {', '.join(presets())}")
    path = folder() / "presets" / f"{preset}.yaml"
    with _told_of(path):
        return from_dict(_merged(_read_yaml(path).get(config.model.name, {}), values))


def read(path: Path) -> Values:
    """What a card says, as nested mappings, all of it valid.

    Raises:
        UserError: a missing or unreadable file, or one that is no configuration; names the file.
    """
    values = _read_yaml(path)
    with _told_of(path):
        from_dict(values)
    return values


def presets() -> list[str]:
    """The names of the presets."""
    return sorted(path.stem for path in (folder() / "presets").glob("*.yaml"))


def _own(dataset: str, model: str) -> Card | None:
    paths = {path.stem: path for path in folder().glob("*.yaml")}
    name = f"{dataset}_{model}"
    card = Card(name, read(paths[name])) if name in paths else None
    return card if card and _dataset(card) == dataset else None


def _dataset(card: Card) -> str:
    return from_dict(card.values).data.dataset


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Names the file that is at fault."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the cards are in {folder()}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable YAML card: {error}") from None
    if not values:
        raise UserError(f"{path}: the card is empty; it must hold sections of fields, as in 'model: {{gf: 32}}'")
    if not isinstance(values, dict):
        raise UserError(f"{path}: must be a mapping, not {values!r}")
    return values


def _merged(under: Values, over: Values) -> Values:
    """Two nested mappings as one; where both name a field, the second wins."""
    for section, fields in (*under.items(), *over.items()):
        if not isinstance(fields, dict):
            raise UserError(f"{section}: must be a mapping, not {fields!r}")
    return {section: {**under.get(section, {}), **over.get(section, {})} for section in {**under, **over}}


def _override(values: Values, override: str) -> None:
    name, equals, text = override.partition("=")
    section, dot, key = name.partition(".")
    if not (equals and dot and key):
        raise UserError(f"--set {override}: must read section.field=value, as in model.gf=32")
    try:
        value = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        raise UserError(f"--set {override}: {text!r} is not a YAML value") from None
    values.setdefault(section, {})[key] = "" if value is None else value
