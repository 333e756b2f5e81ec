"""What programs that draw are asked, and the file that they leave."""

import numpy as np
import pytest

from stackgan_tf import pictures
from stackgan_tf.errors import UserError


def test_every_sentence_and_every_row_is_drawn_as_often_as_asked(tmp_path):
    assert pictures.asked(["a", "b"], None, 2) == (["a", "a", "b", "b"], ["a", "a", "b", "b"])
    assert pictures.asked([], None, 3) == (3, ["", "", ""])
    np.save(tmp_path / "rows.npy", np.eye(2))
    rows, captions = pictures.asked([], str(tmp_path / "rows.npy"), 2)
    np.testing.assert_array_equal(rows, np.eye(2, dtype=np.float32)[[0, 0, 1, 1]])
    assert rows.dtype == np.float32 and captions == ["row 0", "row 0", "row 1", "row 1"]
    with pytest.raises(UserError, match="Give --text or --embeddings, one of the two"):
        pictures.asked(["a"], str(tmp_path / "rows.npy"), 1)


@pytest.mark.parametrize(
    "values", [np.ones((2, 2), int), np.ones(2), np.float64(1), np.full((2, 2), np.nan), np.ones((0, 2))]
)
def test_embeddings_of_another_kind_are_refused(tmp_path, values):
    np.save(tmp_path / "rows.npy", values)
    with pytest.raises(UserError, match=r"rows.npy: must be one array of finite floating-point numbers, \[N, T\]"):
        pictures.asked([], str(tmp_path / "rows.npy"), 1)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"some text"])
def test_embeddings_that_are_no_array_are_refused(tmp_path, content):
    (tmp_path / "rows.npy").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a .npy file of numbers"):
        pictures.asked([], str(tmp_path / "rows.npy"), 1)
    with pytest.raises(UserError, match="cannot be read"):
        pictures.asked([], str(tmp_path / "nowhere.npy"), 1)


def test_files_that_are_no_pictures_or_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match="--out=a.txt: must end in .png, .jpg"):
        pictures.file_to_write("a.txt")
    (tmp_path / "file").write_text("")
    images = {8: np.zeros((1, 8, 8, 3), np.uint8)}
    with pytest.raises(UserError, match="x.png: cannot be written"):
        pictures.save(images, [""], tmp_path / "file/x.png")
    pictures.save(images, [""], pictures.file_to_write(str(tmp_path / "new/x.PNG")))
    assert (tmp_path / "new/x.PNG").is_file()
