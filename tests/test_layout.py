"""The rules of the tree: which way imports point, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import stackgan_tf

ROOT = Path(stackgan_tf.__file__).parent
PROGRAMS = {"stackgan_tf.train", "stackgan_tf.sample"}
FORBIDDEN = {
    "config": {"tensorflow", "keras", "stackgan_tf.models", "stackgan_tf.losses", "stackgan_tf.training"},
    "structs": {"tensorflow", "keras", "stackgan_tf"},
    "losses": {"tensorflow", "stackgan_tf.models", "stackgan_tf.config", "stackgan_tf.training"},
    "models": {"tensorflow", "stackgan_tf.losses", "stackgan_tf.config", "stackgan_tf.training", "stackgan_tf.data"},
    "networks": {"tensorflow", "stackgan_tf.training", "stackgan_tf.data"},
    "objectives": {"tensorflow", "stackgan_tf.training", "stackgan_tf.data"},
    "data": {"stackgan_tf.models", "stackgan_tf.losses", "stackgan_tf.training", "stackgan_tf.networks"},
    "text": {"stackgan_tf.models", "stackgan_tf.training", "stackgan_tf.config"},
}


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("part", FORBIDDEN)
def test_imports_point_one_way(part):
    folder = ROOT / part
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOT / f"{part}.py"]:
        for name in imports(path, top_level_only=part == "text"):
            clash = {f for f in FORBIDDEN[part] if name == f or name.startswith(f + ".")}
            assert not (clash - {"stackgan_tf"} or name in FORBIDDEN[part]), f"{path} imports {name}"


def test_nothing_imports_a_program():
    for path in ROOT.rglob("*.py"):
        assert not imports(path) & PROGRAMS, path


def test_files_stay_short():
    for path in ROOT.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path


def test_importing_the_package_loads_no_tensorflow():
    code = "import sys, stackgan_tf, stackgan_tf.config, stackgan_tf.train; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
