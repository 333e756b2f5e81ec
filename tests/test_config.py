"""Cards, overrides and their errors."""

import pytest
import yaml

from stackgan_tf import cards, config_rules
from stackgan_tf import config as configs
from stackgan_tf.errors import UserError


def test_the_defaults_are_the_published_v2():
    config = configs.Config()
    assert config.scales == (64, 128, 256)
    assert (config.model.gf, config.model.df, config.model.noise_size, config.model.condition_size) == (
        64,
        64,
        100,
        128,
    )


def test_dump_and_read_again_is_the_same():
    config = configs.from_dict({"model": {"gf": 16}, "optimizer": {"generator_learning_rate": 3e-4}})
    assert configs.from_dict(yaml.safe_load(configs.dump(config))) == config


@pytest.mark.parametrize("path", sorted(cards.folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_card_is_valid_and_says_what_it_is(path):
    config = cards.build(cards.read(path))
    assert path.stem.startswith(config.data.dataset)
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    for word in ("Paper:", "Command:", "Length:", "Score:"):
        assert any(word in line for line in head), f"{path.name} lacks {word}"


def test_stage2_is_judged_at_its_own_scale_only():
    config = configs.from_dict({"model": {"family": "v1_stage2"}})
    assert config.scales == (64, 256) and config.judged_scales == (256,)


@pytest.mark.parametrize("branches, scales", [(1, (64,)), (5, (64, 128, 256, 512, 1024))])
def test_any_number_of_branches(branches, scales):
    assert configs.from_dict({"model": {"branches": branches, "residual_blocks": 1}}).scales == scales


def test_an_override_is_typed(tmp_path):
    card = tmp_path / "card.yaml"
    card.write_text("model: {gf: 8}\n")
    config = cards.build(
        cards.read(card), ["model.gf=16", "optimizer.generator_learning_rate=1e-3", "loss.joint=false"]
    )
    assert config.model.gf == 16 and config.optimizer.generator_learning_rate == 1e-3 and config.loss.joint is False


@pytest.mark.parametrize(
    "values, message",
    [
        ({"modle": {}}, "modle: unknown key; did you mean model?"),
        ({"model": {"gff": 3}}, "model.gff: unknown key; did you mean gf?"),
        ({"model": {"gf": "wide"}}, "model.gf='wide': must be of type int"),
        ({"model": {"gf": True}}, "model.gf=True: must be of type int"),
        ({"model": {"gf": 2.5}}, "model.gf=2.5: must be of type int"),
        ({"model": {"family": "v3"}}, "model.family='v3': must be one of"),
        ({"model": {"discriminator_norm": "group"}}, "model.discriminator_norm='group': must be one of batch, layer"),
        ({"model": {"branches": 6}}, "model.branches=6: must be from 1 to 5"),
        ({"model": {"base_size": 48}}, "model.base_size=48: must be a power of two"),
        ({"model": {"branches": 5, "gf": 8}}, "model.gf=8: must be wide enough"),
        ({"model": {"family": "v1_stage1", "conditional": False}}, "model.conditional=False: must be left out"),
        ({"model": {"family": "v1_stage2", "branches": 2}}, "model.branches=2: must be left out: v1_stage2 has"),
        ({"train": {"stage1_run_dir": "runs/x"}}, "train.stage1_run_dir='runs/x': must be left out"),
        ({"loss": {"kl_weight": float("inf")}}, "loss.kl_weight=inf: must be finite"),
        ({"train": {"precision": "float8"}}, "train.precision='float8': must be one of"),
        ({"train": {"batch_size": 0}}, "train.batch_size=0: must be at least 1"),
        ({"train": {"steps": -1}}, "train.steps=-1"),
        ({"optimizer": {"beta_1": 1.0}}, "optimizer.beta_1=1.0"),
        ({"loss": {"adversarial": "wgan"}}, "loss.adversarial='wgan': must be one of logistic, hinge, least_squares"),
        ({"loss": {"label_smoothing": 0.5}}, "loss.label_smoothing=0.5: must be from 0 to below 0.5"),
        (
            {"loss": {"label_smoothing": 0.1, "adversarial": "hinge"}},
            "loss.label_smoothing=0.1: must be 0 where loss.adversarial is not logistic",
        ),
        ({"loss": {"r1_weight": -1}}, "loss.r1_weight=-1.0: must be at least 0"),
        ({"loss": {"r1_every_steps": 0, "r1_weight": 1}}, "loss.r1_every_steps=0: must be at least 1"),
        ({"loss": {"r1_every_steps": 4}}, "loss.r1_every_steps=4: must be left out where loss.r1_weight is 0.0"),
        (
            {"loss": {"matching_aware_weight": 2}, "model": {"conditional": False}},
            "loss.matching_aware_weight=2.0: must be left out: a model without text",
        ),
        (
            {"loss": {"diff_augment": "colour"}},
            "loss.diff_augment='colour': must be empty or some of color,translation",
        ),
        ({"loss": {"diff_augment": "color, cutout"}}, "with commas and without blanks"),
        ({"loss": {"diff_augment": "color,color"}}, "loss.diff_augment='color,color': must be empty or some of"),
        ({"optimizer": {"decay": "step"}}, "optimizer.decay='step': must be one of none, linear, cosine"),
        ({"optimizer": {"decay": "linear", "decay_from": 1.0}}, "optimizer.decay_from=1.0: must be from 0 to below 1"),
        (
            {"optimizer": {"decay_from": 0.2}},
            "optimizer.decay_from=0.2: must be left out where optimizer.decay is none",
        ),
        ({"optimizer": {"warmup_steps": -1}}, "optimizer.warmup_steps=-1: must be at least 0"),
        ({"model": 3}, "model: must be a mapping, not 3"),
    ],
)
def test_a_wrong_card_is_named(values, message):
    with pytest.raises(UserError) as error:
        configs.from_dict(values)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("family", config_rules.CHOICES["model.family"])
def test_every_family_may_have_every_recipe(family):
    loss = {"r1_weight": 10, "r1_every_steps": 4, "matching_aware_weight": 2, "diff_augment": "cutout,color"}
    configs.from_dict({"model": {"family": family, "spectral_norm": True}, "loss": loss | {"adversarial": "hinge"}})
    configs.from_dict({"model": {"family": family}, "loss": {"label_smoothing": 0.1}})


@pytest.mark.parametrize("override", ["model.gf", "gf=3", "model.=3"])
def test_a_wrong_override_is_named(tmp_path, override):
    card = tmp_path / "card.yaml"
    card.write_text("model: {gf: 8}\n")
    with pytest.raises(UserError, match="section.field=value"):
        cards.build(cards.read(card), [override])


@pytest.mark.parametrize(
    "text, message",
    [
        ("model: [", "not a readable YAML card"),
        ("- a\n- b\n", "must be a mapping"),
        ("model: 3\n", "model: must be a mapping, not 3"),
        ("\x00", "not a readable YAML card"),
        ("", "the card is empty"),
        ("model: {gff: 3}\n", "model.gff: unknown key"),
    ],
)
def test_a_card_that_is_wrong_is_named(tmp_path, text, message):
    card = tmp_path / "card.yaml"
    card.write_text(text)
    with pytest.raises(UserError) as error:
        cards.build(cards.read(card), ["model.gf=8"])
    assert str(error.value).startswith(f"{card}: ") and message in str(error.value)


def test_an_unknown_data_set_or_model_lists_the_known():
    for dataset in ("roses", "shapes_v1"):
        with pytest.raises(UserError, match=f"--dataset={dataset}: unknown data set; choose from coco, cub"):
            cards.find(dataset, "v2")
    with pytest.raises(UserError, match="choose from .*v1_stage1"):
        cards.find("shapes", "v9")


def test_differences_name_the_fields():
    old, new = configs.Config(), configs.from_dict({"model": {"gf": 8}})
    assert configs.differences(old, new) == {"model.gf": (64, 8)}
