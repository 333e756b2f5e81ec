"""COCO in the published layout."""

import json

import pytest
from PIL import Image

from stackgan_tf.data.pipeline import OtherClass
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    for part, count in (("train2014", 4), ("val2014", 2)):
        (folder / part).mkdir()
        images = [{"id": 7 * i, "file_name": f"COCO_{part}_{i:012d}.jpg"} for i in range(count)]
        for image in images:
            Image.new("RGB", (40, 30)).save(folder / part / image["file_name"])
        told = [{"image_id": image["id"], "caption": f"A thing,\nnumber {k}. "} for image in images for k in range(5)]
        (folder / f"annotations/captions_{part}.json").write_text(json.dumps({"images": images, "annotations": told}))
    return folder


def test_each_image_is_its_own_class(source, tmp_path):
    builder = prepare("coco", tmp_path / "data", source)
    train, test = Records(builder, "train"), Records(builder, "test")
    assert (len(train), len(test)) == (4, 2) and sorted(train.labels) == [0, 1, 2, 3]
    assert train.fetch([0])[0].captions == tuple(f"A thing, number {k}." for k in range(5))
    OtherClass(train.labels)


def test_what_is_missing_is_counted_and_what_is_broken_refused(source, tmp_path):
    (source / "train2014/COCO_train2014_000000000001.jpg").unlink()
    (source / "train2014/COCO_train2014_000000000002.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="1 file cannot be used: .*000002.jpg .an empty file"):
        prepare("coco", tmp_path / "data", source)
    builder = prepare("coco", tmp_path / "data", source, skip_broken=True)
    assert builder.info.metadata["missing_images"] == 1 and sorted(Records(builder, "train").labels) == [0, 3]


def test_a_wrong_file_of_captions_is_named(source, tmp_path):
    (source / "annotations/captions_val2014.json").write_text("[1]")
    with pytest.raises(UserError, match="captions_val2014.json: not COCO's captions"):
        prepare("coco", tmp_path / "data", source)
