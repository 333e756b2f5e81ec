"""Benchmarks at a small size: that they run and what they print, not how fast."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = ("--dataset=shapes", "--set=model.gf=8", "--set=model.df=4", "--set=model.branches=1", "--batch_size=2")
PEER = "import json; print('warming up'); print(json.dumps({'train_images_per_s': 2.0, 'sample_images_per_s': 4.0}))"


def training(*arguments):
    command = [sys.executable, BENCHMARKS / "training.py", *SMALL, "--precisions=float32", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_training_beside_a_peer(tmp_path):
    peer, file = tmp_path / "peer.py", tmp_path / "figures.json"
    peer.write_text(PEER)
    ended = training("--rounds=2", "--steps=1", f"--peer={sys.executable} {peer}", f"--json={file}")
    assert ended.returncode == 0, ended.stderr
    rounds = json.loads(file.read_text())["rounds"]
    assert len(rounds) == 2 and all(set(r) == {"float32", "peer float32"} for r in rounds)
    assert all(value > 0 for r in rounds for figures in r.values() for value in figures.values())
    assert {"training", "sampling", "D_0 and its gradient", "optimizers", "products"} <= set(rounds[0]["float32"])
    first = next(line for line in ended.stdout.splitlines() if line.startswith("| training, float32 to peer"))
    ratios = sorted(r["float32"]["training"] / 2 for r in rounds)
    assert f"{sum(ratios) / 2:.2f} | {ratios[0]:.2f}, {ratios[1]:.2f}" in first


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("--precisions=float8",), "--precisions=float8: is none of float32, bfloat16, float16"),
        (("--rounds=0",), "--rounds=0: must be at least 1"),
        (("--json=/nowhere/figures.json",), "--json=/nowhere/figures.json: cannot be written"),
        ((f"--json={__file__}",), "is there already; name another file"),
        (("--peer=no_such_program",), "--peer=no_such_program: there is no program no_such_program"),
        (("--peer='",), "--peer=': is not a command (No closing quotation)"),
    ],
)
def test_wrong_flags_are_told_before_anything_is_measured(arguments, told):
    ended = training(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "") and told in ended.stderr


def test_growth(tmp_path):
    plot, file = tmp_path / "growth.png", tmp_path / "growth.json"
    sweeps = (
        "--batch=2",
        "--width=4",
        "--branches=1",
        "--replicas=2",
        "--other_batch=2",
        "--other_width=4",
        "--steps=1",
    )
    command = [sys.executable, BENCHMARKS / "growth.py", "--dataset=shapes", *SMALL[1:4], *sweeps]
    ended = subprocess.run([*command, f"--plot={plot}", f"--json={file}"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(file.read_text())["rounds"]
    assert [one["sweep"] for one in found] == ["batch", "width", "branches", "replicas"]
    assert all(one["images_per_s"][0] > 0 and one["largest_bytes"] > 1e8 for one in found)
    assert plot.stat().st_size > 5000


def test_exports(tmp_path):
    file = tmp_path / "export.json"
    command = [sys.executable, BENCHMARKS / "export.py", *SMALL[:4], "--batches=1,2", "--rounds=1", f"--json={file}"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(file.read_text())["rounds"]
    assert set(found["1"]) == {"Keras, a graph", "SavedModel", "float32.tflite", "float32_batch1.tflite"}
    assert set(found["2"]) == {"Keras, a graph", "SavedModel", "float32.tflite"}


@pytest.mark.parametrize(
    "program, flag, told",
    [
        ("growth", "--width=wide", "--width=wide: is no number from 1 on"),
        ("growth", "--plot=growth.txt", "--plot=growth.txt: cannot be written"),
        ("growth", f"--json={__file__}", "is there already; name another file"),
        ("export", "--batches=0", "--batches=0: is no number of pictures"),
        ("export", "--model=v2_unconditional", "--model=v2_unconditional: draws without text"),
        ("input_pipeline", "--rounds=0", "--rounds=0: must be at least 1"),
    ],
)
def test_a_wrong_flag_is_told(program, flag, told):
    command = [sys.executable, BENCHMARKS / f"{program}.py", "--dataset=shapes", flag]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "") and told in ended.stderr


def test_the_input_pipeline(tmp_path, shapes_data_dir):
    file = tmp_path / "input.json"
    command = [sys.executable, BENCHMARKS / "input_pipeline.py", "--dataset=shapes", f"--data_dir={shapes_data_dir}"]
    ended = subprocess.run([*command, "--batches=1", "--rounds=1", f"--json={file}"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(file.read_text())["rounds"]
    assert len(found) == 6 and all(rates[0] > 0 for rates in found.values())
