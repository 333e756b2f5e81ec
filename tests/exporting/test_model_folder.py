"""Versions that are whole or not there."""

import resource
from contextlib import contextmanager

import numpy as np
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
    assert names(model) == ["12", "12/saved_model.pb", "7", "tflite", "tflite/11", "tflite/12"]
    assert [path.name for path in model_folder.versions(model / "tflite")] == ["11", "12"]


@pytest.mark.parametrize(
    "error, message",
    [
        (OSError(28, "No space left on device", "/tmp/x"), "no version of .*flowers was made: .*No space left.*/tmp/x"),
        (tf.errors.ResourceExhaustedError(None, None, "disk\nquota"), "no version of .*flowers was made: .*disk quota"),
        (UserError("something else"), "^something else"),
        (KeyboardInterrupt("stop"), "stop"),
    ],
)
def test_after_an_error_nothing_is_left(error, message, tmp_path):
    expected = UserError if isinstance(error, Exception) else KeyboardInterrupt
    with pytest.raises(expected, match=message):
        with model_folder.new_version(tmp_path / "flowers", ["saved_model", "tflite"]) as made:
            (made["saved_model"] / "half").touch()
            raise error
    assert names(tmp_path) == []


def test_two_exports_at_once_get_numbers_of_their_own(tmp_path):
    with model_folder.new_version(tmp_path / "flowers", ["tflite", "saved_model"]) as slow:
        (slow["saved_model"] / "slow").touch()
        with model_folder.new_version(tmp_path / "flowers", ["saved_model"]) as quick:
            (quick["saved_model"] / "quick").touch()
    assert names(tmp_path / "flowers") == ["1", "1/slow", "2", "2/quick", "tflite", "tflite/1"]


@pytest.mark.parametrize("formats", [["saved_model", "tflite"], ["tflite", "saved_model"]])
@pytest.mark.parametrize("taken", ["1", "tflite/1"])
def test_all_formats_or_none(formats, taken, tmp_path):
    """Somebody puts something into a place meanwhile."""
    with pytest.raises(UserError, match="no version of .* was made: .*1"):
        with model_folder.new_version(tmp_path / "flowers", formats) as made:
            for folder in made.values():
                (folder / "ours").touch()
            (tmp_path / "flowers" / taken).mkdir(parents=True)
            (tmp_path / "flowers" / taken / "theirs").touch()
    left = names(tmp_path / "flowers")
    assert f"{taken}/theirs" in left and not [name for name in left if "ours" in name or name.startswith(".")]


def test_what_a_killed_export_left_is_told_and_not_counted(tmp_path, caplog):
    (tmp_path / "flowers/.1/saved_model").mkdir(parents=True)
    with model_folder.new_version(tmp_path / "flowers", ["saved_model"]):
        pass
    assert names(tmp_path / "flowers") == [".1", ".1/saved_model", "2"]
    assert "flowers: .1: of exports that still run, or were stopped" in caplog.text


def test_a_run_directory_is_no_folder_for_models(tmp_path):
    (tmp_path / "config.yaml").touch()
    with pytest.raises(UserError, match="is a run directory"):
        with model_folder.new_version(tmp_path / "flowers", ["saved_model"]):
            pass
    assert names(tmp_path) == ["config.yaml"]


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
    with pytest.raises(UserError, match="no version of .* was made: .*Not a directory"):
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
    with pytest.raises(UserError, match="no version of .* was made"):
        with files_of_at_most(20_000), model_folder.new_version(tmp_path / "flowers", ["saved_model"]) as made:
            saved_model.write(job, made["saved_model"])
    assert not (tmp_path / "flowers").exists()


def test_int8_without_data_says_what_it_needs(tmp_path):
    job = job_of(tmp_path / "run", tiny_config())

    def builder():
        raise UserError("--source_dir: oxford102 needs its captions")

    with pytest.raises(UserError, match="int8: needs captions.*--embeddings=FILE.npy .--source_dir: oxford102 needs"):
        examples.calibration(job.artist, builder, None)
    with pytest.raises(UserError, match=r"--embeddings: of shape \(12, 15\); must be \(N, 16\)"):
        examples.check(job.artist, job.embeddings[:, 1:])


def test_int8_is_not_judged_by_what_it_learnt_from(tmp_path):
    job = job_of(tmp_path / "run", tiny_config())
    given = np.random.default_rng(0).standard_normal((20, 16)).astype(np.float32)
    learnt, judged = (
        {row.tobytes() for row in found["text_embedding"]}
        for found in (
            examples.calibration(job.artist, None, given),
            examples.compared(job.artist, job.run_dir, None, given),
        )
    )
    assert len(learnt) == 12 and len(judged) == 8 and not learnt & judged


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
