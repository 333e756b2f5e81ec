"""LSUN and the subsets of ImageNet, in the published layouts, through Beam."""

import io

import numpy as np
import pytest
from PIL import Image

from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.prepare import prepare, summary
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.text.hashing import Encoder

pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
lmdb = pytest.importorskip("lmdb", reason="lmdb is not installed")


def webp(shade):
    file = io.BytesIO()
    Image.fromarray(np.full((32, 40, 3), shade, np.uint8)).save(file, format="WEBP", lossless=True)
    return file.getvalue()


def write_lmdb(folder, values):
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for number, value in enumerate(values):
            transaction.put(f"key{number:05d}".encode(), value)


def shades(builder):
    records = Records(builder, "train")
    images = [Image.open(io.BytesIO(record.image)) for record in records.fetch(range(len(records)))]
    return sorted(int(np.asarray(image)[0, 0, 0]) for image in images)


def test_lsun_as_an_lmdb(tmp_path, monkeypatch):
    """More than one part, each read from where it begins."""
    monkeypatch.setattr("stackgan_tf.data.lsun.PART", 4)
    write_lmdb(tmp_path / "lsun/church_outdoor_train_lmdb", [webp(20 * i) for i in range(10)])
    builder = prepare("lsun_church", tmp_path / "data", tmp_path / "lsun")
    np.testing.assert_allclose(shades(builder), np.arange(10) * 20, atol=2)
    with pytest.raises(UserError, match="has images without captions"):
        Embeddings(Records(builder, "train"), Encoder())


def test_lsun_as_a_folder_of_images(tmp_path):
    for number in range(3):
        path = tmp_path / f"lsun/{number}/a\udce9.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8), (number * 50,) * 3).save(path)
    assert shades(prepare("lsun_bedroom", tmp_path / "data", tmp_path / "lsun")) == [0, 50, 100]


def test_imagenet_takes_its_classes_only(tmp_path):
    for number, name in enumerate(["n02085619", "n02085620", "n02113978", "n02123045", "n02124075", "n02124076"]):
        path = tmp_path / f"imagenet/train/{name}/{name}_1.JPEG"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8), (number * 40,) * 3).save(path, format="PNG")
    assert shades(prepare("imagenet_dog", tmp_path / "data", tmp_path / "imagenet")) == [40, 80]
    assert shades(prepare("imagenet_cat", tmp_path / "data", tmp_path / "imagenet")) == [120, 160]
    for path in (tmp_path / "imagenet").rglob("*.JPEG"):
        path.unlink()
    with pytest.raises(UserError, match="n02085620 ... hold no image"):
        prepare("imagenet_dog", tmp_path / "data2", tmp_path / "imagenet")


def test_a_broken_image_is_named_and_left_out_only_when_asked(tmp_path):
    write_lmdb(tmp_path / "lsun/church_outdoor_train_lmdb", [webp(0), b"hello", webp(50)])
    with pytest.raises(UserError, match="key00001 cannot be used .not an image.; .*--skip_broken") as error:
        prepare("lsun_church", tmp_path / "data", tmp_path / "lsun")
    assert "\n" not in str(error.value)
    builder = prepare("lsun_church", tmp_path / "data", tmp_path / "lsun", skip_broken=True)
    assert len(Records(builder, "train")) == 2 and "3 named images" in summary(builder)
    assert "left out: 1 that cannot be used" in summary(builder)


@pytest.mark.parametrize(
    "prepared, message",
    [
        (lambda folder: folder.mkdir(parents=True), "holds neither church_outdoor_train_lmdb/data.mdb nor images"),
        (lambda folder: write_lmdb(folder / "church_outdoor_train_lmdb", []), "the LMDB is empty"),
        (
            lambda folder: (
                (folder / "church_outdoor_train_lmdb").mkdir(parents=True)
                or (folder / "church_outdoor_train_lmdb/data.mdb").write_text("hello")
            ),
            "is no LMDB, or a damaged one",
        ),
    ],
)
def test_a_wrong_source_is_named(tmp_path, prepared, message):
    prepared(tmp_path / "lsun")
    with pytest.raises(UserError, match=message):
        prepare("lsun_church", tmp_path / "data", tmp_path / "lsun")


def test_options_of_beam_for_a_set_without(tmp_path):
    with pytest.raises(UserError, match="--beam_options=--runner=x: this set is built without Beam"):
        prepare("shapes", tmp_path, beam_options=["--runner=x"])
