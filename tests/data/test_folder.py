"""Anyone's own images."""

import errno
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from stackgan_tf.data.captioned import lines_of
from stackgan_tf.data.pipeline import OtherClass
from stackgan_tf.data.prepare import prepare, summary, verify
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError


def picture(path, shade=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 50, 3), shade, np.uint8)).save(path)


@pytest.fixture
def source(tmp_path):
    """Twelve images with a text file each."""
    for number in range(12):
        picture(tmp_path / f"mine/photo {number:02d}.jpg", 20 * number)
        (tmp_path / f"mine/photo {number:02d}.txt").write_text(f"my photo, number {number}\n\n  another line \n")
    return tmp_path / "mine"


def fetched(builder, split):
    records = Records(builder, split)
    return records.fetch(range(len(records)))


def all_captions(builder):
    return {record.name: record.captions for split in builder.info.splits for record in fetched(builder, split)}


def test_a_text_file_beside_each_image(source, tmp_path):
    builder = prepare("folder", tmp_path / "data", source)
    assert [len(fetched(builder, split)) for split in ("train", "test")] == [11, 1], "every tenth for pictures"
    assert all_captions(builder)["photo 03.jpg"] == ("my photo, number 3", "another line"), "empty lines do not count"
    train = Records(builder, "train")
    assert len(set(train.labels)) == 11, "each its own class"
    OtherClass(train.labels)


def table(source, kind):
    rows = [(path.name, path.with_suffix(".txt").read_text().splitlines()[0]) for path in sorted(source.glob("*.jpg"))]
    for path in source.glob("*.txt"):
        path.unlink()
    rows.append((rows[0][0], "said again, of the same"))
    if kind == "jsonl":
        lines = [json.dumps({"file_name": name, "text": text}) for name, text in rows]
    else:
        lines = ["file_name,text", *(f'"{name}","{text}"' for name, text in rows)]
    (source / f"captions.{kind}").write_text("\n".join(lines))


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_one_table_of_captions(source, tmp_path, kind):
    table(source, kind)
    told = all_captions(prepare("folder", tmp_path / "data", source))
    assert len(told) == 12 and told["photo 05.jpg"] == ("my photo, number 5",)
    assert told["photo 00.jpg"] == ("my photo, number 0", "said again, of the same"), "a name twice: both captions"


def test_subfolders_are_classes_and_a_class_of_one_is_not_lost(source, tmp_path):
    for number, path in enumerate(sorted(source.glob("*.jpg"))):
        kind = source / ("cats" if number < 5 else "dogs" if number < 11 else "the only bird")
        kind.mkdir(exist_ok=True)
        path.with_suffix(".txt").rename(kind / f"{path.stem}.txt")
        path.rename(kind / path.name)
    train = Records(prepare("folder", tmp_path / "data", source), "train")
    assert sorted(np.bincount(train.labels)) == [1, 5, 5]
    other = OtherClass(train.labels)
    drawn = other.draw(np.arange(len(train)).repeat(50), np.random.default_rng(0))
    assert (train.labels[drawn] != train.labels.repeat(50)).all() and set(drawn) == set(range(len(train)))


def test_without_captions_there_is_no_text(source, tmp_path):
    for path in source.glob("*.txt"):
        path.unlink()
    builder = prepare("folder", tmp_path / "data", source)
    assert list(builder.info.splits) == ["train"] and not Records(builder, "train").index.caption_counts.any()
    verify(prepare("folder", tmp_path / "data", source))
    picture(source / "photo \udce9.jpg")
    with pytest.raises(UserError, match="1 file cannot be used: .*udce9.jpg' .its name"):
        prepare("folder", tmp_path / "data", source)


@pytest.mark.parametrize("encoding, latin_1", [("utf-8", None), ("utf-8-sig", None), ("latin-1", 1), ("utf-16", None)])
def test_encodings(source, tmp_path, encoding, latin_1):
    (source / "photo 04.txt").write_bytes("une fleur à pétales rosés\n".encode(encoding))
    builder = prepare("folder", tmp_path / "data", source)
    assert all_captions(builder)["photo 04.jpg"] == ("une fleur à pétales rosés",)
    assert builder.info.metadata.get("files_in_latin_1") == latin_1


def test_only_ends_of_lines_end_a_caption():
    assert lines_of("a bird\x85 with\u2028 wings\r\nand\ra\n\nbeak".encode()) == (
        ["a bird\x85 with\u2028 wings", "and", "a", "beak"],
        False,
    )


def damage(source, what):
    match what:
        case "no caption":
            (source / "photo 04.txt").unlink()
        case "no image":
            (source / "photo 04.jpg").unlink()
        case "zero bytes":
            (source / "photo 04.jpg").write_bytes(b"")
        case "bomb":
            Image.new("1", (20_000, 20_000)).save(source / "photo 04.jpg", format="PNG")
        case "a name in no code":
            for suffix in ("jpg", "txt"):
                (source / f"photo 04.{suffix}").rename(source / f"photo 04 \udce9.{suffix}")
        case "a name twice":
            picture(source / "photo 04.png")


@pytest.mark.parametrize(
    "what, message, left",
    [
        ("no caption", "photo 04.txt .missing caption file", 11),
        ("no image", "photo 04.txt has no image", 11),
        ("zero bytes", "photo 04.jpg .an empty file", 11),
        ("bomb", "photo 04.jpg .*too large to be safe", 11),
        ("a name in no code", r"photo 04 .udce9.jpg' .its name or a caption is no Unicode text", 11),
        ("a name twice", "photo 04.txt belongs to 2 images", 11),
    ],
)
def test_what_is_wrong_is_named_and_left_out_only_when_asked(source, tmp_path, what, message, left):
    damage(source, what)
    with pytest.raises(UserError, match=f"1 file cannot be used: .*{message}.*--skip_broken"):
        prepare("folder", tmp_path / "data", source)
    builder = prepare("folder", tmp_path / "data", source, skip_broken=True)
    assert len(all_captions(builder)) == left
    assert "left out: " in summary(builder) and "photo 04" in summary(builder)


def test_a_table_that_names_an_image_that_is_not_there(source, tmp_path):
    table(source, "jsonl")
    (source / "photo 04.jpg").unlink()
    with pytest.raises(UserError, match="captions.jsonl names photo 04.jpg, which is not there"):
        prepare("folder", tmp_path / "data", source)


@pytest.mark.parametrize(
    "name, text, message",
    [
        (
            "captions.jsonl",
            '{"file": "a"}',
            """captions.jsonl: cannot read '{"file": "a"}'; it must hold lines such as""",
        ),
        ("captions.jsonl", '{"file_name": "a", "text": 3}', 'captions.jsonl: cannot read .*"text": 3'),
        ("captions.jsonl", "[]", "captions.jsonl: cannot read"),
        ("captions.jsonl", "hello", "captions.jsonl: cannot read 'hello'"),
        ("captions.csv", "a,b\n1,2", "captions.csv: it begins with 'a,b'; must have the columns file_name,text"),
        ("captions.csv", "file_name;text\n1;2", "captions.csv: it begins with 'file_name;text'; .* by a comma"),
        ("captions.csv", "file_name,text\nphoto 01.jpg,red, white", "'photo 01.jpg' goes on after a comma; put it in"),
        (
            "captions.csv",
            'file_name,text\nphoto 01.jpg,"red\nphoto 02.jpg,white',
            "unexpected end of data",
        ),
        ("captions.csv", "file_name,text\nimages/1.jpg,red", "captions.csv names images/1.jpg, which is not there"),
        ("captions.csv", "file_name,text\nphoto 01.jpg", "captions.csv: 'photo 01.jpg' has no caption beside it"),
        ("captions.csv", "file_name,text\na.jpg," + "a" * 200_000, "captions.csv: field larger than field limit"),
        ("captions.csv", "", "captions.csv: it begins with ''"),
    ],
)
def test_a_table_that_cannot_be_read(source, tmp_path, name, text, message):
    (source / name).write_text(text)
    with pytest.raises(UserError, match=message):
        prepare("folder", tmp_path / "data", source)


def test_a_folder_without_images_and_no_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.txt").write_text("hello")
    with pytest.raises(UserError, match="mine: holds no image"):
        prepare("folder", tmp_path / "data", tmp_path / "mine")
    with pytest.raises(UserError, match="folder: name the folder of your images with --source_dir"):
        prepare("folder", tmp_path / "data")


def test_a_change_is_seen_and_two_folders_live_beside_each_other(source, tmp_path):
    first = prepare("folder", tmp_path / "data", source)
    assert prepare("folder", tmp_path / "data", source).data_path == first.data_path
    (source / "photo 04.txt").write_text("other words")
    second = prepare("folder", tmp_path / "data", source)
    assert second.data_path != first.data_path and all_captions(second)["photo 04.jpg"] == ("other words",)
    picture(tmp_path / "other/a.jpg")
    picture(tmp_path / "other/b.jpg")
    assert prepare("folder", tmp_path / "data", tmp_path / "other").data_path != second.data_path


def test_a_full_disk_leaves_no_half_built_set(source, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tfds.core.writer.Writer, "finalize", full)
        with pytest.raises(UserError, match="--data_dir=.*cannot be used .*No space left on device"):
            prepare("folder", tmp_path / "data", source)
    builder = prepare("folder", tmp_path / "data", source)
    assert len(all_captions(builder)) == 12
