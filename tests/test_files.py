"""Files and folders that are whole or as they were before."""

import pytest

from stackgan_tf.files import json_lines, whole, write_whole
from tests.conftest import full_disk


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path):
    """An error of writing has no name of its own."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_whole(folder / "config.yaml", "old")
    with full_disk(folder):
        with pytest.raises(OSError, match="No space left") as error:
            write_whole(folder / "config.yaml", "new" * 10_000)
        assert error.value.filename == str(folder / "config.yaml")
        assert [path.name for path in folder.iterdir() if path.name != "filler"] == ["config.yaml"]
    assert (folder / "config.yaml").read_text() == "old"


def test_an_error_that_says_more_keeps_it(tmp_path):
    with pytest.raises(FileNotFoundError) as error, whole(tmp_path / "out"):
        (tmp_path / "in").open()
    assert error.value.filename == str(tmp_path / "in")


def test_a_line_cut_short_is_passed_over(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert json_lines(tmp_path / "metrics.jsonl") == [{"step": 1}, {"step": 2}]
