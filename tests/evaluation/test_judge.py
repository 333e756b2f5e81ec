"""A whole evaluation: the same figures each time, on any number of replicas, through interrupts; what is refused."""

import contextlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import yaml

from stackgan_tf import networks, text
from stackgan_tf.config import from_dict
from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation import extractors, judge, protocols, stream
from stackgan_tf.evaluation.extractors import joint
from stackgan_tf.evaluation.inception_score import inception_score
from stackgan_tf.evaluation.plan import Plan
from stackgan_tf.generation import TextToImage
from stackgan_tf.models.classifier import small_classifier
from stackgan_tf.training.text_encoder import JointConfig, JointState

SIDE = 16
ALL = ["is", "fid", "fid_at8", "kid", "pr", "swd", "ms_ssim", "attributes", "r_precision"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The file of an untrained classifier of few features."""
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("classifier") / "tiny.keras"
    small_classifier(SIDE, 6, 2, "tiny").save(path)
    return path


@pytest.fixture(scope="module")
def seeing(classifier):
    return extractors.load(str(classifier))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Untrained joint encoders of images and of hashed texts."""
    config = JointConfig("shapes", "hashing", size=6, side=32)
    state, folder = JointState(config, (1024,)), tmp_path_factory.mktemp("joint")
    (folder / "encoder.yaml").write_text(yaml.safe_dump(asdict(config)))
    state.text.save_weights(folder / "text.weights.h5")
    state.image.save_weights(folder / "image.weights.h5")
    return joint.load(folder)


@pytest.fixture(scope="module")
def prepared(shapes_data_dir, artist):
    """`shapes` with its index and embeddings."""
    Embeddings(Records(prepare("shapes", shapes_data_dir), "test"), artist.encoder)
    return shapes_data_dir


@pytest.fixture
def data(prepared, tmp_path):
    """`shapes`, in a folder of its own: what is cached there is this test's."""
    shutil.copytree(prepared, tmp_path / "data")
    return prepare("shapes", tmp_path / "data")


def artist_of(**sections):
    keras.utils.set_random_seed(0)
    values = {
        "data": {"dataset": "shapes", "text_size": 16, "random_crop": False},
        "model": {"base_size": 8, "branches": 2, "gf": 8, "df": 4, "noise_size": 6, "condition_size": 5},
    }
    config = from_dict({name: fields | sections.get(name, {}) for name, fields in values.items()})
    encoder = text.load(config.data) if config.model.conditional else None
    return TextToImage(config, networks.build_generator(config), encoder, 7)


@pytest.fixture(scope="module")
def artist():
    return artist_of()


def judged(artist, data, seeing, run_dir, seed=0, both=(None, None)):
    by_name = {extractor.name: extractor for extractor in (seeing, both[0]) if extractor}
    return judge.Judged(run_dir, artist, "ema", data, by_name, both[1], seed)


def asked(names, data, seeing, count=100):
    by_need = {"features": seeing.name, "logits": seeing.name, "joint": "joint_hashing"}
    return [protocols.parse(name, count, by_need, judge.splits(data)) for name in names]


@pytest.fixture
def evaluate(artist, data, seeing, tmp_path, one_replica):
    def call(names=("is", "fid"), strategy=one_replica, artist=artist, **choices):
        call.judged = judged(artist, data, seeing, tmp_path / "run", **choices)
        return judge.evaluate(call.judged, asked(names, data, seeing), strategy)

    return call


def values(figures):
    return {figure["name"]: figure["value"] for figure in figures}


def test_the_same_figures_each_time_and_on_any_number_of_replicas(evaluate, two_replicas, both, tmp_path):
    once = evaluate(ALL, both=both)
    assert len(once) == 5 + 2 + 2 + 5 + 1 and np.isfinite(list(values(once).values())).all()
    shutil.rmtree(tmp_path / "run")
    assert values(evaluate(ALL[::-1], both=both)) == values(once), "to the digit"
    shutil.rmtree(tmp_path / "run")
    for name, value in values(evaluate(ALL, two_replicas, both=both)).items():
        assert value == pytest.approx(values(once)[name], rel=1e-6), name
    assert values(evaluate(seed=1))["fid100_tiny_bicubic_test"] != values(once)["fid100_tiny_bicubic_test"]


def test_a_saved_model_on_two_replicas(evaluate, artist, data, classifier, tmp_path, two_replicas):
    keras.models.load_model(classifier).export(tmp_path / "tiny", verbose=False)
    expected = values(evaluate(["is", "fid"]))
    with two_replicas.scope():
        saved = extractors.load(str(tmp_path / "tiny"))
    found = judge.evaluate(
        judged(artist, data, saved, tmp_path / "other"), asked(["is", "fid"], data, saved), two_replicas
    )
    assert values(found) == pytest.approx(expected, rel=1e-6)


def test_a_figure_is_that_of_the_pictures_of_the_plan(evaluate, artist, data, seeing):
    """By hand: each caption of the shuffled records, drawn by `TextToImage` one by one."""
    records = Records(data, "test")
    plan = Plan(records)
    numbers = np.arange(100)
    chosen = records.fetch(plan.record(numbers))
    captions = [record.captions[i] for record, i in zip(chosen, plan.caption(numbers), strict=True)]
    logits = seeing(artist(captions, 0)[SIDE]).logits.numpy()
    by_hand = np.mean([inception_score(part) for part in np.split(logits, 10)])
    assert values(evaluate(["is"]))["is100_tiny_bicubic_test"] == pytest.approx(by_hand, rel=1e-5)


@contextlib.contextmanager
def interrupted_after(times, monkeypatch):
    """Ctrl-C comes while a batch is looked at: `stream` asks twice a batch, and once at the end."""
    left = [times]

    @contextlib.contextmanager
    def catch():
        def interrupted():
            left[0] -= 1
            return left[0] < 0

        yield interrupted

    with monkeypatch.context() as patch:
        patch.setattr(stream, "catch_interrupts", catch)
        yield


def test_interrupted_it_goes_on(evaluate, monkeypatch, tmp_path):
    names = ["is", "fid", "kid", "ms_ssim"]
    expected = evaluate(names)
    shutil.rmtree(tmp_path / "run")
    shutil.rmtree(tmp_path / "data/shapes/2.1.0/reference")
    drawn = []
    draws = stream.Samples.inputs
    monkeypatch.setattr(stream.Samples, "inputs", lambda self, n: drawn.append(n.min()) or draws(self, n))
    with interrupted_after(3, monkeypatch):
        assert evaluate(names) is None, "among the real images"
    assert not drawn
    with interrupted_after((2 * 12 + 1) + 3, monkeypatch):
        assert evaluate(names) is None, "among the samples"
    drawn.clear()
    with interrupted_after((2 * 3 + 1) + 3, monkeypatch):
        assert evaluate(names) is None, "among the pairs of samples, which are drawn after the others"
    assert drawn[0] > 0, "not from the start"
    drawn.clear()
    figures = evaluate(names[::-1])
    assert values(figures) == values(expected) and drawn[0] > 0 and len(drawn) < 4
    (tmp_path / "run/evaluation/partial-6-older").mkdir()
    (tmp_path / "run/evaluation/partial-7-other").mkdir()
    judge.write(evaluate.judged, figures)
    assert [path.name for path in tmp_path.rglob("partial*")] == ["partial-7-other"], "of another call of this step"


def test_the_real_images_are_seen_once(evaluate, monkeypatch, tmp_path):
    figures = evaluate()
    shutil.rmtree(tmp_path / "run")
    monkeypatch.setattr(stream.Photographs, "inputs", None)
    assert evaluate() == figures


def test_a_reference_of_another_extractor_is_refused(evaluate, tmp_path):
    evaluate(["fid", "fid_at8"])
    one, other = sorted((tmp_path / "data/shapes/2.1.0/reference").glob("fid-*.npz"))
    shutil.copy(one, other)
    with pytest.raises(UserError, match=f"{other.name}: is of another resize; remove it, and it is made anew"):
        evaluate(["fid", "fid_at8"])
    other.write_bytes(one.read_bytes()[:100])
    with pytest.raises(UserError, match=f"{other.name}: cannot be read"):
        evaluate(["fid", "fid_at8"])
    other.unlink()
    evaluate(["fid", "fid_at8"])


def test_what_is_no_number_is_counted_and_refused(evaluate):
    diverged = artist_of()
    diverged.generator.variables[-1].assign(np.full(diverged.generator.variables[-1].shape, np.nan))
    with pytest.raises(UserError, match="32 of the first 32 samples are not of finite numbers: this run has diverged"):
        evaluate(artist=diverged)


def test_an_extractor_without_logits_has_no_inception_score(
    evaluate, monkeypatch, artist, data, seeing, tmp_path, one_replica
):
    blind = seeing._replace(has_logits=False)
    with pytest.raises(UserError, match="--extractor=tiny: gives no logits, which is needs"):
        judge.evaluate(judged(artist, data, blind, tmp_path), asked(["fid", "is"], data, blind), one_replica)


def test_without_text_nothing_is_asked_of_captions(evaluate):
    without = artist_of(model={"conditional": False})
    figures = values(evaluate(["fid", "ms_ssim"], artist=without))
    assert set(figures) == {"fid100_tiny_bicubic_test", "ms_ssim100_test"}
    with pytest.raises(UserError, match="--protocol=attributes: this run draws without text"):
        evaluate(["attributes"], artist=without)


@pytest.mark.parametrize("count", [0, 1])
def test_a_split_without_images(artist, count):
    info = SimpleNamespace(splits={"test": SimpleNamespace(num_examples=count)})
    found = judge.Judged(Path("run"), artist, "ema", SimpleNamespace(info=info, data_path="here"), {}, None, 0)
    with pytest.raises(UserError, match=f"here: images in the test split: {count}; nothing to compare with"):
        judge.check([protocols.Protocol("swd", 100, None, "test")], found)


def test_what_is_written_down(evaluate, tmp_path):
    figures = evaluate(["fid"])
    path = judge.write(evaluate.judged, figures)
    assert path == tmp_path / "run/evaluation/7.json"
    (figure,) = json.loads(path.read_text())["figures"]
    assert figure["name"] == "fid100_tiny_bicubic_test" and figure["num_samples"] == 100 and figure["seed"] == 0
    assert figure["extractor"] == "tiny" and len(figure["extractor_sha256"]) == 64 and figure["resize"] == "bicubic"
    assert figure["split"] == "test" and figure["real_images"] == 432 and figure["weights"] == "ema"
    assert figure["text_encoder"] == "hashing 16"
    judge.write(evaluate.judged, figures)
    other = evaluate(["fid"], seed=1)
    judge.write(evaluate.judged, other)
    kept = json.loads(path.read_text())["figures"]
    assert [figure["seed"] for figure in kept] == [0, 1], "the same choices once, other choices beside them"
    assert list((tmp_path / "run/tensorboard").iterdir())
    path.write_text('{"figures": 3}')
    with pytest.raises(UserError, match="holds something else than figures"):
        evaluate(["fid"])  # before anything is drawn
    assert path.read_text() == '{"figures": 3}'


def test_the_table_says_what_must_be_known(artist, data, seeing, tmp_path, one_replica):
    found = asked(["fid", "is"], data, seeing, count=4)
    table = judge.table(judge.evaluate(judged(artist, data, seeing, tmp_path), found, one_replica))
    assert "fid4_tiny_bicubic_test: rank-deficient: 4 samples, 4 features" in table
    assert "is4_tiny_bicubic_test: few samples: 0 in a split, 6 classes" in table
