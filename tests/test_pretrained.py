"""Trained models that come with the repository."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import checkpoint, pretrained
from stackgan_tf import config as configs
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation import judge
from stackgan_tf.exporting import publication
from stackgan_tf.generation import load_generator
from stackgan_tf.training import start
from stackgan_tf.training.checks import check, stage1_generator
from stackgan_tf.training.state import TrainState
from tests.conftest import tiny_config
from tests.text.test_char_cnn_rnn import save_encoder

NAME = "tiny_v2"
TOLD = publication.Told(NAME, "a few images", "none", "python -m stackgan_tf.train ...", "It draws grey.")


def save_whole_run(run_dir, config):
    """A run directory with all that publishing reads: two logs, the whole state at step 3."""
    state = TrainState(config, tf.distribute.get_strategy(), steps_per_epoch=1)
    rng = np.random.default_rng(0)
    for variable in state.generator.variables:
        variable.assign_add(rng.normal(0, 0.01, variable.shape))
    state.step.assign(3)
    checkpoint.Checkpoints(run_dir, state.parts(), keep=1).save()
    (run_dir / "config.yaml").write_text(configs.dump(config))
    (run_dir / "environment.json").write_text('{"gpus": [], "processors": 2, "platform": "a machine"}')
    logs = [{"step": 1, "images_per_second": 2.0}, {"step": 3, "images_per_second": 4.0}]
    (run_dir / "metrics.jsonl").write_text("".join(f"{json.dumps(log)}\n" for log in logs))
    return state


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run directory and its state."""
    run_dir = tmp_path_factory.mktemp("run")
    return run_dir, save_whole_run(run_dir, tiny_config())


@pytest.fixture
def model(run, tmp_path, monkeypatch):
    """The folder of the model that was made of it."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    publication.write(run[0], tmp_path / NAME, TOLD, with_discriminators=True)
    return tmp_path / NAME


def test_a_model_draws_as_its_run_does(run, model):
    exact, near = (load_generator(which)(["a red circle", "a blue box"], seed=5) for which in (run[0], NAME))
    for side, images in exact.items():
        off = np.abs(images.astype(int) - near[side])
        assert off.max() <= 1 < np.ptp(images)
    assert load_generator(model).step == 3
    with pytest.raises(UserError, match="averaged weights of one step only"):
        load_generator(model, checkpoint.LIVE)


def test_its_card_tells_what_happened(run, model):
    card = pretrained.check(model)
    assert card["images_seen"] == 3 * 4
    assert card["hours"] == round((4 / 2 + 8 / 4) / 3600, 2)
    assert (model / "README.md").read_text() == publication.readme(card, [])
    assert "It draws grey." in (model / "README.md").read_text()
    assert pretrained.names() == [NAME]
    assert pretrained.listing() == f"{NAME}  v2, 2 branches, gf 8, of 8, 16 pixels: shapes\n"


def test_figures_are_in_the_card_and_may_be_added_to(run, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    folder = run[0] / judge.FOLDER
    folder.mkdir()
    figure = {"name": "fid2k", "value": 12.5, "error": None, "real": 1.25, "weights": "ema"}
    (folder / "3.json").write_text(json.dumps({"figures": [figure]}))
    publication.write(run[0], tmp_path / NAME, TOLD, with_discriminators=False)
    (folder / "3.json").unlink()
    folder.rmdir()
    assert "| fid2k | 12.5 |  | 1.25 |" in (tmp_path / NAME / "README.md").read_text()
    (tmp_path / NAME / judge.FOLDER / "3.json").write_text(json.dumps({"figures": []}))
    load_generator(NAME)


def test_training_starts_from_it(run, model, one_replica):
    config = tiny_config(train={"start_from": NAME, "seed": 9})
    state = TrainState(config, one_replica, steps_per_epoch=1)
    start.start(state, config)
    theirs = run[1]
    pairs = [(state.generator, theirs.average), (state.average, theirs.average)]
    for ours, wanted in (*pairs, *zip(state.discriminators, theirs.discriminators, strict=True)):
        for a, b in zip(ours.variables, wanted.variables, strict=True):
            np.testing.assert_allclose(a, b, rtol=2**-10, atol=1e-7)
    assert int(state.step) == 0


def test_training_starts_from_a_run(run, tmp_path, one_replica):
    config = tiny_config(train={"start_from": str(run[0])})
    state = TrainState(config, one_replica, steps_per_epoch=1)
    start.start(state, config)
    np.testing.assert_array_equal(state.generator.variables[0], run[1].average.variables[0])
    np.testing.assert_array_equal(state.discriminators[0].variables[0], run[1].discriminators[0].variables[0])


def test_a_tree_starts_from_one_with_fewer_branches(run, tmp_path, one_replica):
    config = tiny_config(train={"start_from": str(run[0]), "seed": 9}, model={"branches": 3})
    check(config, tmp_path / "new", "auto", 1)
    state = TrainState(config, one_replica, steps_per_epoch=1)
    fresh = {v.path: v.numpy() for v in state.generator.variables}
    start.start(state, config)
    theirs = {v.path: v.numpy() for v in run[1].average.variables}
    for variable in state.generator.variables:
        np.testing.assert_array_equal(variable, theirs.get(variable.path, fresh[variable.path]))
    assert set(theirs) < set(fresh)
    np.testing.assert_array_equal(state.discriminators[1].variables[0], run[1].discriminators[1].variables[0])
    with pytest.raises(UserError, match=r"model.branches is 2 there, 1 here"):
        check(tiny_config(train={"start_from": str(run[0])}, model={"branches": 1}), tmp_path / "new", "auto", 1)


def test_images_of_the_model_before_count(run, model, tmp_path):
    before = pretrained.card(model)
    for config in (
        tiny_config(train={"start_from": NAME}),
        tiny_config(train={"start_from": str(run[0])}),
        tiny_config("v1_stage2", train={"stage1_run_dir": NAME}),
    ):
        seen = publication._seen(run[0], config, 3)
        assert seen == (24, pytest.approx(before["hours"] * 2, abs=0.01))
    assert publication._seen(run[0], tiny_config(), 3)[0] == 12
    config = tiny_config(train={"start_from": str(tmp_path / "gone")})
    with pytest.raises(UserError, match="gone: not a run directory"):
        publication._seen(run[0], config, 3)


def test_places_of_the_machine_stay_there(run, tmp_path):
    begun = shutil.copytree(run[0], tmp_path / "begun")
    (begun / "config.yaml").write_text(configs.dump(tiny_config(train={"start_from": str(run[0])})))
    publication.write(begun, tmp_path / NAME, TOLD, with_discriminators=False)
    assert (tmp_path / NAME / "config.yaml").read_text() == configs.dump(tiny_config())
    stage2 = tiny_config("v1_stage2", train={"stage1_run_dir": str(run[0])})
    assert publication._placeless(stage2) == tiny_config("v1_stage2") != stage2


def test_without_discriminators_they_start_anew(run, tmp_path, monkeypatch, one_replica):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    publication.write(run[0], tmp_path / NAME, TOLD, with_discriminators=False)
    config = tiny_config(train={"start_from": NAME, "seed": 9})
    state = TrainState(config, one_replica, steps_per_epoch=1)
    before = state.discriminators[0].variables[0].numpy()
    start.start(state, config)
    np.testing.assert_array_equal(state.discriminators[0].variables[0], before)


def test_training_does_not_write_into_a_model(model):
    with pytest.raises(UserError, match="is a trained model; name a new folder"):
        check(tiny_config(), model, "auto", 1)


def test_training_cannot_start_from_other_networks(model, tmp_path):
    config = tiny_config(train={"start_from": NAME}, model={"gf": 16})
    with pytest.raises(UserError, match=r"model.gf is 8 there, 16 here\); add --set model.gf=8"):
        check(config, tmp_path / "new", "auto", 1)
    with pytest.raises(UserError, match="not a run directory"):
        check(tiny_config(train={"start_from": "nowhere"}), tmp_path / "new", "auto", 1)


FILES_OF_NOTHING = json.dumps({"format": 1} | dict.fromkeys(pretrained.NEEDED, "") | {"files": {"a": 1}})


def unpacked(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\n")


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "file, damage, message",
    [
        ("generator.npz", lambda path: path.unlink(), "generator.npz: is missing; a clone without large files"),
        ("generator.npz", unpacked, "generator.npz: is not the file that model.json tells of"),
        ("generator.npz", flipped, "generator.npz: is not the file that model.json tells of"),
        ("config.yaml", flipped, "config.yaml: "),
        ("model.json", lambda path: path.write_text("{"), "model.json: is damaged"),
        ("model.json", lambda path: path.write_text('{"format": 1}'), "model.json: is damaged .has no batch_size"),
        ("model.json", lambda path: path.write_text(FILES_OF_NOTHING), "files: not each has a size and a SHA-256"),
        ("model.json", lambda path: path.write_text('{"format": 2}'), "is of format 2, stackgan_tf .* reads 1"),
    ],
)
def test_a_damaged_model_is_told(model, file, damage, message):
    damage(model / file)
    with pytest.raises(UserError, match=message):
        load_generator(NAME)


def test_weights_of_another_network_are_told(model):
    values = pretrained.read(model / pretrained.GENERATOR)
    shapes = {name: value.shape for name, value in values.items()}
    name = next(iter(shapes))
    with pytest.raises(UserError, match="another version of stackgan_tf"):
        pretrained.generator(model, shapes | {name: (1, 2)})
    with pytest.raises(UserError, match=f"{name} is .* there, missing here"):
        pretrained.generator(model, {other: shape for other, shape in shapes.items() if other != name})


def test_weights_too_large_for_float16_are_told(tmp_path):
    pretrained.write(tmp_path / "good.npz", {"a": np.full((2, 2), 6e4, np.float32), "b": np.full(2, 1e6, np.float32)})
    assert pretrained.read(tmp_path / "good.npz")["b"][0] == 1e6
    with pytest.raises(UserError, match=r"a: has weights that float16 does not hold, up to 7e\+04"):
        pretrained.write(tmp_path / "bad.npz", {"a": np.full((2, 2), 7e4, np.float32)})


def test_figures_that_are_added_are_in_its_readme(model):
    figure = {"name": "kid2k", "value": 0.25, "error": 0.5, "real": None, "weights": "ema"}
    (model / judge.FOLDER).mkdir()
    (model / judge.FOLDER / "3.json").write_text(json.dumps({"figures": [figure]}))
    before = (model / "README.md").read_text()
    publication.write_readme(model)
    assert (model / "README.md").read_text().startswith(before.rstrip())
    assert "| kid2k | 0.25 | 0.5 |  |" in (model / "README.md").read_text()


def test_its_licence_is_told(run, model):
    assert (pretrained.licence(model), pretrained.licence(run[0])) == ("none", "")


def test_stage2_starts_from_a_published_stage1(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    (tmp_path / "run").mkdir()
    save_whole_run(tmp_path / "run", tiny_config("v1_stage1"))  # 3 steps of more: a run of its own would be refused
    publication.write(tmp_path / "run", tmp_path / NAME, TOLD, with_discriminators=False)
    config = tiny_config("v1_stage2", train={"stage1_run_dir": NAME})
    check(config, tmp_path / "new", "auto", 1)
    given, taken = load_generator(NAME).generator, stage1_generator(config)
    for a, b in zip(given.variables, taken.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    config = tiny_config("v1_stage2", train={"stage1_run_dir": str(tmp_path / "run")})
    with pytest.raises(UserError, match="is at step 3 of"):
        check(config, tmp_path / "new", "auto", 1)


def test_a_text_encoder_of_its_own_must_be_named(run, model, tmp_path):
    for folder, seed in (model / "text_encoder", 0), (tmp_path / "other", 1):
        folder.mkdir()
        save_encoder(folder, seed)
    for path in "", str(tmp_path / "other"):
        data = {"text_encoder": "char_cnn_rnn", "text_path": path, "text_size": 12}
        (model / "config.yaml").write_text(configs.dump(tiny_config(data=data)))
        with pytest.raises(UserError, match=f"{NAME}: has a char_cnn_rnn of its own; add .*text_path=.*{NAME}"):
            start.check_start(tiny_config(data=data, train={"start_from": NAME}))
    data["text_path"] = str(model / "text_encoder")
    start.check_start(tiny_config(data=data, train={"start_from": NAME}))


def test_an_unknown_name_shows_the_list(model):
    with pytest.raises(UserError, match=f"--pretrained=rose: unknown; choose from {NAME}"):
        pretrained.find("rose")
    with pytest.raises(UserError, match=f"rose: not a run directory .*, or name a trained model: {NAME}"):
        load_generator("rose")


def test_without_a_clone_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "none")
    with pytest.raises(UserError, match="they come with a clone, not with the package"):
        pretrained.find("rose")
    assert "they come with a clone" in pretrained.listing()


def test_the_models_of_the_repository_are_whole():
    assert pretrained.names()
    assert sum(path.stat().st_size for path in pretrained.FOLDER.rglob("*") if path.is_file()) <= 60e6
    for name in pretrained.names():
        folder = pretrained.FOLDER / name
        card = pretrained.check(folder)
        figures = judge.written(folder / judge.FOLDER / f"{card['step']}.json")
        assert (folder / "README.md").read_text() == publication.readme(card, figures)
        assert sum(size for size, _ in card["files"].values()) <= 25e6
        images = load_generator(name)(["this flower has pink petals"] if card["text_encoder"] else 1)
        assert all(np.ptp(image) > 60 for image in images.values())
