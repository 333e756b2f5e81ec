"""Embeddings are computed once."""

from pathlib import Path

import numpy as np
import pytest

from stackgan_tf.data import embeddings
from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.text.hashing import Encoder
from stackgan_tf.text.precomputed import Encoder as Precomputed


@pytest.fixture
def records(shapes_data_dir):
    return Records(prepare("shapes", Path(shapes_data_dir)), "test")


def test_each_caption_has_its_row(records, monkeypatch):
    monkeypatch.setattr(embeddings, "CHUNK", 13)
    stored = Embeddings(records, Encoder(24))
    for number in (0, 7, len(records) - 1):
        (record,) = records.fetch([number])
        chosen = np.array([3, 0])
        expected = Encoder(24).encode([record.captions[i] for i in chosen])
        np.testing.assert_array_equal(stored.of(number, chosen), expected)
    assert isinstance(stored.rows, np.memmap), "only what is asked for is read"


def test_they_are_computed_once_and_anew_when_encoder_or_captions_change(records, monkeypatch):
    calls = []

    class Counting(Encoder):
        def encode(self, sentences):
            calls.append(len(sentences))
            return super().encode(sentences)

    first = Embeddings(records, Counting(20))
    assert sum(calls) == len(first.rows) == records.index.caption_counts.sum()
    calls.clear()
    assert Embeddings(records, Counting(20)).file == first.file and not calls
    assert Embeddings(records, Counting(21)).file != first.file and calls
    monkeypatch.setattr(records, "index", records.index._replace(digest="other captions"))
    assert Embeddings(records, Counting(20)).file != first.file


def test_a_damaged_file_is_made_anew(records):
    first = Embeddings(records, Encoder(26))
    expected = np.array(first.rows)
    for damaged in (first.file.read_bytes()[:-100], b"", b"hello"):
        first.file.write_bytes(damaged)
        np.testing.assert_array_equal(Embeddings(records, Encoder(26)).rows, expected)


def test_a_table_by_image(records, tmp_path):
    everyone = records.fetch(range(len(records)))
    table = np.random.default_rng(0).standard_normal((len(everyone), 5, 3)).astype(np.float32)
    np.savez(tmp_path / "t.npz", embeddings=table[::-1], names=np.array([r.name for r in everyone])[::-1])
    stored = Embeddings(records, Precomputed(path=str(tmp_path / "t.npz")))
    np.testing.assert_array_equal(stored.of(4, np.array([2])), table[4, [2]])


def test_an_interrupted_computation_leaves_nothing(records):
    class Failing(Encoder):
        def encode(self, sentences):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Embeddings(records, Failing(22))
    assert len(Embeddings(records, Encoder(22)).rows) == records.index.caption_counts.sum()


def test_they_cannot_be_written(records, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "open_memmap", full)
    with pytest.raises(UserError, match="the embeddings cannot be written .No space left"):
        Embeddings(records, Encoder(23))
