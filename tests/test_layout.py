"""The rules of the tree: which way imports point, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import stackgan_tf

ROOT = Path(stackgan_tf.__file__).parent
PROGRAMS = {f"stackgan_tf.{path.stem}" for path in ROOT.glob("*.py") if "program.run(main)" in path.read_text()}
# What each part may import of this package, beside itself. Of TensorFlow and Keras: see NO_TENSORFLOW, NO_KERAS.
ALLOWED = {
    "errors": set(),
    "structs": set(),
    "files": set(),
    "config_rules": {"errors"},
    "config": {"config_rules", "errors"},
    "cards": {"config", "errors"},
    "losses": {"structs"},
    "models": {"structs"},
    "networks": {"config", "models"},
    "objectives": {"config", "losses", "models", "structs"},
    "legacy": {"errors"},
    "text": {"config", "errors", "legacy", "models", "structs"},
    "data": {"config", "errors", "files", "legacy", "structs", "text"},
    "grids": set(),
    "pictures": {"errors", "grids"},
    "serving": {"errors"},
    "remote": {"errors", "noise", "pictures", "serving"},
    "checkpoint_files": {"errors"},
    "pretrained": {"errors"},
    "checkpoint": {"checkpoint_files", "errors", "pretrained"},
    "noise": {"errors", "structs"},
    "drawing": {"errors", "noise"},
    "on_device": {"config", "drawing", "errors", "noise", "text"},
    "distribution": {"errors"},
    "quick": {"distribution", "models"},
    "generation": {"cards", "checkpoint", "config", "drawing", "errors", "networks", "pretrained", "quick", "text"},
    "interrupts": set(),
    "cluster": {"errors"},
    "workers": {"cluster", "distribution", "errors", "interrupts"},
    "evaluation": {
        "config",
        "data",
        "errors",
        "files",
        "generation",
        "grids",
        "interrupts",
        "models",
        "pretrained",
        "text",
    },
    "plots": {"config", "data", "errors", "evaluation", "files", "generation"},
    "exporting": {
        "checkpoint",
        "config",
        "data",
        "errors",
        "evaluation",
        "files",
        "generation",
        "networks",
        "noise",
        "on_device",
        "pretrained",
        "text",
    },
    "interop": {"cards", "checkpoint", "config", "errors", "files", "generation", "networks"},
}
NEITHER = {
    "cluster",
    "errors",
    "config_rules",
    "structs",
    "files",
    "legacy",
    "config",
    "cards",
    "grids",
    "pictures",
    "pretrained",
    "noise",
    "drawing",
    "on_device",
    "remote",
}
NO_TENSORFLOW = NEITHER | {"losses", "models", "networks", "objectives"}
NO_KERAS = NEITHER | {"text", "data", "serving"}


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def wrong_imports(part, path):
    """What a file imports against the rules of its part."""
    theirs = {name.split(".")[1] for name in imports(path) if name.startswith("stackgan_tf.")}
    libraries = {name.split(".")[0] for name in imports(path, top_level_only=part == "text")}
    forbidden = ({"tensorflow"} if part in NO_TENSORFLOW else set()) | ({"keras"} if part in NO_KERAS else set())
    return (theirs - ALLOWED[part] - {part}) | (libraries & forbidden)


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_point_one_way(part):
    for path in sorted((ROOT / part).rglob("*.py")) or [ROOT / f"{part}.py"]:
        assert not wrong_imports(part, path), path


@pytest.mark.parametrize(
    "line",
    ["from stackgan_tf.training.step import TrainStep", "import stackgan_tf.models.v2", "import tensorflow as tf"],
)
def test_an_import_the_wrong_way_is_seen(tmp_path, line):
    (tmp_path / "structs.py").write_text(f"{line}\n")
    assert wrong_imports("structs", tmp_path / "structs.py")


def test_nothing_imports_a_program():
    for path in ROOT.rglob("*.py"):
        assert not imports(path) & PROGRAMS, path


def test_files_stay_short():
    for path in ROOT.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path


def test_importing_the_package_loads_no_tensorflow():
    code = "import sys, stackgan_tf, stackgan_tf.config, stackgan_tf.train; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
