"""The birds: the published layout, boxes and split."""

import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackgan_tf import legacy
from stackgan_tf.data.builders.cub import TEST_CLASSES, square_around
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError

REAL = Path(__file__).parents[3] / "shared/data/cub"
beside = pytest.mark.skipif(not REAL.is_dir(), reason="the real birds are not beside this checkout")
NAMES = ["001.Albatross/A_1", "002.Gull/G_2", "002.Gull/G_3", "004.Crow/C_4"]


@pytest.fixture
def source(tmp_path):
    """Four named images in the published layout, of which one is not there."""
    root = tmp_path / "cub/CUB_200_2011"
    for number, name in enumerate(NAMES):
        image, captions = root / f"images/{name}.jpg", tmp_path / f"cub/text_c10/{name}.txt"
        for path in (image, captions):
            path.parent.mkdir(parents=True, exist_ok=True)
        if number != 2:
            Image.fromarray(np.full((40, 60, 3), 50 * number, np.uint8)).save(image)
        captions.write_text(f"bird {number}\na bird\n")
    tables = {
        "images": [f"{10 + i} {name}.jpg" for i, name in enumerate(NAMES)],
        "image_class_labels": [f"{10 + i} {int(name[:3])}" for i, name in enumerate(NAMES)],
        "bounding_boxes": [f"{10 + i} 20.0 10.0 8.0 12.0" for i in range(len(NAMES))],
    }
    for name, lines in tables.items():
        (root / f"{name}.txt").write_text("\n".join(reversed(lines)) + "\n")
    return tmp_path / "cub"


def test_classes_boxes_and_captions(source, tmp_path):
    builder = prepare("cub", tmp_path / "data", source)
    train, test = Records(builder, "train"), Records(builder, "test")
    assert [r.name for r in train.fetch(range(len(train)))] == ["002.Gull/G_2"]
    assert sorted(r.name for r in test.fetch(range(len(test)))) == ["001.Albatross/A_1", "004.Crow/C_4"]
    (record,) = train.fetch([0])
    assert record.captions == ("bird 1", "a bird") and record.label == 1
    assert record.box == (7, 15, 18, 18), "half a side of 9 = 0.75 * 12 around (24, 16)"
    assert builder.info.metadata["missing_images"] == 1


def test_the_pickles_of_the_released_code_in_place_of_the_photographs(source, tmp_path):
    rng = np.random.default_rng(0)
    pixels = {name: rng.integers(0, 255, (304, 304, 3), dtype=np.uint8) for name in NAMES}
    shutil.rmtree(source / "CUB_200_2011")
    for split, names in {"train": NAMES[1:3], "test": [NAMES[0], NAMES[3]]}.items():
        pickles = {
            "filenames": names,
            "class_info": [int(name[:3]) for name in names],
            "304images": [pixels[name] for name in names],
        }
        (source / split).mkdir()
        for name, value in pickles.items():
            (source / f"{split}/{name}.pickle").write_bytes(pickle.dumps(value, protocol=2))
    builder = prepare("cub", tmp_path / "data", source)
    train, test = Records(builder, "train"), Records(builder, "test")
    records = [*train.fetch(range(2)), *test.fetch(range(2))]
    assert sorted(r.name for r in records) == NAMES and set(train.labels) == {1} and set(test.labels) == {0, 3}
    for record in records:
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(record.image))), pixels[record.name])
        assert record.box == (0, 0, 304, 304) and record.captions == (f"bird {NAMES.index(record.name)}", "a bird")
    (source / "test/304images.pickle").unlink()
    with pytest.raises(UserError, match="304images.pickle: no such file; it belongs to the pickles"):
        prepare("cub", tmp_path / "data2", source)


def test_an_image_named_twice(source, tmp_path):
    table = source / "CUB_200_2011/images.txt"
    table.write_text("".join(f"{10 + i} {NAMES[i // 2]}.jpg\n" for i in range(4)))
    with pytest.raises(UserError, match="the lists name 001.Albatross/A_1 twice"):
        prepare("cub", tmp_path / "data", source)


@pytest.mark.parametrize(
    "box, size, square",
    [
        ([20.0, 10.0, 8.0, 12.0], (60, 40), (7, 15, 18, 18)),
        ([0.0, 0.0, 8.0, 12.0], (60, 40), (0, 0, 15, 13)),  # middle (4, 6): cut off at the left and at the top
        ([50.0, 30.0, 10.0, 10.0], (60, 40), (28, 48, 12, 12)),
        ([57.4, 25.8, 310.7, 290.4], (400, 320), (0, 0, 320, 400)),
    ],
)
def test_the_square_around_a_box(box, size, square):
    assert square_around(box, *size) == square


@pytest.mark.parametrize(
    "table, text, message",
    [
        ("images", "10 a.jpg b\n", "each line must hold a number and 1 more"),
        ("bounding_boxes", "10 1 2 3 4\n", "do not tell class and box of image"),
        ("bounding_boxes", "".join(f"{10 + i} a b c d\n" for i in range(4)), "do not tell class and box of image"),
        ("bounding_boxes", "".join(f"{10 + i} 1 2 nan 4\n" for i in range(4)), "the box of image 13 is no box"),
        ("bounding_boxes", "".join(f"{10 + i} 1 2 1 1\n" for i in range(4)), "the box of image 13 is no box"),
        ("image_class_labels", "".join(f"{10 + i} 201\n" for i in range(4)), "classes from 1 to 200"),
        ("images", "10 nowhere/a.jpg\n", "holds none of the images"),
    ],
)
def test_a_wrong_list_is_named(source, tmp_path, table, text, message):
    (source / f"CUB_200_2011/{table}.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        prepare("cub", tmp_path / "data", source)


def test_without_a_source(tmp_path):
    with pytest.raises(UserError, match="cub: name the folder"):
        prepare("cub", tmp_path)


@beside
def test_the_test_classes_are_the_published_ones():
    published = {
        split: legacy.read_filenames(REAL / f"full_lists/{split}/filenames.pickle") for split in ("train", "test")
    }
    classes = {split: {int(name[:3]) for name in names} for split, names in published.items()}
    assert classes["test"] == TEST_CLASSES and len(classes["train"]) == 150 and not classes["train"] & TEST_CLASSES


@beside
def test_the_real_birds(tmp_path):
    builder = prepare("cub", tmp_path, REAL)
    train, test = Records(builder, "train"), Records(builder, "test")
    for split, records in (("train", train), ("test", test)):
        names = {record.name for record in records.fetch(range(len(records)))}
        assert names == set(legacy.read_filenames(REAL / split / "filenames.pickle"))
    assert (len(train), len(test)) == (561, 289)
    assert train.index.caption_counts.sum() + test.index.caption_counts.sum() == 8500
