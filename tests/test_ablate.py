"""Cards side by side."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from stackgan_tf.grids import MARGIN, comparison_grid
from tests.test_programs import refused, run

SMALL = ["base_size=8", "gf=8", "df=4", "noise_size=6", "condition_size=5"]
CHANGES = [f"--set=model.{change}" for change in SMALL] + ["--set=train.batch_size=4", "--set=train.log_every_steps=1"]


def test_cards_are_trained_and_compared(tmp_path, shapes_data_dir):
    """A Stage-II ablation, from the Stage-I beside it; the same command again only compares."""
    flags = ["--dataset=shapes", "--cards=v1_stage1,v1_stage2_text_once", "--steps=2", "--out=out", *CHANGES]
    result = run("ablate", *flags, f"--data_dir={shapes_data_dir}", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    table = (tmp_path / "out/table.md").read_text()
    assert table in result.stdout
    header, _, *rows = table.splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["v1_stage1", "v1_stage2_text_once"]
    assert all(column in header for column in ("G, parameters", "steps", "g/loss", "d0/loss", "g/kl", "size"))
    parameters = [int(row.split("|")[2]) for row in rows]
    assert parameters[0] != parameters[1] and all(row.split("|")[3].strip() == "2" for row in rows)
    assert Image.open(tmp_path / "out/pictures.png").size[0] > 200
    config = (tmp_path / "out/shapes_v1_stage2_text_once/config.yaml").read_text()
    assert "stage1_run_dir: out/shapes_v1_stage1" in config and "stage2_text: false" in config


def test_told_by_its_group_and_by_the_program_a_training_still_saves(tmp_path, shapes_data_dir):
    """A SIGTERM to a group of processes reaches the training twice: once more handed on."""
    flags = ["--dataset=shapes", "--cards=v2,v2_no_jcu", "--steps=100000", "--out=out", *CHANGES]
    command = [sys.executable, "-m", "stackgan_tf.ablate", *flags, f"--data_dir={shapes_data_dir}"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    metrics = tmp_path / "out/shapes_v2/metrics.jsonl"
    while not (metrics.exists() and metrics.read_text()):
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0 and "interrupted and saved" in stderr and "Traceback" not in stderr, stderr
    last = json.loads(metrics.read_text().splitlines()[-1])["step"]
    assert (tmp_path / f"out/shapes_v2/checkpoints/ckpt-{last}.index").exists()


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--cards=v2"], "--cards=v2: give at least two different ones"),
        (["--cards=v2,v2"], "--cards=v2,v2: give at least two different ones"),
        (["--cards=v2,v2_no_gan"], "--model=v2_no_gan: no card for shapes; choose from"),
        (["--cards=v2,v2_unconditional"], "some draw with text and some without"),
        (["--cards=v1_stage1,v1_stage2_no_ca"], "v1_stage2_no_ca cannot start from v1_stage1: Stage-I has model.cond"),
        (["--cards=v2,v1_stage2"], "v1_stage2 starts from a Stage-I, and runs/shapes_v1_stage1 is none; put"),
        (["--cards=v2,v2_no_jcu", "--preset=mine"], "--preset=mine: unknown; choose from paper, released_code"),
        (["--cards=v2,v2_no_jcu", "--steps=0"], "train.steps=0: must be at least 1"),
    ],
)
def test_what_cannot_be_compared(flags, message, tmp_path):
    assert message in refused(run("ablate", "--dataset=shapes", *flags, cwd=tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_picture_has_a_column_a_card_and_a_row_a_caption():
    pictures = {"v2": np.zeros((3, 8, 8, 3), np.uint8), "v2_g3": np.full((3, 32, 32, 3), 200, np.uint8)}
    grid = np.asarray(comparison_grid(pictures, [""] * 3))
    side = 96
    assert grid.shape[1] == 2 * (side + MARGIN) + MARGIN
    assert (grid[40 : 40 + 60, MARGIN : MARGIN + side] == 0).all(), "the first card's column"
    assert (grid[40 : 40 + 60, 2 * MARGIN + side : 2 * (MARGIN + side)] == 200).all(), "the second one's"
    captioned = np.asarray(comparison_grid(pictures, ["a red circle on a blue background"] * 3))
    assert captioned.shape[0] > grid.shape[0]
