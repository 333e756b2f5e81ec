"""Does it learn what the words say, and nothing where they say nothing? Minutes each."""

import json
import subprocess
import sys

import pytest

from stackgan_tf.evaluation.shape_attributes import CHANCE

WANTED = {"color": 0.9, "background": 0.9, "shape": 0.8, "size": 0.8}


def accuracy(tmp_path, data_dir, *flags):
    command = [sys.executable, "-m", "stackgan_tf.train", "--dataset=shapes", f"--data_dir={data_dir}"]
    subprocess.run([*command, f"--run_dir={tmp_path / 'run'}", *flags], check=True)
    return json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])["held_out_accuracy"]


@pytest.mark.slow
def test_the_default_run_draws_held_out_combinations(tmp_path, shapes_data_dir):
    scores = accuracy(tmp_path, shapes_data_dir)
    assert all(scores[name] >= wanted for name, wanted in WANTED.items()), scores


@pytest.mark.slow
def test_shuffled_captions_score_near_chance(tmp_path, shapes_data_dir):
    """The known-bad twin: the same run, but each image has the caption of a random other one."""
    scores = accuracy(tmp_path, shapes_data_dir, "--set", "data.shuffle_captions=true")
    assert all(scores[name] <= CHANCE[name] + 0.12 for name in WANTED), scores
