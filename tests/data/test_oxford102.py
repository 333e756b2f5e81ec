"""The flowers: the published layout, and everything that can be wrong with it."""

import contextlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tensorflow_datasets as tfds
from PIL import Image

from stackgan_tf.data.builders import oxford102
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from tests.test_legacy import encoded, t7

REAL = Path(os.environ.get("OXFORD102_DIR", "nowhere"))
LABELS = [1, 5, 5, 2, 100, 102, 1, 3]  # of images 1 to 8; classes 5 and 100 are test classes
MISSING = 8


@pytest.fixture
def source(tmp_path):
    """Eight named images in the published layout, of which one is not there."""
    folder = tmp_path / "oxford102"
    (folder / "jpg").mkdir(parents=True)
    for number, label in enumerate(LABELS, 1):
        captions = folder / f"text_c10/class_{label:05d}/image_{number:05d}.txt"
        captions.parent.mkdir(parents=True, exist_ok=True)
        captions.write_text(f"flower number {number}\nit is of class {label}\n")
        if number != MISSING:
            pixels = np.full((40, 50, 3), number * 20, np.uint8)
            Image.fromarray(pixels).save(folder / f"jpg/image_{number:05d}.jpg")
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": np.array([LABELS], np.uint8)})
    scipy.io.savemat(folder / "setid.mat", {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[5, 6, 7, 8]]})
    return folder


def test_split_by_class_and_counts(source, tmp_path):
    builder = prepare("oxford102", tmp_path / "data", source)
    train, test = Records(builder, "train"), Records(builder, "test")
    assert sorted(r.name for r in train.fetch(range(len(train)))) == [f"image_0000{n}" for n in (1, 4, 6, 7)]
    assert sorted(test.labels + 1) == [5, 5, 100]
    (record,) = [r for r in train.fetch(range(4)) if r.name == "image_00006"]
    assert record.captions == ("flower number 6", "it is of class 102")
    assert record.image == (source / "jpg/image_00006.jpg").read_bytes()
    assert builder.info.metadata["missing_images"] == 1 and builder.info.metadata["images"] == 7


def test_reeds_class_list_is_used_where_it_is(source, tmp_path):
    (source / "testclasses.txt").write_text("class_00001\nclass_00102\n")
    test = Records(prepare("oxford102", tmp_path / "data", source), "test")
    assert sorted(test.labels + 1) == [1, 1, 102]


def test_captions_as_torch_files_where_a_class_has_no_folder(source, tmp_path):
    """Of every image that the lists name, whether it is there or not."""
    for label, numbers in {1: (1, 7), 5: (2, 3)}.items():
        folder = source / f"text_c10/class_{label:05d}"
        lines = [(folder / f"image_{n:05d}.txt").read_text().splitlines() for n in numbers]
        folder.with_name(f"{folder.name}.t7").write_bytes(t7(encoded(lines, 201)))
        if label == 1:
            shutil.rmtree(folder)
            (source / "jpg/image_00001.jpg").unlink()
        else:
            folder.with_name(f"{folder.name}.t7").write_bytes(b"not read: the text files are there")
    train = Records(prepare("oxford102", tmp_path / "data", source), "train")
    (record,) = [r for r in train.fetch(range(3)) if r.name == "image_00007"]
    assert record.captions == ("flower number 7", "it is of class 1")
    (source / "text_c10/class_00001.t7").write_bytes(t7(encoded([["a", "b"]])))
    with pytest.raises(UserError, match="class_00001.t7: is of 1 images; the lists name 2 of its class"):
        prepare("oxford102", tmp_path / "data2", source)


def test_prepared_once(source, tmp_path, monkeypatch):
    prepare("oxford102", tmp_path / "data", source)
    monkeypatch.setattr(oxford102.Oxford102, "_split_generators", None)
    assert len(Records(prepare("oxford102", tmp_path / "data"), "train")) == 4


def damage(source, what):
    match what:
        case "truncated":
            path = source / "jpg/image_00004.jpg"
            path.write_bytes(path.read_bytes()[:-300])
        case "no image":
            (source / "jpg/image_00004.jpg").write_text("not a picture")
        case "empty captions":
            (source / "text_c10/class_00002/image_00004.txt").write_text("\n\n")
        case "no captions":
            (source / "text_c10/class_00002/image_00004.txt").unlink()


@pytest.mark.parametrize("what", ["truncated", "no image", "empty captions", "no captions"])
def test_a_broken_file_is_named_and_skipped_only_when_asked(source, tmp_path, what):
    damage(source, what)
    with pytest.raises(UserError, match="1 file cannot be used: .*image_00004.*--skip_broken"):
        prepare("oxford102", tmp_path / "data", source)
    assert not list((tmp_path / "data").rglob("*.array_record*")), "nothing half-written may stay"
    builder = prepare("oxford102", tmp_path / "data", source, skip_broken=True)
    assert len(Records(builder, "train")) == 3
    assert builder.info.metadata["broken"] == 1 and "image_00004" in builder.info.metadata["broken_files"][0]


def remove(folder, name):
    path = folder / name
    if path.is_dir():
        path.rename(folder.parent / "aside")
    else:
        path.unlink()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: remove(s, "text_c10"), "text_c10: no such folder; the captions of Reed"),
        (lambda s: remove(s, "imagelabels.mat"), "imagelabels.mat: no such file"),
        (lambda s: (s / "setid.mat").write_text("no"), "setid.mat: not the MATLAB file"),
        (lambda s: scipy.io.savemat(s / "setid.mat", {"trnid": [[1, 1]], "valid": [[3]], "tstid": [[5]]}), "each once"),
        (lambda s: scipy.io.savemat(s / "setid.mat", {"trnid": [[9]], "valid": [[3]], "tstid": [[5]]}), "from 1 to 8"),
        (lambda s: scipy.io.savemat(s / "imagelabels.mat", {"labels": [[103] * 8]}), "classes from 1 to 102"),
        (lambda s: remove(s, "jpg"), "jpg: no such folder; the photographs must lie there"),
        (lambda s: [p.unlink() for p in (s / "jpg").iterdir()], "jpg: the folder is empty"),
        (lambda s: [p.rename(p.with_suffix(".jpeg")) for p in (s / "jpg").iterdir()], "jpg: holds none of the images"),
        (lambda s: [(s / f"jpg/image_0000{n}.jpg").unlink() for n in (2, 3, 5)], "no image for the test split"),
        (lambda s: (s / "testclasses.txt").write_text("roses\n"), "testclasses.txt: must hold lines"),
        (lambda s: (s / "testclasses.txt").write_bytes(b"\xff\xfe"), "testclasses.txt: must hold lines"),
    ],
)
def test_a_wrong_folder_is_named(source, tmp_path, change, message):
    change(source)
    with pytest.raises(UserError, match=message):
        prepare("oxford102", tmp_path / "data", source)


def test_damage_to_a_list_is_no_traceback(source, tmp_path):
    """Compressed, as published; uncompressed ones can crash scipy itself."""
    published = {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[5, 6, 7, 8]]}
    scipy.io.savemat(source / "setid.mat", published, do_compression=True)
    whole = (source / "setid.mat").read_bytes()
    for place in range(0, len(whole), len(whole) // 12):
        (source / "setid.mat").write_bytes(whole[:place] + b"\x5a\xa5" + whole[place + 2 :])
        with contextlib.suppress(UserError):
            prepare("oxford102", tmp_path / str(place), source)


def test_damaged_prepared_data_are_named(source, tmp_path):
    builder = prepare("oxford102", tmp_path / "data", source)
    (shard,) = builder.data_path.glob("*train.array_record*")
    for damage in (b"", shard.read_bytes()[:500]):
        shard.write_bytes(damage)
        with pytest.raises(UserError, match="the prepared data are damaged .*remove that folder"):
            Records(prepare("oxford102", tmp_path / "data"), "train")
    (builder.data_path / "dataset_info.json").write_text("{")
    with pytest.raises(UserError, match="the prepared data are damaged .*remove that folder"):
        prepare("oxford102", tmp_path / "data")


def test_a_data_dir_that_is_a_file(source, tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(UserError, match="--data_dir=.*data: cannot be used"):
        prepare("oxford102", tmp_path / "data", source)


def test_a_missing_or_empty_source(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        prepare("oxford102", tmp_path / "data", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="the folder is empty"):
        prepare("oxford102", tmp_path / "data", tmp_path / "empty")


def test_another_source_than_it_was_prepared_from(source, tmp_path):
    prepare("oxford102", tmp_path / "data", source)
    other = source.rename(tmp_path / "other")
    with pytest.raises(UserError, match="was prepared from"):
        prepare("oxford102", tmp_path / "data", other)


def test_without_a_source_the_captions_to_fetch_are_named(tmp_path):
    with pytest.raises(UserError, match=r"manual/oxford102: no such folder.*text_c10/class_00001/image_06734.txt"):
        prepare("oxford102", tmp_path / "data")


def test_images_come_through_tfds_where_there_is_no_jpg_folder(source, tmp_path, monkeypatch):
    """TFDS' own builder, with the fields that it documents, in place of its download."""
    stored = {p.name: p.read_bytes() for p in (source / "jpg").iterdir()}
    remove(source, "jpg")
    source.rename((tmp_path / "data/manual").mkdir(parents=True) or tmp_path / "data/manual/oxford102")

    class Flowers:
        def download_and_prepare(self):
            pass

        def as_dataset(self, decoders):
            import tensorflow as tf

            rows = [
                {"file_name": name, "image": image, "label": np.int64(LABELS[int(name[6:11]) - 1] - 1)}
                for name, image in sorted(stored.items())
            ]
            columns = {key: [row[key] for row in rows] for key in rows[0]}
            half = tf.data.Dataset.from_tensor_slices(columns)
            return {"train": half.take(3), "test": half.skip(3)}

    monkeypatch.setattr(tfds, "builder", lambda name, data_dir: {"oxford_flowers102": Flowers()}[name])
    builder = prepare("oxford102", tmp_path / "data")
    assert len(Records(builder, "train")) == 4 and len(Records(builder, "test")) == 3
    (record,) = [r for r in Records(builder, "train").fetch(range(4)) if r.name == "image_00006"]
    assert record.image == stored["image_00006.jpg"]


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="OXFORD102_DIR does not name the real flowers")
def test_the_real_flowers(tmp_path):
    builder = prepare("oxford102", tmp_path, REAL)
    assert builder.info.metadata["images"] == 3060 and builder.info.metadata["missing_images"] == 5129
    train, test = Records(builder, "train"), Records(builder, "test")
    assert (len(train), len(test)) == (82 * 30, 20 * 30)
    assert not set(train.labels) & set(test.labels)
    assert all(len(record.captions) == 10 for record in test.fetch(range(50)))
