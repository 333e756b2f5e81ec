"""Versions that are whole or not there."""

import resource
from contextlib import contextmanager

import pytest
import tensorflow as tf

from stackgan_tf.errors import UserError
from stackgan_tf.exporting import examples, model_folder, saved_model
from tests.conftest import tiny_config
from tests.exporting.jobs import job_of


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_next_version_of_all_formats_is_the_same(tmp_path):
    model = tmp_path / "models" / "flowers"
    (model / "7").mkdir(parents=True)
    (model / "tflite/11").mkdir(parents=True)
    with model_folder.new_version(model, ["saved_model", "tflite"]) as made:
        (made["saved_model"] / "saved_model.pb").touch()
        seen = [path.name for path in model.iterdir() if path.name.isdecimal()]
        assert seen == ["7"], "what a server sees while it is made"
    assert sorted(path.name for path in model.iterdir()) == ["12", "7", "tflite"]
    assert [path.name for path in model_folder.versions(model / "tflite")] == ["11", "12"]
    assert (model / "12/saved_model.pb").is_file()


@pytest.mark.parametrize(
    "error, message",
    [
        (OSError(28, "No space left on device"), "cannot be written.*No space left"),
        (tf.errors.ResourceExhaustedError(None, None, "disk\nquota"), "cannot be written.*disk quota"),
        (UserError("something else"), "something else"),
        (KeyboardInterrupt("stop"), "stop"),
    ],
)
def test_after_an_error_nothing_is_left(error, message, tmp_path):
    expected = UserError if isinstance(error, Exception) else KeyboardInterrupt
    with pytest.raises(expected, match=message):
        with model_folder.new_version(tmp_path / "flowers", ["saved_model", "tflite"]) as made:
            (made["saved_model"] / "half").touch()
            raise error
    assert not [name for name in names(tmp_path) if "half" in name or "1" in name]


@pytest.mark.parametrize("inside", ["config.yaml", "checkpoints", "1"])
def test_a_folder_of_something_else_is_refused(inside, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / inside).mkdir() if inside == "checkpoints" else (run / inside).touch()
    before = names(tmp_path)
    with pytest.raises(UserError, match=f"holds '{inside}', so it is not a folder of a model's versions"):
        with model_folder.new_version(run, ["saved_model"]):
            pass
    assert names(tmp_path) == before


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "flowers").touch()
    with pytest.raises(UserError, match="flowers is a file"):
        with model_folder.new_version(tmp_path / "flowers", ["tflite"]):
            pass
    with pytest.raises(UserError, match="cannot be written"):
        with model_folder.new_version(tmp_path / "flowers" / "flowers", ["tflite"]):
            pass


@contextmanager
def files_of_at_most(size):
    """A full disk, as far as one process can have it: writing more fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_fills_up_leaves_no_half_model(tmp_path):
    job = job_of(tmp_path / "run", tiny_config())
    with pytest.raises(UserError, match="cannot be written"):
        with files_of_at_most(20_000), model_folder.new_version(tmp_path / "flowers", ["saved_model"]) as made:
            saved_model.write(job, made["saved_model"])
    assert names(tmp_path / "flowers") == []


def test_int8_without_data_says_what_it_needs(tmp_path):
    job = job_of(tmp_path / "run", tiny_config())

    def builder():
        raise UserError("--source_dir: oxford102 needs its captions")

    with pytest.raises(UserError, match="int8: needs captions.*--embeddings=FILE.npy .--source_dir: oxford102 needs"):
        examples.calibration(job.artist, builder, None)
    with pytest.raises(UserError, match=r"--embeddings: of shape \(12, 15\); must be \(N, 16\)"):
        examples.calibration(job.artist, builder, job.embeddings[:, 1:])


def test_int8_learns_from_all_of_the_training_split(shapes_data_dir, tmp_path):
    from stackgan_tf.data.prepare import prepare

    job = job_of(tmp_path / "run", tiny_config())
    found = examples.calibration(job.artist, lambda: prepare("shapes", shapes_data_dir), None)
    assert {name: rows.shape for name, rows in found.items()} == {
        "text_embedding": (100, 16),
        "noise": (100, 6),
        "eps": (100, 5),
    }
    assert len({row.tobytes() for row in found["text_embedding"]}) > 20, "not the same caption again and again"
    held_out = examples.compared(job.artist, job.run_dir, lambda: prepare("shapes", shapes_data_dir), None)
    assert held_out["text_embedding"].shape == (8, 16)
    assert not {row.tobytes() for row in held_out["noise"]} & {row.tobytes() for row in found["noise"]}
