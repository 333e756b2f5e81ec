"""Data, embeddings and encoders through the programs, as a user has them."""

import json

import numpy as np
import pytest
from PIL import Image

from stackgan_tf.generation import run_config
from tests.test_programs import contents, refused, run

SMALL = [
    *("--set=model.base_size=8", "--set=model.gf=8", "--set=model.df=4", "--set=model.noise_size=6"),
    *("--set=model.condition_size=5", "--batch_size=4", "--steps=2"),
]


@pytest.fixture
def mine(tmp_path):
    """Fifty captioned photographs."""
    rng = np.random.default_rng(0)
    (tmp_path / "mine").mkdir()
    for number in range(50):
        pixels = rng.integers(0, 255, (8, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((100, 80)).save(tmp_path / f"mine/{number:02d}.jpg")
        (tmp_path / f"mine/{number:02d}.txt").write_text(f"my picture of {number} things\n")
    return tmp_path


def test_a_folder_of_fifty_photographs_trains_with_one_command(mine):
    result = run("train", "--dataset=folder", "--source_dir=mine", "--data_dir=data", *SMALL, cwd=mine)
    assert result.returncode == 0, result.stderr
    assert "train: 45 images; test: 5 images; 50 images, 50 classes, 50 captions" in result.stderr
    assert run_config(mine / "runs/folder_v2").data.text_size == 1024, "that of the encoder"
    drawn = run("sample", "--run_dir=runs/folder_v2", "--text=my picture of 7 things", cwd=mine)
    assert drawn.returncode == 0, drawn.stderr


def test_images_without_captions_train_without_text(mine):
    for path in (mine / "mine").glob("*.txt"):
        path.unlink()
    flags = ["--dataset=folder", "--source_dir=mine", "--data_dir=data", *SMALL]
    assert "has images without captions; train without text (--model=v2_unconditional)" in refused(
        run("train", *flags, cwd=mine)
    )
    assert not (mine / "runs").exists()
    encoder = run("train_text_encoder", *flags[:3], "--steps=2", "--out=encoder", cwd=mine)
    assert "has images without captions" in refused(encoder) and not (mine / "encoder").exists()
    result = run("train", *flags, "--model=v2_unconditional", cwd=mine)
    assert result.returncode == 0, result.stderr


def test_prepare_tells_what_there_is_and_verifies(mine):
    (mine / "mine/03.jpg").write_bytes(b"")
    flags = ["--dataset=folder", "--source_dir=mine", "--data_dir=data"]
    assert "1 file cannot be used: " in refused(run("prepare", *flags, cwd=mine))
    result = run("prepare", *flags, "--skip_broken", "--verify", cwd=mine)
    assert result.returncode == 0, result.stderr
    folder, *lines = result.stdout.splitlines()[-6:]
    assert "data/folder/mine-" in folder
    assert lines[:2] == ["train: 45 images", "test: 4 images"] and lines[-1] == "verified"
    assert "49 images, 49 classes, 1 broken, 49 captions" in lines and "03.jpg (an empty file)" in lines[-2]


def test_prepare_verifies_what_is_damaged(mine):
    flags = ["--dataset=folder", "--source_dir=mine", "--data_dir=data"]
    assert run("prepare", *flags, cwd=mine).returncode == 0
    assert run("prepare", *flags, "--verify", cwd=mine).returncode == 0
    (shard,) = (mine / "data").rglob("*train.array_record*")
    data = bytearray(shard.read_bytes())
    jpeg = data.index(b"\xff\xd8\xff")
    data[jpeg : jpeg + 64] = bytes(64)
    shard.write_bytes(data)
    assert "the prepared data are damaged" in refused(run("prepare", *flags, "--verify", cwd=mine))


def test_embeddings_of_a_text_file_are_a_table_to_sample_from(mine):
    (mine / "sentences.txt").write_text("a red rose\n\n  a blue tulip\n")
    result = run("embed", "--text_file=sentences.txt", "--text_size=24", "--out=out/table.npz", cwd=mine)
    assert "table.npz: 2 sentences, 24 numbers each" in result.stdout, result.stderr
    with np.load(mine / "out/table.npz") as table:
        assert list(table["sentences"]) == ["a red rose", "a blue tulip"] and table["embeddings"].shape == (2, 24)


def test_embeddings_of_a_data_set_are_kept_beside_it(mine):
    flags = ["--dataset=folder", "--source_dir=mine", "--data_dir=data"]
    result = run("embed", *flags, "--text_size=24", cwd=mine)
    assert "train.npy: 45 captions, 24 numbers each" in result.stdout, result.stderr
    before = contents(mine / "data")
    assert run("embed", *flags, "--text_size=24", cwd=mine).returncode == 0
    assert contents(mine / "data") == before


def test_a_text_encoder_is_trained_and_travels_with_the_run(mine, shapes_data_dir):
    flags = ["--dataset=shapes", f"--data_dir={shapes_data_dir}", "--steps=2", "--batch_size=4", "--side=32"]
    result = run("train_text_encoder", *flags, "--out=encoder", cwd=mine)
    assert "encoder: zero-shot accuracy " in result.stdout, result.stderr
    chosen = ["--set=data.text_encoder=char_cnn_rnn", "--set=data.text_path=encoder"]
    result = run("train", "--dataset=folder", "--source_dir=mine", "--data_dir=data", *SMALL, *chosen, cwd=mine)
    assert result.returncode == 0, result.stderr
    assert not (mine / "runs/folder_v2/text_encoder/checkpoints").exists(), "the weights alone"
    (mine / "encoder").rename(mine / "elsewhere")
    drawn = run("sample", "--run_dir=runs/folder_v2", "--text=a rose", cwd=mine)
    assert drawn.returncode == 0, drawn.stderr
    line = json.loads((mine / "elsewhere/metrics.jsonl").read_text().splitlines()[-1])
    assert 0 <= line["zero_shot_accuracy"] <= 1


@pytest.mark.parametrize(
    "program, flags, message",
    [
        ("prepare", [], "--dataset is missing"),
        ("prepare", ["--dataset=roses"], "data.dataset='roses': unknown data set; choose from coco, cub, folder"),
        ("prepare", ["--dataset=folder", "--data_dir=d"], "folder: name the folder of your images with --source_dir"),
        ("embed", [], "what shall be embedded? Give one of the two"),
        ("embed", ["--text_file=none.txt", "--out=a.npz"], "--text_file=none.txt: cannot be read (No such file"),
        ("embed", ["--text_file=none.txt"], "--out=: name the .npz"),
        ("embed", ["--text_file=none.txt", "--out=a.npz", "--encoder=bert"], "data.text_encoder='bert': unknown"),
        ("train_text_encoder", [], "--dataset is missing"),
        ("train_text_encoder", ["--dataset=shapes", "--steps=0"], "--steps=0: must be at least 1"),
        ("train_text_encoder", ["--dataset=shapes", "--side=48"], "--side=48: must be 32, 64, 128 or 256"),
        ("train_text_encoder", ["--dataset=shapes", "--encoder=bert"], "--encoder=bert: unknown; choose from"),
    ],
)
def test_they_refuse_at_once(program, flags, message, tmp_path):
    assert message in refused(run(program, *flags, cwd=tmp_path))
