"""`evaluate` and `train_classifier` as a user runs them."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from PIL import Image

from stackgan_tf.data.prepare import prepare
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation import extractors
from stackgan_tf.models.classifier import small_classifier
from stackgan_tf.training.classifier import ClassifierConfig, LabelledImages, build, train_classifier
from tests.conftest import save_run, tiny_config
from tests.test_programs import refused, run

COLORS = {"red": (200, 40, 40), "green": (40, 160, 60), "blue": (50, 60, 210)}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three classes of plain colours: train and test hold the same, as in a user's own folder."""
    source = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name, color in COLORS.items():
        (source / name).mkdir()
        for i in range(60):
            pixels = np.clip(np.array(color) + 12 * rng.standard_normal((40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(source / name / f"{i}.png")
            (source / name / f"{i}.txt").write_text(f"a {name} picture")
    return prepare("folder", tmp_path_factory.mktemp("folder_data"), source)


def small(**fields):
    fields = {"dataset": "folder", "network": "small", "side": 32, "width": 4, "batch_size": 12} | fields
    return ClassifierConfig(**fields)


def test_a_classifier_learns_and_is_an_extractor(pictures, tmp_path):
    config = small(steps=40)
    accuracy = train_classifier(config, pictures, tmp_path / "out")
    assert accuracy > 0.95, "three plain colours; 33 % is chance"
    extractor = extractors.load(str(tmp_path / "out/folder_small.keras"))
    images = np.stack([np.full((32, 32, 3), color, np.uint8) for color in COLORS.values()])
    logits = extractor(images).logits.numpy()
    assert extractor.name == "folder_small" and extractor.side == 32 and logits.shape == (3, 3)
    assert len(set(logits.argmax(axis=1))) == 3
    lines = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert lines[-1] == {"step": 40, "accuracy": accuracy}
    assert train_classifier(config, pictures, tmp_path / "out") == accuracy, "done already"
    with pytest.raises(UserError, match="holds a network of another configuration"):
        train_classifier(small(steps=41), pictures, tmp_path / "out")


def test_what_is_held_out_is_not_learnt_from(pictures):
    labelled = LabelledImages(pictures, small())
    learnt, asked = ({(part.split, i) for part, i, _ in some} for some in (labelled.learnt, labelled.asked))
    assert not learnt & asked and len(asked) == pytest.approx(180 / 5, abs=3)
    assert {label for *_, label in labelled.asked} == {0, 1, 2}


def test_a_classifier_goes_on_where_it_was(pictures, tmp_path):
    """20 steps and 20 more are 40, bit for bit; the rate's schedule is that of the whole."""
    import stackgan_tf.training.classifier as module

    train_classifier(small(steps=4), pictures, tmp_path / "once")
    loop = module.run_loop

    def halfway(state, step, batches, config, *rest):
        import dataclasses

        loop(state, step, batches, dataclasses.replace(config, steps=2), *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_loop", halfway)
        assert train_classifier(small(steps=4), pictures, tmp_path / "twice") is None
    train_classifier(small(steps=4), pictures, tmp_path / "twice")
    once, twice = (
        keras.models.load_model(tmp_path / name / "folder_small.keras").get_weights() for name in ("once", "twice")
    )
    for a, b in zip(once, twice, strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_class_is_nothing_to_tell_apart(shapes_data_dir, tmp_path):
    source = tmp_path / "plain"
    source.mkdir()
    for i in range(30):
        Image.new("RGB", (20, 20), (8 * i, 0, 0)).save(source / f"{i}.png")
    with pytest.raises(UserError, match="has one class only"):
        LabelledImages(prepare("folder", tmp_path / "data", source), small())


def test_inception_without_its_weights_is_told(tmp_path):
    """From a file: of no network's weights."""
    (tmp_path / "none.h5").write_bytes(b"no weights")
    with pytest.raises(UserError, match="the weights of InceptionV3 cannot be had .*--network=small"):
        build(small(network="inception_v3", weights=str(tmp_path / "none.h5")), 3, "float32")


def test_evaluate_as_a_user_runs_it(tmp_path, shapes_data_dir):
    keras.utils.set_random_seed(0)
    save_run(tmp_path / "run", tiny_config(data={"dataset": "shapes"}))
    small_classifier(16, 5, 4, "tiny").save(tmp_path / "tiny.keras")
    said = ["--run_dir=run", f"--data_dir={shapes_data_dir}", "--extractor=tiny.keras", "--num_samples=40"]
    missing, live, done = ThreadPoolExecutor(2).map(
        lambda flags: run("evaluate", *flags, cwd=tmp_path),
        [
            [*said, "--protocol=r_precision", "--joint_encoder=nowhere"],
            [*said, "--protocol=fid", "--noema"],
            [*said, "--protocol=is,fid,attributes,fid40_tiny_bilinear_train"],
        ],
    )
    assert "--joint_encoder=nowhere: is no folder of python -m stackgan_tf.train_text_encoder" in refused(missing)
    assert done.returncode == 0 and live.returncode == 0, done.stderr + live.stderr
    for name in ("is40_tiny_bicubic_test", "fid40_tiny_bilinear_train", "attributes40_test/color", "few samples"):
        assert name in done.stdout
    figures = json.loads((tmp_path / "run/evaluation/1.json").read_text())["figures"]
    fids = {figure["weights"]: figure["value"] for figure in figures if figure["name"] == "fid40_tiny_bicubic_test"}
    assert set(fids) == {"ema", "live"} and fids["ema"] != fids["live"]


def test_evaluate_told_to_end_saves_and_is_no_failure(tmp_path, shapes_data_dir):
    save_run(tmp_path / "run", tiny_config(data={"dataset": "shapes"}))
    said = ["--run_dir=run", f"--data_dir={shapes_data_dir}", "--protocol=attributes", "--num_samples=1000000"]
    command = [sys.executable, "-m", "stackgan_tf.evaluate", *said]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    next(line for line in process.stderr if "/1000000 " in line and " 0/1000000 " not in line)  # of the progress bar
    process.send_signal(signal.SIGTERM)
    told = process.stderr.read()
    assert process.wait() == 0 and "interrupted and saved" in told and "Traceback" not in told, told
    assert list((tmp_path / "run/evaluation").glob("partial-1-*/*.npz"))


def test_weights_that_cannot_be_read_are_no_reason_to_train_another_network(tmp_path, shapes_data_dir):
    (tmp_path / "file").write_text("in the way")
    given = ["--dataset=shapes", f"--data_dir={shapes_data_dir}", "--steps=1", "--batch_size=2"]
    unread, small_too, no_folder = ThreadPoolExecutor(2).map(
        lambda flags: run("train_classifier", *given, *flags, cwd=tmp_path),
        [["--weights=none.h5"], ["--network=small", "--weights=none.h5"], ["--network=small", "--out=file/out"]],
    )
    assert "--weights=none.h5: the weights of InceptionV3 cannot be had" in refused(unread)
    assert "--weights=none.h5: of inception_v3; leave it out with --network=small" in refused(small_too)
    assert "file/out: Not a directory" in refused(no_folder)
