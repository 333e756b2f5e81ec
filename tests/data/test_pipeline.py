"""Batches."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from stackgan_tf import text
from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.pipeline import BatchPlan, OtherClass, next_pair_weight, training_batches
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.preprocess import load_image, pyramid, scaled
from stackgan_tf.data.records import Records, Unreadable
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.shape_attributes import read_attributes
from tests.conftest import tiny_config


@pytest.fixture(scope="module")
def records(shapes_data_dir):
    return Records(prepare("shapes", Path(shapes_data_dir)), "train")


def batches(records, config, start=0, count=3):
    embeddings = Embeddings(records, text.load(config.data)) if config.model.conditional else None
    return list(training_batches(BatchPlan(records, config, embeddings), start).take(count))


def flat(batch):
    return [tensor.numpy() for tensor in tf.nest.flatten(batch) if tensor is not None]


@pytest.mark.parametrize("family", ["v1_stage1", "v1_stage2", "v2"])
def test_a_batch_is_a_function_of_its_number(records, family):
    config = tiny_config(family)
    first = batches(records, config, 0, 4)
    again = batches(records, config, 2, 2)
    for a, b in zip(first[2:], again, strict=True):
        for x, y in zip(flat(a), flat(b), strict=True):
            np.testing.assert_array_equal(x, y)
    assert not np.array_equal(first[0].images[0], first[1].images[0])


@pytest.mark.parametrize("family", ["v1_stage1", "v2"])
def test_the_replicas_of_all_workers_load_the_rows_of_a_batch_once(records, family):
    """Two workers of two replicas: together the batch of one, in its order."""
    config = tiny_config(family, train={"batch_size": 8})
    plan = BatchPlan(records, config, Embeddings(records, text.load(config.data)))
    whole = list(training_batches(plan, 3).take(2))
    shared = []
    for worker in range(2):
        context = tf.distribute.InputContext(2, worker, num_replicas_in_sync=4)
        shared.append([flat(batch) for batch in training_batches(plan, 3, context).take(4)])
    for i, batch in enumerate(whole):
        parts = [shared[worker][2 * i + replica] for worker in range(2) for replica in range(2)]
        for complete, *pieces in zip(flat(batch), *parts, strict=True):
            np.testing.assert_array_equal(complete, np.concatenate(pieces))


def test_shapes_ranges_and_another_seed(records):
    config = tiny_config()
    (batch,) = batches(records, config, count=1)
    assert [tuple(i.shape) for i in batch.images] == [(4, 8, 8, 3), (4, 16, 16, 3)]
    assert all(i.dtype == tf.uint8 for i in batch.images) and batch.text_embedding.shape == (4, 16)
    np.testing.assert_array_equal(scaled(tf.constant([0, 255], tf.uint8)), [-1, 1])
    np.testing.assert_array_equal(scaled(tf.constant([0.25, -1])), [0.25, -1])
    (other,) = batches(records, tiny_config(train={"seed": 1}), count=1)
    assert not np.array_equal(batch.images[0], other.images[0])


def test_an_epoch_visits_each_record_once(records):
    class Few:
        labels, with_stand_ins = records.labels[:20], records.with_stand_ins

        def __init__(self):
            self.seen = []

        def __len__(self):
            return 20

        def fetch(self, indices):
            self.seen += [int(i) for i in indices]
            return records.fetch(indices)

    few = Few()
    plan = BatchPlan(few, tiny_config(model={"conditional": False}), None)
    for number in range(10):  # two epochs of five batches
        plan.fetch(number)
    assert sorted(few.seen[:20]) == sorted(few.seen[20:]) == list(range(20))
    assert few.seen[:20] != few.seen[20:]


@pytest.fixture
def spoilt(shapes_data_dir, tmp_path):
    """Spoils so many records of a copy of the prepared set, whose index and embeddings are there already."""

    def spoil(count):
        shutil.copytree(shapes_data_dir, tmp_path / "data")
        builder = prepare("shapes", tmp_path / "data")
        Embeddings(Records(builder, "train"), text.load(tiny_config().data))
        (path,) = Path(builder.data_path).glob("shapes-train.array_record*")
        content = bytearray(path.read_bytes())
        for i in range(1, count + 1):
            at = i * len(content) // (count + 1)
            content[at : at + 20] = bytes(byte ^ 255 for byte in content[at : at + 20])
        path.write_bytes(content)
        return Records(builder, "train")

    return spoil


def numbers_of_damaged(records):
    found = []
    for number in range(len(records)):
        try:
            records.fetch([number])
        except Unreadable as unreadable:
            found.append(unreadable.number)
    return found


def test_a_record_that_cannot_be_read_is_told_of_and_another_of_its_class_is_shown(spoilt, caplog):
    records = spoilt(1)
    (bad,) = numbers_of_damaged(records)
    config = tiny_config(train={"batch_size": 32})
    epoch = batches(records, config, count=len(records) // 32)
    assert sum(f"record {bad} of train" in message for message in caplog.messages) == 1
    assert records.labels[records.stand_ins[bad]] == records.labels[bad]
    again = batches(spoilt_again := Records(prepare("shapes", records.folder.parents[1]), "train"), config, count=3)
    assert not spoilt_again.stand_ins or bad in spoilt_again.stand_ins
    for one, other in zip(epoch, again, strict=False):
        for a, b in zip(flat(one), flat(other), strict=True):
            np.testing.assert_array_equal(a, b)


def test_where_a_class_has_one_image_any_other_stands_in(records):
    """As in a folder of captioned photographs, each a class of its own, and fewer than a hundred of them."""
    alone = Records.__new__(Records)
    alone.folder, alone.split, alone._source = records.folder, "train", range(3)
    alone.labels, alone.stand_ins = np.array([0, 1, 2]), {}
    alone.leave_out(Unreadable(alone, 1, ValueError()))
    assert alone.with_stand_ins(np.arange(3)).tolist() == [0, 2, 2]
    with pytest.raises(Unreadable, match="record 0 of train"):
        alone.leave_out(Unreadable(alone, 0, ValueError()))
    assert alone.stand_ins == {1: 2}


def test_where_many_cannot_be_read_it_ends(spoilt):
    records = spoilt(200)
    config = tiny_config(train={"batch_size": 32})
    plan = BatchPlan(records, config, Embeddings(records, text.load(config.data)))
    with pytest.raises(tf.errors.OpError):
        list(training_batches(plan, 0).take(len(records) // 32))
    assert "the prepared data are damaged (record" in str(plan.failure)


def test_mismatched_images_are_of_another_class(records):
    """A picture tells its own class: read it with the pixel rule."""
    config = tiny_config(model={"base_size": 64, "branches": 1}, train={"batch_size": 64})
    (batch,) = batches(records, config, count=1)

    def shown(images):
        return [read_attributes(image) for image in images[0].numpy()]

    pairs = list(zip(shown(batch.images), shown(batch.mismatched_images), strict=True))
    assert all(a != b for a, b in pairs)


@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 2], [2, 0, 1, 0, 2, 0]])
def test_other_class_is_uniform_over_the_others(labels):
    labels = np.array(labels)
    other = OtherClass(labels)
    for record in range(len(labels)):
        drawn = other.draw(np.full(120, record), np.random.default_rng(record))
        rest = np.flatnonzero(labels != labels[record])
        counts = np.array([(drawn == r).sum() for r in rest])
        assert counts.sum() == 120 and counts.min() > 120 / len(rest) / 3


def test_one_class_has_nothing_mismatched():
    with pytest.raises(UserError, match="fewer than two classes"):
        OtherClass(np.zeros(5, int))


def test_v1_pairs_with_the_next_text(records):
    (batch,) = batches(records, tiny_config("v1_stage1", train={"batch_size": 8}), count=1)
    np.testing.assert_array_equal(batch.mismatched_text_embedding[:-1], batch.text_embedding[1:])
    weight = batch.mismatched_weight.numpy()
    assert weight[-1] == 0 and weight.mean() == pytest.approx(1)


def test_v1_neighbours_of_one_class_have_no_weight():
    np.testing.assert_array_equal(next_pair_weight(tf.constant([0, 0, 1, 1, 2])), [0, 2.5, 0, 2.5, 0])


def test_shuffled_captions_are_the_known_bad_control(records):
    good, bad = (tiny_config(data={"shuffle_captions": s, "text_size": 64}) for s in (False, True))
    (a,), (b,) = batches(records, good, count=1), batches(records, bad, count=1)
    np.testing.assert_array_equal(a.images[0], b.images[0])
    assert np.abs(a.text_embedding - b.text_embedding).max(axis=1).min() > 0


def test_the_same_crop_at_every_scale():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    fine, coarse = pyramid(Image.fromarray(pixels), (32, 16))
    np.testing.assert_array_equal(fine, pixels)
    np.testing.assert_allclose(coarse, pixels.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3)), atol=0.5)


def encoded_ramp(height, width):
    """A PNG whose red is the column and green the row."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    file = io.BytesIO()
    Image.fromarray(np.stack([columns, rows, 0 * rows], -1).astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()


def loaded(*arguments):
    return np.asarray(load_image(*arguments)).astype(float)


def rolls(count):
    return np.random.default_rng(0).random((count, 3), np.float32)


def test_crop_loads_at_76_64_of_the_side_and_moves():
    png = encoded_ramp(76, 152)
    crops = [loaded(png, None, 64, dice, True, False) for dice in rolls(40)]
    lefts, tops = np.array([c[0, 0, 0] for c in crops]), np.array([c[0, 0, 1] for c in crops])
    assert all(c.shape == (64, 64, 3) for c in crops)
    assert all(np.ptp(c[..., 0]) == np.ptp(c[..., 1]) == 63 for c in crops), "not resized: 76 pixels are 76 / 64 of 64"
    assert 88 >= lefts.max() > 60 and 12 >= tops.max() > 8 and len(set(tops.round())) > 5


def test_a_large_photograph_is_averaged_when_it_is_made_smaller():
    """Stripes of one pixel become grey, not stripes."""
    stripes = np.zeros((608, 608, 3), np.uint8)
    stripes[:, ::2] = 255
    file = io.BytesIO()
    Image.fromarray(stripes).save(file, format="PNG")
    assert np.abs(loaded(file.getvalue(), None, 64, np.zeros(3), True, False) - 127.5).max() < 20


@pytest.mark.parametrize("box", [None, (101, 303, 801, 701)])
@pytest.mark.parametrize("size", [(1203, 1001), (1001, 1203), (4000, 3000)])
def test_a_large_jpeg_is_decoded_at_a_fraction_and_cropped_at_the_same_place(box, size):
    """The same as of a PNG, which is decoded whole."""
    ramp = Image.linear_gradient("L").resize(size)
    picture = Image.merge("RGB", (ramp, ramp.rotate(180), ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    jpeg, png = io.BytesIO(), io.BytesIO()
    picture.save(jpeg, format="JPEG", quality=98, subsampling=0)
    picture.save(png, format="PNG", compress_level=1)
    for dice in (*rolls(5), np.array([0.999999, 0.999999, 0.7])):
        exact, fast = (loaded(file.getvalue(), box, 64, dice, True, True) for file in (png, jpeg))
        np.testing.assert_allclose(fast, exact, atol=2)
    assert np.abs(exact - loaded(png.getvalue(), box, 64, np.zeros(3), True, False)).max() > 2, "a crop elsewhere shows"


def test_without_crop_the_middle_is_taken():
    image = loaded(encoded_ramp(64, 128), None, 64, rolls(1)[0], False, False)
    np.testing.assert_allclose(image[:, 0, 0], 32, atol=0.5)


def test_a_box_is_all_that_is_seen():
    for dice in rolls(20):
        image = loaded(encoded_ramp(100, 200), (10, 150, 40, 40), 32, dice, True, True)
        assert 150 <= image[..., 0].min() and image[..., 0].max() < 190
        assert 10 <= image[..., 1].min() and image[..., 1].max() < 50


def test_half_of_the_images_are_mirrored():
    png = encoded_ramp(64, 64)
    images = [loaded(png, None, 64, dice, False, True) for dice in rolls(60)]
    mirrored = sum(image[0, 0, 0] > 32 for image in images)
    assert 15 < mirrored < 45


def test_gray_photographs_become_rgb():
    file = io.BytesIO()
    Image.new("L", (70, 70), 128).save(file, format="JPEG")
    np.testing.assert_allclose(loaded(file.getvalue(), None, 32, rolls(1)[0], True, True), 128, atol=1)


def test_captions_for_samples_are_spread(records):
    _, captions = records.told(5)
    assert len(set(captions)) == 5
