"""Figures: what is on them, and that they tell the truth."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from stackgan_tf import config as configs
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from tests.conftest import tiny_config
from tests.test_generation import artist_of
from tests.test_programs import refused, run

plots = pytest.importorskip("stackgan_tf.plots", reason='needs pip install "stackgan_tf[figures]"')
pytest.importorskip("matplotlib", reason='needs pip install "stackgan_tf[figures]"')
pytest.importorskip("sklearn", reason='needs pip install "stackgan_tf[figures]"')

from stackgan_tf.plots import _page, evaluation, grid, interpolation, losses, nearest, scales, stages, tsne  # noqa: E402
from stackgan_tf.plots._features import Pixels  # noqa: E402

OWN = ["a red circle", "a blue box", "a green triangle", "a white cross"]
RED, BLUE = OWN[:2]


@pytest.fixture(scope="module")
def artist():
    return artist_of(tiny_config())


@pytest.fixture(scope="module")
def without_text():
    return artist_of(tiny_config(model={"conditional": False}))


@pytest.fixture
def asked(tmp_path, monkeypatch, shapes_data_dir):
    """Makes requests for an artist, whose run directory has captions of its own."""
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples/captions.txt").write_text("\n".join(OWN))

    def request(artist, **fields):
        monkeypatch.setattr("stackgan_tf.generation.load_generator", lambda run_dir: artist)
        (tmp_path / "config.yaml").write_text(configs.dump(artist.config))
        return plots.Request(tmp_path, shapes_data_dir, **fields)

    return request


@pytest.fixture
def train(shapes_data_dir):
    return Records(prepare("shapes", shapes_data_dir), "train")


def shown(figure):
    """The pictures, in the order of reading."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def written(figure):
    return [text.get_text() for text in figure.texts]


def test_a_grid_has_a_row_for_each_caption_and_the_same_noises_in_each(artist, asked):
    figure = grid.draw(asked(artist, texts=(RED, BLUE), num=3, seed=5))
    assert written(figure) == [RED, BLUE]
    pictures = shown(figure)
    assert len(pictures) == 6
    np.testing.assert_array_equal(pictures[3:], artist([BLUE] * 3, seed=5)[16])


def test_scales_are_side_by_side(artist, asked):
    figure = scales.draw(asked(artist, texts=(RED, BLUE)))
    assert written(figure) == ["8 × 8 pixels", "16 × 16 pixels", RED, BLUE]
    assert [picture.shape[0] for picture in shown(figure)] == [8, 16, 8, 16]
    np.testing.assert_array_equal(shown(figure)[3], artist([RED, BLUE])[16][1])


def test_without_texts_the_run_has_captions_and_then_the_data(artist, asked):
    request = asked(artist)
    assert request.told(2).captions == [OWN[0], OWN[3]], "spread evenly"
    many = request.told(20).captions
    told = Records(request.builder, "test").told(40)[1]
    assert len(many) == 20 and set(many) <= set(told)
    assert request.samples(3)[0] == [OWN[0], OWN[1], OWN[3]]
    texts = asked(artist, texts=(RED, BLUE))
    captions, images = texts.samples(5)
    assert captions == [RED, BLUE, RED, BLUE, RED] and images[16].shape == (5, 16, 16, 3)
    assert texts.rows(4) == 2 and asked(artist, texts=(RED, BLUE), num=5).rows(4) == 5 and request.rows(4) == 4


def test_captions_of_the_test_split_are_drawn_by_the_seed(artist, asked, without_text):
    request = asked(artist, captions=6, seed=3)
    records = Records(request.builder, "test")
    of_test = {caption for record in records.fetch(range(len(records))) for caption in record.captions}
    captions = request.told(2).captions
    assert len(captions) == request.rows(4) == 6 and set(captions) <= of_test
    assert asked(artist, captions=6, seed=3).told(2).captions == captions
    assert asked(artist, captions=6, seed=4).told(2).captions != captions
    assert asked(artist, captions=4, seed=3).told(2).captions == captions[:4], "more of them begin with the same"
    assert written(grid.draw(asked(artist, captions=2, seed=3, num=1)))[0].startswith(captions[0][:10])
    with pytest.raises(UserError, match=f"--captions={len(records) + 1}: the test split has {len(records)} images"):
        asked(artist, captions=len(records) + 1).told(2)
    with pytest.raises(UserError, match="--captions: this run was trained without text"):
        asked(without_text, captions=2).told(2)
    with pytest.raises(UserError, match="--captions: 3 of them; give two"):
        interpolation.draw(asked(artist, captions=3))


def test_a_run_that_knows_the_captions_of_images_only(artist, asked, monkeypatch):
    """As with the published tables: the pictures are drawn for the embeddings of test images' captions."""
    rows = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)
    monkeypatch.setattr(artist, "encoder", type("OfImages", (), {"by_image": True, "size": 16})())
    monkeypatch.setattr(type(artist.encoder), "of_image", lambda self, name, count: rows[:count], raising=False)
    request = asked(artist, num=2)
    captions, embeddings = request.told(3)
    assert len(captions) == 3 and embeddings.shape == (3, 16)
    np.testing.assert_array_equal(shown(grid.draw(request))[0], artist(embeddings[:1])[16][0])


def test_a_t_sne_has_as_many_samples_as_it_says_whatever_the_texts(artist, asked):
    figure = tsne.draw(asked(artist, texts=(RED, BLUE), num=10))
    assert "t-SNE of 10 samples" in written(figure)[0]


def test_captions_without_a_word_are_passed_over(artist, asked):
    request = asked(artist)
    (request.run_dir / "samples/captions.txt").write_text(f"{RED}\n{{}}\n{BLUE}\n")
    assert request.told(2).captions == [RED, BLUE]


def test_the_ends_of_an_interpolation_are_the_plain_pictures(artist, asked):
    figure = interpolation.draw(asked(artist, texts=(RED, BLUE), num=5, seed=2))
    assert written(figure) == [RED, BLUE, f"From one noise to another: {RED}"]
    pictures = np.stack(shown(figure)).astype(int)
    (red, another), blue = artist([RED, RED], seed=2)[16], artist(BLUE, seed=2)[16][0]
    for picture, plain in zip(pictures[[0, 4, 5, 9]], (red, blue, red, another), strict=True):
        np.testing.assert_allclose(picture, plain, atol=1)
    assert len(pictures) == 10 and np.abs(red.astype(int) - blue).max() > 1
    noises = artist.noise(2, range(2))
    halfway = interpolation.between_noises(*({k: v[i] for k, v in noises.items()} for i in (0, 1)), 3)
    for name, (start, middle, end) in halfway.items():
        lengths = np.linalg.norm([start, middle, end], axis=1)
        assert lengths[1] > 0.95 * min(lengths), f"{name}: the straight line would be shorter by 0.7"


def test_without_text_there_are_noises_only(without_text, asked):
    figure = interpolation.draw(asked(without_text, num=3))
    assert written(figure) == ["From one noise to another"] * interpolation.PAIRS and len(shown(figure)) == 6
    assert len(shown(grid.draw(asked(without_text, num=2)))) == 2 * grid.ROWS
    assert len(shown(scales.draw(asked(without_text)))) == 2 * scales.ROWS
    with pytest.raises(UserError, match="--text: this run was trained without text"):
        grid.draw(asked(without_text, texts=(RED,)))


class KnowsByHeart:
    """A generator that draws training images, not at all changed or a little."""

    encoder = None

    def __init__(self, images, config):
        self.images, self.config, self.scales = images, config, config.scales

    def __call__(self, count, seed):
        return {self.scales[-1]: self.images[:count]}


def memorised(train, change, **data):
    config = tiny_config(data={"random_crop": False, "random_flip": False} | data, model={"conditional": False})
    return KnowsByHeart(change(nearest.load(train, [5, 300], config)), config)


def notes(figure):
    return [float(text) for text in written(figure) if text.replace(".", "").isdigit()]


def test_what_is_known_by_heart_is_found_at_distance_0(train, asked):
    artist = memorised(train, lambda images: images)
    figure = nearest.draw(asked(artist, num=2))
    pictures, distances = shown(figure), notes(figure)
    assert len(pictures) == 2 * (1 + nearest.NEIGHBOURS) and len(distances) == 2 * nearest.NEIGHBOURS
    for row in (0, 1 + nearest.NEIGHBOURS):
        np.testing.assert_array_equal(pictures[row], pictures[row + 1])
    assert distances[0] == distances[nearest.NEIGHBOURS] == 0
    assert all(np.diff(distances[: nearest.NEIGHBOURS]) >= 0)
    title = " ".join(written(figure)[:4])
    assert "pixels at 16 × 16" in title and "Real test images" in title and "(median of 200)" in title


def test_what_is_not_known_by_heart_is_not(train, asked):
    figure = nearest.draw(asked(memorised(train, lambda images: 255 - images), num=1))
    assert notes(figure)[0] > 10
    figure = nearest.draw(asked(memorised(train, lambda images: images + 3 * (images < 128)), num=1))
    assert 0.5 < notes(figure)[0] < 3, "root mean square"


def test_the_mirror_image_counts_where_training_mirrors(train, asked):
    def mirrored(images):
        return images[:, :, ::-1]

    assert notes(nearest.draw(asked(memorised(train, mirrored, random_flip=True), num=1)))[0] == 0
    assert notes(nearest.draw(asked(memorised(train, mirrored), num=1)))[0] > 0


def test_neighbours_are_those_of_all_batches_together(train, monkeypatch):
    config = tiny_config()
    everything = nearest.load(train, range(len(train)), config)
    images, own = everything[[7, 400]], np.array([7, -1])
    monkeypatch.setattr(nearest, "BATCH", 50)
    found = nearest.search(images, own, train, config, Pixels(16))
    away = np.sqrt(np.square(images[:, None].astype(float) - everything).mean(axis=(2, 3, 4)))
    away[0, 7] = np.inf
    np.testing.assert_allclose(found.distances, np.sort(away)[:, : nearest.NEIGHBOURS], atol=1e-3)
    assert 7 not in found.records[0] and found.records[1, 0] == 400


def test_without_a_test_split_training_images_are_compared(train):
    class Builder:
        info = type("Info", (), {"splits": {"train": 1}})
        data_path, CAPTIONED = train.folder, True
        as_data_source = staticmethod(lambda split, decoders: train._source)

    images, own, told = nearest._real(Builder, tiny_config())
    assert len(images) == nearest.REAL and own[-1] == len(train) - 1 and "nearest other one" in told


def test_features_are_those_of_the_extractor_asked_for(train, asked, monkeypatch):
    class Means:
        name = "means"

        def features(self, images):
            return images.mean(axis=(1, 2), dtype=np.float32)

    monkeypatch.setattr("stackgan_tf.evaluation.extractors.load", lambda name, weights: Means())
    artist = memorised(train, lambda images: images[:, ::-1])
    figure = nearest.draw(asked(artist, num=1, extractor_name="means"))
    assert notes(figure)[0] == 0, "upside down it has the same colours"
    assert "means, Euclidean" in " ".join(written(figure))


def test_a_lattice_is_one_place_for_each_and_keeps_neighbours():
    rng = np.random.default_rng(0)
    order = rng.permutation(36)
    tidy = np.stack(np.divmod(order, 6), axis=1) + rng.uniform(-0.2, 0.2, (36, 2))
    np.testing.assert_array_equal(tsne.lattice(tidy), order)
    points = rng.standard_normal((100, 2))
    places = tsne.lattice(points)
    assert sorted(places) == list(range(100))

    def cost(places):
        return np.square((points - points.min(0)) / np.ptp(points, 0) - np.stack(np.divmod(places, 10), 1) / 9).sum()

    assert cost(places) < 0.5 * min(cost(rng.permutation(100)) for _ in range(20))


def test_tsne_shows_every_sample_once(artist, asked):
    figure = tsne.draw(asked(artist, num=10))
    (picture,) = shown(figure)
    side = len(picture) // 4
    tiles = picture.reshape(4, side, 4, side, 3).swapaxes(1, 2).reshape(16, side, side, 3)
    drawn = asked(artist, num=10).samples(10)[1][16]
    assert sum((tile == 255).all() for tile in tiles) == 6, "places that nobody takes"
    step = side // 16
    assert {tile[::step, ::step].tobytes() for tile in tiles} - {np.full((16, 16, 3), 255, np.uint8).tobytes()} == {
        image.tobytes() for image in drawn
    }
    assert "10 samples" in written(figure)[0] and "pixels at 16 × 16" in written(figure)[0]


def test_stages_are_of_stage_two_only(artist, asked):
    figure = stages.draw(asked(artist_of(tiny_config("v1_stage2")), texts=(RED,)))
    assert written(figure) == ["Stage-I, 8 pixels", "Stage-II, 32 pixels", RED]
    assert [picture.shape[0] for picture in shown(figure)] == [8, 32]
    with pytest.raises(UserError, match="--kind=stages: .* is a v2; give the run of a v1_stage2"):
        stages.draw(asked(artist))


LINE = {"d0/loss": 2.0, "d1/loss": 1.5, "g/loss": 9.0, "g/kl": 0.1, "g/color/0": 0.3, "images_per_second": 7.0}


def log(run_dir):
    config = tiny_config(loss={"color_weight": 50.0})
    (run_dir / "config.yaml").write_text(configs.dump(config))
    lines = [json.dumps({"step": step} | LINE) for step in range(10, 300, 10)]
    (run_dir / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 300, "held_out": {}}', '{"step": 31']))


def test_losses_are_small_plots_with_raw_and_smoothed_lines(tmp_path):
    log(tmp_path)
    figure = losses.draw(plots.Request(tmp_path, tmp_path))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "D loss, 8 pixels",
        "D loss, 16 pixels",
        "G loss, with all terms",
        "KL divergence",
        "Colour consistency, 8 to 16 pixels",
        "Images per second",
    ]
    for axes, value in zip(figure.axes, LINE.values(), strict=True):
        raw, smooth = (line.get_ydata() for line in axes.lines)
        assert len(raw) == len(smooth) == 29
        np.testing.assert_allclose([raw, smooth], value)


def test_smoothing_keeps_constants_and_lessens_noise():
    noise = np.random.default_rng(0).standard_normal(500)
    assert losses.smoothed(noise).std() < 0.3 * noise.std()
    np.testing.assert_allclose(losses.smoothed(np.full(5, 3.0)), 3.0)


def measure(run_dir, step, *figures):
    (run_dir / "config.yaml").write_text(configs.dump(tiny_config(train={"batch_size": 4})))
    (run_dir / "evaluation").mkdir(exist_ok=True)
    text = json.dumps({"step": step, "figures": figures})
    (run_dir / f"evaluation/{step}.json").write_text(text)


def fid(value, **choices):
    return {"name": "fid2k_small_bicubic_test", "value": value, "error": None, "real": 2.0, "weights": "ema"} | choices


def test_figures_of_a_run_are_a_line_over_its_images_and_other_choices_are_another(tmp_path):
    swd = {"name": "swd500_test/16", "value": 7.0, "error": 0.5, "real": None, "weights": "ema"}
    measure(tmp_path, 2000, fid(20.0), fid(25.0, weights="live"))
    measure(tmp_path, 10_000, fid(10.0), swd)
    measure(tmp_path, 500, fid(40.0))
    figure = evaluation.draw(plots.Request(tmp_path, tmp_path))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["fid2k\nsmall_bicubic_test"] * 2 + [
        "swd500\ntest/16"
    ]
    line, floor = figure.axes[0].lines
    np.testing.assert_array_equal(line.get_xydata(), [[2, 40], [8, 20], [40, 10]])
    assert set(floor.get_ydata()) == {2.0}
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_xydata(), [[8, 25]])
    (bar,) = figure.axes[2].collections[0].get_segments()
    np.testing.assert_allclose(bar[:, 1], [6.5, 7.5])
    assert len(figure.axes[2].lines) == 1  # no floor


def test_no_figures_were_measured(tmp_path):
    (tmp_path / "config.yaml").write_text(configs.dump(tiny_config()))
    with pytest.raises(UserError, match="evaluation: has no figures; stackgan_tf.evaluate measures a run"):
        evaluation.draw(plots.Request(tmp_path, tmp_path))


@pytest.mark.parametrize("present, message", [(False, "config.yaml"), (True, "is not there; only a run that")])
def test_no_losses(tmp_path, present, message):
    if present:
        (tmp_path / "config.yaml").write_text(configs.dump(tiny_config()))
    with pytest.raises(UserError, match=message):
        losses.draw(plots.Request(tmp_path, tmp_path))


def test_no_line_of_a_step(tmp_path):
    log(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 3')
    with pytest.raises(UserError, match="no line of a training step"):
        losses.draw(plots.Request(tmp_path, tmp_path))


@pytest.mark.parametrize(
    "kind, fields, message",
    [
        (interpolation, {"texts": (RED, BLUE, RED)}, "--text: 3 of them; give two"),
        (interpolation, {"num": 1}, "--num=1: an interpolation has at least 2"),
        (interpolation, {"texts": (RED, "?!")}, r"--text='\?!': has no word"),
        (grid, {"num": 500}, "500 pictures side by side are too small"),
        (grid, {"texts": (" ",)}, "has no word"),
        (tsne, {"num": 8}, "--num=8: at least 9 samples"),
        (tsne, {"num": 40_000}, "200 pictures side by side are too small"),
    ],
)
def test_what_cannot_be_drawn(artist, asked, kind, fields, message):
    with pytest.raises(UserError, match=message):
        kind.draw(asked(artist, **fields))


def test_text_stays_on_the_page_and_pictures_are_whole_multiples():
    long = "a $5 bird with feathers of every colour, " * 6 + "W" * 200
    rows = [_page.Row(np.zeros((3, 64, 64, 3), np.uint8), long, long, below=["1.00"] * 3)] * 2
    with _page.style():
        figure = _page.page(rows, ["a", "b", "c"], long)
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [text.get_window_extent(renderer) for text in figure.texts]
        sides = {round(axes.get_window_extent(renderer).width, 3) for axes in figure.axes}
    assert min(box.x0 for box in boxes) >= 0 and max(box.x1 for box in boxes) <= figure.bbox.x1
    assert min(box.y0 for box in boxes) >= 0 and max(box.y1 for box in boxes) <= figure.bbox.y1
    assert sides == {512.0}
    assert "$5" in figure.texts[0].get_text() and not figure.texts[0].get_parse_math()


def test_a_png_shows_pixels_as_they_are(artist, asked, tmp_path):
    plots.write("scales", asked(artist, texts=(RED,)), tmp_path / "figures/scales.png")
    page = np.asarray(Image.open(tmp_path / "figures/scales.png").convert("RGB"))
    drawn = artist(RED)[16][0]
    enlarged = np.kron(drawn, np.ones((32, 32, 1), np.uint8))
    corner = page[-_page.MARGIN - 512 : -_page.MARGIN, -_page.MARGIN - 512 : -_page.MARGIN]
    np.testing.assert_array_equal(corner, enlarged)


def test_a_pdf_has_its_fonts_and_lines_stay_lines(tmp_path):
    log(tmp_path)
    out = tmp_path / "losses.pdf"
    out.write_text("an older one")
    plots.write("losses", plots.Request(tmp_path, tmp_path), out)
    made = out.read_bytes()
    assert made.startswith(b"%PDF") and b"/FontFile2" in made and b"/Subtype /Image" not in made
    with pytest.raises(UserError, match="--out=.*cannot be written"):
        plots.write("losses", plots.Request(tmp_path, tmp_path), out / "within.pdf")
    assert out.read_bytes() == made and [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    monkeypatch.delitem(sys.modules, "stackgan_tf.plots.tsne")
    with pytest.raises(UserError, match=r'sklearn.* is not installed; pip install "stackgan_tf\[figures\]"'):
        plots.write("tsne", plots.Request(tmp_path, tmp_path), tmp_path / "tsne.png")


def test_the_program(tmp_path):
    log(tmp_path)
    result = run("figures", f"--run_dir={tmp_path}", "--kind=losses")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path}/figures/losses.png\n" and (tmp_path / "figures/losses.png").is_file()


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "--run_dir is missing"),
        (["--run_dir=r"], "--kind is missing: what shall be shown? Choose from evaluation, grid"),
        (["--run_dir=r", "--kind=grids"], "--kind=grids: unknown; choose from evaluation, grid, interpolation, losses"),
        (["--run_dir=r", "--kind=grid", "--out=a.svg"], "--out=a.svg: must end in .png or .pdf"),
        (["--run_dir=r", "--kind=grid", "--num=0"], "--num=0: must be at least 1"),
        (["--run_dir=r", "--kind=grid", "--captions=0"], "--captions=0: must be at least 1"),
        (["--run_dir=r", "--kind=grid", "--captions=2", "--text=a"], "--captions=2: stands in place of --text"),
        (["--run_dir=r", "--kind=grid", "--seed=-1"], "--seed=-1: must be at least 0"),
    ],
)
def test_a_mistake_is_told_before_tensorflow_starts(flags, message, tmp_path):
    assert message in refused(run("figures", *flags, cwd=tmp_path))
    assert not list(tmp_path.iterdir())
