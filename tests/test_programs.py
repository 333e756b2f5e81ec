"""The programs as a user runs them: what they leave, and one line and exit code 2 for every mistake."""

import json
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

from stackgan_tf import pretrained
from stackgan_tf.generation import load_generator
from tests.conftest import fill, full_disk

CARD = """
data: {dataset: shapes, text_size: 16, random_crop: false, random_flip: false}
model: {family: v2, base_size: 8, branches: 2, gf: 8, df: 4, noise_size: 6, condition_size: 5, residual_blocks: 1}
train: {steps: 4, batch_size: 4, log_every_steps: 1, sample_every_steps: 2, checkpoint_every_steps: 2}
"""


def run(program, *flags, cwd=None):
    command = [sys.executable, "-m", f"stackgan_tf.{program}", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def refused(result):
    """The one line of a user's mistake."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.stderr.splitlines()[-1] == line
    return line


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def folder(tmp_path_factory, shapes_data_dir):
    """A working folder with a card and a finished run of four steps."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "card.yaml").write_text(CARD)
    result = run("train", "--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=run", cwd=folder)
    assert result.returncode == 0, result.stderr
    (folder / "train.out").write_text(result.stdout)
    return folder


def lines_of(folder):
    return [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]


def test_what_a_run_leaves(folder):
    config = yaml.safe_load((folder / "run/config.yaml").read_text())
    assert config["model"]["gf"] == 8 and config["loss"]["kl_weight"] == 2.0, "resolved: the defaults are in it"
    environment = json.loads((folder / "run/environment.json").read_text())
    assert {"tensorflow", "keras", "python", "devices"} <= set(environment)
    *logged, last = lines_of(folder)
    assert [line["step"] for line in logged] == [1, 2, 3, 4]
    assert {"d0/loss", "d1/loss", "g/loss", "g/kl", "images_per_second"} <= set(logged[0])
    assert set(last["held_out_accuracy"]) == {"color", "background", "shape", "size", "all"}
    assert "background" in (folder / "train.out").read_text(), "the table is printed at the end"
    samples = sorted(path.name for path in (folder / "run/samples").iterdir())
    assert samples == ["captions.txt", "step_0000002.png", "step_0000004.png"]
    assert Image.open(folder / "run/samples/step_0000004.png").size[0] > 200
    assert list((folder / "run/tensorboard").iterdir()) and list((folder / "run/checkpoints").glob("ckpt-4.*"))


def test_a_run_goes_on_as_if_it_had_never_stopped(folder, shapes_data_dir):
    """Back to its checkpoint of step 2, and on to 4: every variable bit for bit, the position in the data with them."""
    shutil.copytree(folder / "run", folder / "again")
    checkpoints = folder / "again/checkpoints"
    for path in checkpoints.glob("ckpt-4.*"):
        path.unlink()
    flags = ["--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=again", "--resume=must"]
    result = run("train", *flags, cwd=folder)
    assert result.returncode == 0, result.stderr
    once, twice = (tf.train.load_checkpoint(str(folder / name / "checkpoints/ckpt-4")) for name in ("run", "again"))
    for name in once.get_variable_to_shape_map():
        np.testing.assert_array_equal(once.get_tensor(name), twice.get_tensor(name), name)
    lines = [json.loads(line) for line in (folder / "again/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "g/loss" in line] == [1, 2, 3, 4]


def started(folder, shapes_data_dir, run_dir, ready, *flags):
    """A training that would take long, as soon as `ready`, a file of it, says something."""
    common = ["--config=card.yaml", f"--data_dir={shapes_data_dir}", f"--run_dir={run_dir}", "--steps=100000"]
    command = [sys.executable, "-m", "stackgan_tf.train", *common, *flags]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while not ((folder / ready).exists() and (folder / ready).read_text()) and time.time() < deadline:
        time.sleep(0.1)
    return process


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_interrupted_it_saves_and_goes_on(folder, shapes_data_dir, number, code):
    run_dir = f"interrupted_{code}"
    metrics = folder / run_dir / "metrics.jsonl"
    flags = ["--set", "train.checkpoint_every_steps=100000", "--accumulate=2"]  # parts on a strategy of one device
    process = started(folder, shapes_data_dir, run_dir, metrics, *flags)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code and "interrupted and saved" in stderr and "Traceback" not in stderr
    (saved,) = (folder / run_dir / "checkpoints").glob("*.index")
    last = json.loads(metrics.read_text().splitlines()[-1])["step"]
    assert saved.name == f"ckpt-{last}.index"


def test_two_runs_in_one_run_directory(folder, shapes_data_dir):
    """The second is refused; the first does not notice."""
    metrics = folder / "shared/metrics.jsonl"
    process = started(folder, shapes_data_dir, "shared", metrics)
    flags = ["--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=shared", "--steps=100000"]
    assert "shared: another process trains in it; wait" in refused(run("train", *flags, cwd=folder))
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0 and "interrupted and saved" in stderr
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_before_the_first_step_a_signal_ends_it_at_once(folder, shapes_data_dir, number, code):
    """While the data are read and the step is traced: nothing is there to save."""
    run_dir = f"early_{code}"
    process = started(folder, shapes_data_dir, run_dir, f"{run_dir}/environment.json")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in stderr, stderr
    assert {130: "interrupted\n", 0: "terminated; the same command goes on\n"}[code] in stderr
    assert not (folder / run_dir / "checkpoints").exists()


@pytest.mark.slow
def test_on_a_full_disk_the_end_is_no_success(folder, shapes_data_dir):
    """Full after the save of step 4; SIGTERM then cannot be followed, and with room the same command goes on."""
    shutil.copytree(folder / "run", folder / "small/run")
    flags = ["--set", "train.checkpoint_every_steps=1000"]
    with full_disk(folder / "small", megabytes=20) as free:
        free()
        process = started(folder, shapes_data_dir, "small/run", "small/run/environment.json", *flags)
        while len((folder / "small/run/metrics.jsonl").read_text().splitlines()) < 8:
            time.sleep(0.1)
        fill(folder / "small")
        before = contents(folder / "small/run/checkpoints")
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
        last = stderr.splitlines()[-1]
        assert process.returncode == 2 and "Traceback" not in stderr, stderr
        assert (
            last.startswith("error: small/run/checkpoints: step ")
            and "last good one is small/run/checkpoints/ckpt-4" in last
        )
        assert contents(folder / "small/run/checkpoints") == before
        free()
        command = ["--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=small/run", "--steps=6"]
        again = run("train", *command, "--resume=must", cwd=folder)
        assert again.returncode == 0, again.stderr
        assert (folder / "small/run/checkpoints/ckpt-6.index").exists()


def test_sample_draws_what_is_asked(folder):
    texts = ("--text=a red circle", "--text=a blue box")
    result = run("sample", "--run_dir=run", *texts, "--num=2", "--precision=mixed_bfloat16", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "sample.png: 4 pictures at 8, 16 pixels" in result.stdout
    assert Image.open(folder / "sample.png").size[0] > 200


def test_dry_run_prints_and_leaves_nothing(tmp_path):
    result = run("train", "--dataset=shapes", "--set", "model.gf=16", "--dry_run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert yaml.safe_load(result.stdout)["model"]["gf"] == 16
    assert "# generator: " in result.stdout and "# discriminator_16: " in result.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program", ["train", "sample"])
def test_help_is_quick_and_complete(program):
    result = run(program, "--help")
    assert result.returncode == 1, "absl's own"
    assert "--run_dir" in result.stdout and "python -m stackgan_tf" in result.stdout


def test_stage2_starts_from_a_finished_stage1(tmp_path, shapes_data_dir):
    (tmp_path / "one.yaml").write_text(CARD.replace("family: v2", "family: v1_stage1").replace("branches: 2, ", ""))
    (tmp_path / "two.yaml").write_text(CARD.replace("family: v2", "family: v1_stage2").replace("branches: 2, ", ""))
    data = f"--data_dir={shapes_data_dir}"
    stage2 = ["--config=two.yaml", data, "--run_dir=two", "--stage1_run_dir=one"]
    assert "one: not a run directory" in refused(run("train", *stage2, cwd=tmp_path))
    stage1 = run("train", "--config=one.yaml", data, "--run_dir=one", cwd=tmp_path)
    assert stage1.returncode == 0, stage1.stderr
    wider = refused(run("train", *stage2, "--set", "model.gf=16", cwd=tmp_path))
    assert "model.gf=8, Stage-II 16" in wider
    result = run("train", *stage2, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    taken, given = load_generator(tmp_path / "two").generator.stage1, load_generator(tmp_path / "one").generator
    for a, b in zip(taken.trainable_variables, given.trainable_variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    drawn = run("sample", "--run_dir=two", "--text=a red circle", cwd=tmp_path)
    assert "1 pictures at 8, 32 pixels" in drawn.stdout
    # a Stage-I run that has not reached its steps is not finished
    card = (tmp_path / "one/config.yaml").read_text()
    (tmp_path / "one/config.yaml").write_text(card.replace("steps: 4\n", "steps: 9\n"))
    unfinished = refused(run("train", *stage2[:2], "--run_dir=three", "--stage1_run_dir=one", cwd=tmp_path))
    assert "is at step 4 of 9" in unfinished and not (tmp_path / "three").exists()


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "--dataset is missing"),
        (["--dataset=roses"], "--dataset=roses: unknown data set; choose from coco, cub, folder, imagenet_cat"),
        (["--dataset=shapes", "--model=v3"], "--model=v3: no card for shapes; choose from"),
        (["--dataset=oxford102", "--config=card.yaml"], "--dataset=oxford102: card.yaml is a card of shapes"),
        (["--model=v1_stage1", "--config=card.yaml"], "--model=v1_stage1: card.yaml is a card of v2"),
        (["--config=card.yaml", "--set", "data.text_encoder=bert", "--dry_run"], "data.text_encoder='bert': unknown"),
        (["--config=card.yaml", "--set", "data.dataset=roses", "--dry_run"], "unknown data set; choose from"),
        (["--config=nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--dataset=shapes", "--set", "model.gff=3"], "model.gff: unknown key; did you mean gf?"),
        (["--dataset=shapes", "--set", "model.gf=wide"], "model.gf='wide': must be of type int"),
        (["--dataset=shapes", "--precision=float8"], "train.precision='float8': must be one of"),
        (["--dataset=shapes", "--steps=many"], "--steps"),
        (["--dataset=shapes", "--steps=0"], "train.steps=0: must be at least 1"),
        (["--dataset=shapes", "--resume=maybe"], "--resume"),
        (["--datset=shapes"], "datset"),
        (["shapes"], "'shapes': flags only"),
    ],
)
def test_train_refuses_at_once(folder, flags, message):
    before = contents(folder)
    assert message in refused(run("train", *flags, cwd=folder))
    assert contents(folder) == before


REFUSED_BY_WHAT_IS_THERE = [
    (["--seed=1"], "another configuration (train.seed was 0, now 1)"),
    (["--set", "model.gf=16"], "model.gf was 8, now 16"),
    (["--resume=never"], "holds a run; name another folder"),
    (["--run_dir=fresh", "--resume=must"], "finds no checkpoint"),
    (["--run_dir=card.yaml"], "is a file; name a folder"),
    (["--run_dir=card.yaml/x"], "card.yaml is a file; name a folder"),
    (["--keep_checkpoints=0"], "train.keep_checkpoints=0: must be at least 1"),
    (["--keep_every_hours=-1"], "train.keep_every_hours=-1.0: must be at least 0"),
    (["--steps=2"], "--steps=2: the run is at step 4 already"),
    (["--run_dir=."], "holds other files"),
    (["--run_dir=fresh", "--source_dir=nowhere"], "nowhere: no such folder"),
    (["--run_dir=fresh", "--source_dir=run"], "shapes draws its own images"),
    (["--run_dir=fresh", "--set", "data.dataset=roses"], "unknown data set; choose from"),
    (["--run_dir=fresh", "--set", "data.text_encoder=bert"], "data.text_encoder='bert': unknown"),
    (["--run_dir=fresh", "--batch_size=9999"], "the training split has 936 images only"),
]


def test_train_refuses_and_loses_nothing(folder, shapes_data_dir):
    """Every command above, two at a time."""
    before = contents(folder)
    common = ["--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=run"]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda case: run("train", *common, *case[0], cwd=folder), REFUSED_BY_WHAT_IS_THERE))
    for result, (flags, message) in zip(results, REFUSED_BY_WHAT_IS_THERE, strict=True):
        assert message in refused(result), flags
    assert contents(folder) == before


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--text=a"], "--run_dir is missing"),
        (
            ["--run_dir=run", "--tflite=x.tflite"],
            "--tflite, --run_dir, --pretrained: what shall draw? Give one of them",
        ),
        (["--run_dir=run", "--pretrained=rose"], "--run_dir=run, --pretrained=rose: give one of the two"),
        (["--pretrained=rose", "--text=a box"], "--pretrained=rose: "),
        (["--tflite=x.tflite", "--precision=float32"], "--precision: a .tflite has its own"),
        (["--run_dir=run", "--text=a box", "--precision=float64"], "--precision"),
        (["--run_dir=run"], "--text: what shall be drawn? Give --text or --embeddings"),
        (["--run_dir=run", "--text=a box", "--truncation=1.5"], "--truncation"),
        (["--run_dir=run", "--text="], "has no word"),
        (["--run_dir=run", "--text=a box", "--num=0"], "--num=0: must be at least 1"),
        (["--run_dir=run", "--text=a box", "--out=picture.txt"], "--out=picture.txt: must end in .png"),
        (["--run_dir=nowhere", "--text=a box"], "nowhere: not a run directory"),
        (["--run_dir=run", "--text=a box", "--out=card.yaml/x.png"], "cannot be written"),
    ],
)
def test_sample_refuses(folder, flags, message):
    before = contents(folder)
    assert message in refused(run("sample", *flags, cwd=folder))
    assert contents(folder) == before


def test_publish(folder):
    flags = ["--run_dir=run", "--name=tiny", "--out=models", "--data=shapes", "--licence=any", "--command=train"]
    assert "--notes is missing: A file of Markdown" in refused(run("publish", *flags, cwd=folder))
    assert "--notes=none.md: no such file" in refused(run("publish", *flags, "--notes=none.md", cwd=folder))
    (folder / "notes.md").write_text("Small.")
    (folder / "latin.md").write_bytes(b"Sch\xf6n.")
    assert "--notes=latin.md: is not text in UTF-8" in refused(run("publish", *flags, "--notes=latin.md", cwd=folder))
    made = run("publish", *flags, "--notes=notes.md", cwd=folder)
    assert made.returncode == 0 and made.stdout.startswith("models/tiny: v2, "), made.stderr
    drawn = run("sample", "--run_dir=models/tiny", "--text=a box", "--out=tiny.png", cwd=folder)
    assert drawn.returncode == 0 and (folder / "tiny.png").is_file(), drawn.stderr
    before = contents(folder)
    assert "--name=tiny: models/tiny exists" in refused(run("publish", *flags, "--notes=notes.md", cwd=folder))
    assert contents(folder) == before


def test_the_list_of_trained_models(folder):
    told = run("sample", "--pretrained=list", cwd=folder)
    assert told.returncode == 0 and told.stdout == pretrained.listing()


def test_a_damaged_checkpoint_is_passed_over(folder, shapes_data_dir):
    shutil.copytree(folder / "run", folder / "damaged")
    victim = folder / "damaged/checkpoints/ckpt-4.data-00000-of-00001"
    victim.write_bytes(victim.read_bytes()[:1000])
    told = "damaged: damaged/checkpoints/ckpt-4 ("
    before = contents(folder / "damaged")
    drawn = run("sample", "--run_dir=damaged", "--text=a box", cwd=folder)
    assert drawn.returncode == 0 and drawn.stderr.count(told) == 1 and contents(folder / "damaged") == before
    flags = ["--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=damaged"]
    trained = run("train", *flags, cwd=folder)
    assert trained.returncode == 0 and trained.stderr.count(told) == 1, trained.stderr
    once, twice = (tf.train.load_checkpoint(str(folder / name / "checkpoints/ckpt-4")) for name in ("run", "damaged"))
    for name in once.get_variable_to_shape_map():
        np.testing.assert_array_equal(once.get_tensor(name), twice.get_tensor(name), name)


def test_with_no_whole_checkpoint_nothing_is_touched(folder, shapes_data_dir):
    shutil.copytree(folder / "run", folder / "hopeless")
    for victim in (folder / "hopeless/checkpoints").glob("*.index"):
        victim.write_bytes(b"")
    before = contents(folder)
    flags = ["--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=hopeless", "--keep_every_hours=0.5"]
    for command in (["train", *flags], ["sample", "--run_dir=hopeless", "--text=a box"]):
        assert "hopeless/checkpoints: no checkpoint is whole: " in refused(run(*command, cwd=folder))
    assert contents(folder) == before
