"""Cards: YAML files that become configurations, those of `configs/` and a user's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from stackgan_tf.config import Config, from_dict
from stackgan_tf.errors import UserError


def folder() -> Path:
    """The folder of the cards: in the wheel beside this file, in a checkout at its top."""
    packaged = Path(__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "configs"


def find(dataset: str, model: str) -> Path:
    """The card `configs/<dataset>_<model>.yaml`.

    Raises:
        UserError: there is none; names those that exist.
    """
    cards: dict[str, dict[str, Path]] = {}
    for path in sorted(folder().glob("*.yaml")):
        subject = read(path)["data"]["dataset"]
        cards.setdefault(subject, {})[path.stem.removeprefix(f"{subject}_")] = path
    if dataset not in cards:
        raise UserError(f"--dataset={dataset}: unknown data set; choose from {', '.join(cards)}")
    if model not in cards[dataset]:
        raise UserError(f"--model={model}: no card for {dataset}; choose from {', '.join(cards[dataset])}")
    return cards[dataset][model]


def load(path: Path, overrides: Sequence[str] = (), **train: Any) -> Config:
    """The configuration of a card, with `section.field=value` overrides, then values of its `train` section.

    Raises:
        UserError: as `read`, or an override that is wrong.
    """
    values = read(path)
    for override in overrides:
        _override(values, override)
    values["train"] = values.get("train", {}) | train
    return from_dict(values)


def read(path: Path) -> dict[str, Any]:
    """What a card says, as nested mappings, all of it valid.

    Raises:
        UserError: a missing or unreadable file, or one that is no configuration; names the file.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the cards are in {folder()}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable YAML card: {error}") from None
    if not values:
        raise UserError(f"{path}: the card is empty; it must hold sections of fields, as in 'model: {{gf: 32}}'")
    try:
        from_dict(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return values


def _override(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    section, dot, key = name.partition(".")
    if not (equals and dot and key):
        raise UserError(f"--set {override}: must read section.field=value, as in model.gf=32")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"--set {override}: {text!r} is not a YAML value") from None
    values.setdefault(section, {})[key] = "" if value is None else value
