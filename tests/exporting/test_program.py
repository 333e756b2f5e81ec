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


def exported(run_dir, models, *flags):
    result = run("export", f"--run_dir={run_dir}", f"--out={models}", "--licence=CC BY 4.0", "--verify", *flags)
    assert result.returncode == 0, result.stderr
    return result.stdout, models / "my_flowers"


def told(folder, out):
    """The report, all of it in the table as well."""
    report = json.loads((folder / "parity.json").read_text())
    assert all(row["file"] in out for row in report)
    assert all(set(row["psnr"]) == {"image_8", "image_16"} for row in report)
    card = json.loads((folder / "model_card.json").read_text())
    assert card["licence_of_the_weights"] == "CC BY 4.0" and card["step"] == 1
    return report


def test_files_for_a_device_with_a_report(run_dir, tmp_path):
    before, embeddings = contents(run_dir), run_dir.parent / "embeddings.npy"
    flags = "--format=tflite", "--quantize=none,int8", f"--embeddings={embeddings}"
    out, model = exported(run_dir, tmp_path / "models", *flags)
    assert f"{model}/tflite/1: tflite, step 1\n" in out
    files = [row["file"] for row in told(model / "tflite/1", out)]
    assert files == ["float32.tflite", "float32_batch1.tflite", "int8.tflite", "int8_batch1.tflite"]
    assert contents(run_dir) == before, "the run is as it was"


@pytest.mark.slow  # starts TensorFlow three times
def test_both_formats_with_a_report(run_dir, tmp_path):
    flags = "--format=saved_model,tflite", f"--embeddings={run_dir.parent / 'embeddings.npy'}"
    out, model = exported(run_dir, tmp_path / "models", *flags)
    assert f"{model}/1: saved_model, step 1\n{model}/tflite/1: tflite, step 1\n" in out
    served, with_noise = told(model / "1", out)
    assert served["file"] == "saved_model, serving_default" and set(served["milliseconds"]) == {"1", "2"}
    assert max(served["largest_difference"], with_noise["largest_difference"]) <= 1e-5


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
