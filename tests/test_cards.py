"""Presets and ablations: which fields each card changes, and that every ablation trains."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import cards
from stackgan_tf import config as configs
from stackgan_tf.errors import UserError
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import TrainStep
from tests.conftest import random_batch

MODELS = ("v1_stage1", "v1_stage2", "v2", "v2_unconditional")
ABLATIONS = {  # what each changes in the published configuration
    "v1_stage1_no_ca": {"model.conditioning_augmentation"},
    "v1_stage2_no_ca": {"model.conditioning_augmentation"},
    "v1_stage1_straight": {"model.straight"},
    "v1_stage1_straight_no_ca": {"model.straight", "model.conditioning_augmentation"},
    "v1_stage2_text_once": {"model.stage2_text"},
    "v2_no_ca": {"model.conditioning_augmentation"},
    "v2_g3": {"model.only_finest"},
    "v2_all256": {"model.same_size"},
    "v2_no_jcu": {"loss.joint"},
    "v2_color": {"loss.color_weight"},
    "v2_two_branches": {"model.branches"},
    "v2_unconditional_g3": {"model.only_finest"},
    "v2_unconditional_all256": {"model.same_size"},
    "v2_unconditional_no_color": {"loss.color_weight"},
    "v2_unconditional_two_branches": {"model.branches"},
}

TWINS = ("v2_unconditional_g3", "v2_unconditional_all256", "v2_unconditional_two_branches", "v2_no_ca")


def published(model, preset=cards.RELEASED):
    return cards.build(cards.find("oxford102", model).values, preset=preset)


def test_every_ablation_is_listed_here():
    with pytest.raises(UserError, match="--model=none: no card for oxford102; choose from") as error:
        cards.find("oxford102", "none")
    offered = set(str(error.value).partition("choose from ")[2].split(", "))
    of_the_best = {name.replace("v2_", "v2_best_") for name in ABLATIONS if name.startswith("v2_") and "un" not in name}
    assert offered == {*ABLATIONS, *MODELS, "v2_best", *of_the_best}


def test_the_best_is_the_published_tree_with_two_fields():
    changed = configs.differences(published("v2"), published("v2_best"))
    assert changed.keys() == {"model.spectral_norm", "loss.adversarial"}


@pytest.mark.parametrize("model", ABLATIONS)
def test_an_ablation_changes_what_it_says_and_nothing_else(model):
    base = max((name for name in MODELS if model.startswith(name)), key=len)
    changed = configs.differences(published(base), published(model))
    assert set(changed) == ABLATIONS[model]
    head = (cards.folder() / "ablations" / f"{model.removeprefix(f'{base}_')}.yaml").read_text()
    assert all(word in head for word in ("# Paper:", "# Command:"))


def test_an_ablation_that_changes_nothing_is_none():
    """`shapes_v2` has two branches already."""
    with pytest.raises(UserError, match="--model=v2_two_branches: no card for shapes"):
        cards.find("shapes", "v2_two_branches")


@pytest.mark.parametrize("model", [name for name in ABLATIONS if name not in TWINS])
def test_every_ablation_trains(model, one_replica):
    """Its published card, made small: three steps; every trainable variable moves, every number stays finite."""
    whole = published(model)
    widths = {"base_size": 8, "gf": 8, "df": 4, "noise_size": 6, "condition_size": 5, "residual_blocks": 1}
    branches = {"branches": min(2, whole.model.branches)} if whole.model.family == "v2" else {}
    small = dataclasses.replace(
        whole,
        data=dataclasses.replace(whole.data, text_size=16),
        model=dataclasses.replace(whole.model, **widths, **branches),
        train=dataclasses.replace(whole.train, batch_size=4),
    )
    state = TrainState(small, one_replica, steps_per_epoch=10)
    networks = (state.generator, *state.discriminators)
    before = [v.numpy() for network in networks for v in network.trainable_variables]
    step = TrainStep(state, one_replica, small)
    metrics = [step(random_batch(small, seed)) for seed in range(3)]
    assert all(np.isfinite(value) for line in metrics for value in line.values()), metrics
    after = [(v.path, v.numpy()) for network in networks for v in network.trainable_variables]
    for old, (path, new) in zip(before, after, strict=True):
        assert np.any(old != new), f"{path} did not move"
    terms = set(metrics[0])
    assert ("g/kl" in terms) == (small.model.conditional and "no_ca" not in model and "text_once" not in model)
    assert any(name.startswith("g/color") for name in terms) == (small.loss.color_weight > 0)
    assert ("d0/real_unconditional" in terms) == (model != "v2_no_jcu" and not model.startswith("v1_stage1"))
    scales = {"v2_g3": (16,), "v2_all256": (16, 16), "v1_stage1_straight": (32,), "v1_stage2_text_once": (8, 32)}
    assert small.scales == scales.get(model, small.scales)


@pytest.mark.parametrize("model", ["v1_stage1_no_ca", "v2_no_ca"])
def test_without_ca_the_condition_is_the_mean(model):
    from stackgan_tf import networks

    config = dataclasses.replace(published(model), data=configs.DataConfig(text_size=4))
    config = dataclasses.replace(
        config, model=dataclasses.replace(config.model, base_size=8, gf=16, branches=1, condition_size=3)
    )
    generator = networks.build_generator(config)
    assert set(generator.noise_sizes) == {"z"}
    outputs = generator(z=np.zeros((2, 100), np.float32), text_embedding=np.ones((2, 4), np.float32))
    assert outputs.mu.shape == (2, 3) and outputs.log_var is None


def test_all_branches_of_one_size_draw_at_that_size():
    from stackgan_tf import networks

    model = {"base_size": 8, "gf": 16, "same_size": True, "noise_size": 4}
    config = configs.from_dict({"model": model, "data": {"text_size": 4}})
    generator = networks.build_generator(config)
    assert config.scales == (32, 32, 32)
    widths = [to_image.conv.kernel.shape[2] for to_image in generator.to_images]
    assert widths == [4, 4, 4], "as wide at 32 pixels as the published tree is there"


@pytest.mark.parametrize("model", MODELS)
def test_presets_differ_in_named_fields(model):
    paper, code = published(model, "paper"), published(model)
    changed = {name: tuple(map(str, values)) for name, values in configs.differences(paper, code).items()}
    kl = {"loss.kl_weight": ("1.0", "2.0"), "loss.kl_reduction": ("sum", "mean")}
    color = {"loss.color_mean_weight": ("3.0", "1.0"), "loss.color_covariance_weight": ("45.0", "5.0")}
    v1 = kl | {
        "data.captions_per_image": ("1", "4"),
        "model.eps_distribution": ("normal", "truncated_normal"),
    }
    assert (
        changed
        == {
            "v1_stage1": v1 | {"optimizer.halve_every_epochs": ("100", "50")},
            "v1_stage2": v1,
            "v2": kl | color,
            "v2_unconditional": color,
        }[model]
    )


def test_a_card_of_its_own_wins_over_the_preset():
    card = cards.find("shapes", "v2")
    assert cards.build(card.values, preset="paper").loss.kl_weight == 0.05
    assert cards.build(card.values, ["loss.kl_weight=7"], "paper").loss.kl_weight == 7
    with pytest.raises(UserError, match="--preset=mine: unknown; choose from paper, released_code"):
        cards.build(card.values, preset="mine")


@pytest.mark.parametrize(
    "file, text, message",
    [
        ("ablations/none.yaml", "loss: {joint: false}", "must name the models that it is for"),
        ("ablations/none.yaml", "models: v2", "must name the models that it is for"),
        ("ablations/none.yaml", "models: [v2]\nloss: {jointt: false}", "loss.jointt: unknown key; did you mean joint"),
        ("ablations/none.yaml", "models: [v2]\nloss: 3", "loss: must be a mapping, not 3"),
        ("presets/mine.yaml", "v2: {loss: {jointt: false}}", "loss.jointt: unknown key; did you mean joint"),
        ("presets/mine.yaml", "- v2", "must be a mapping, not ['v2']"),
    ],
)
def test_a_file_of_the_folder_that_is_wrong_is_named(file, text, message, tmp_path, monkeypatch):
    shutil.copytree(cards.folder(), tmp_path / "configs")
    (tmp_path / "configs" / file).write_text(text)
    monkeypatch.setattr(cards, "folder", lambda: tmp_path / "configs")
    with pytest.raises(UserError) as error:
        cards.build(cards.find("shapes", "v2_none" if "none" in file else "v2").values, preset="mine")
    assert str(error.value).startswith(f"{tmp_path / 'configs' / file}: ") and message in str(error.value)


def test_eps_is_cut_off_at_two_deviations_and_z_is_not():
    from stackgan_tf.training.step import draw_noise

    sizes = {"z": 500, "eps": 500, "eps_stage1": 500}
    noise = draw_noise(sizes, 20, 0, tf.constant(0, tf.int64), "truncated_normal")
    assert np.abs(noise["z"]).max() > 3 and np.abs(noise["eps"]).max() <= 2 and np.abs(noise["eps_stage1"]).max() <= 2
    assert np.std(noise["eps"]) == pytest.approx(0.8796, abs=0.02), "of a normal cut off at 2"
