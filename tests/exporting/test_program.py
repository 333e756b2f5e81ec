"""`python -m stackgan_tf.export` as a user runs it."""

import json

import numpy as np
import pytest

from tests.conftest import save_run, tiny_config
from tests.test_programs import contents, refused, run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "my flowers"
    folder.mkdir()
    save_run(folder, tiny_config())
    np.save(folder.parent / "embeddings.npy", np.random.default_rng(0).standard_normal((9, 16)).astype(np.float32))
    return folder


def test_both_formats_with_a_report(run_dir, tmp_path):
    before = contents(run_dir)
    result = run(
        "export",
        f"--run_dir={run_dir}",
        "--format=saved_model,tflite",
        "--quantize=none,int8",
        f"--embeddings={run_dir.parent / 'embeddings.npy'}",
        f"--out={tmp_path / 'models'}",
        "--licence=CC BY 4.0",
        "--verify",
    )
    assert result.returncode == 0, result.stderr
    model = tmp_path / "models/my_flowers"
    assert f"{model}/1: saved_model, step 1\n{model}/tflite/1: tflite, step 1\n" in result.stdout
    served, with_noise = json.loads((model / "1/parity.json").read_text())
    assert served["file"] == "1/ serving_default" and set(served["milliseconds"]) == {"1", "2"}
    assert max(served["largest_difference"], with_noise["largest_difference"]) <= 1e-5
    on_device = json.loads((model / "tflite/1/parity.json").read_text())
    files = [row["file"] for row in on_device]
    assert files == ["float32.tflite", "float32_batch1.tflite", "int8.tflite", "int8_batch1.tflite"]
    for row in (served, with_noise, *on_device):
        assert row["file"] in result.stdout, "the table"
        assert set(row["psnr"]) == {"image_8", "image_16"}
    cards = [json.loads((model / folder / "model_card.json").read_text()) for folder in ("1", "tflite/1")]
    assert all(card["licence_of_the_weights"] == "CC BY 4.0" and card["step"] == 1 for card in cards)
    assert contents(run_dir) == before, "the run is as it was"


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "--out is missing"),
        (["--out=models", "--format=onnx"], "--format=onnx: choose from saved_model, tflite"),
        (["--out=models", "--format="], "--format=: choose from"),
        (["--out=models", "--quantize=int4,none"], "--quantize=int4,none: choose from none, float16, dynamic, int8"),
        (["--out=models", "--quantize=float16"], "--quantize=float16: is of tflite; add --format=tflite"),
        (["--out=models", "--embeddings=x.npy"], "--embeddings=x.npy: is for --quantize=int8 and --verify"),
    ],
)
def test_flags_that_mean_nothing_are_refused_at_once(run_dir, tmp_path, flags, message):
    assert message in refused(run("export", f"--run_dir={run_dir}", *flags, cwd=tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    assert "not a run directory" in refused(run("export", "--run_dir=run", "--out=models", cwd=tmp_path))
    assert not (tmp_path / "models").exists()
