"""The page that draws: its numbers by node, and all of it in a real browser, beside Python's."""

import json
import os
import shutil
import subprocess
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from stackgan_tf import networks, noise, text
from stackgan_tf.exporting import tflite
from stackgan_tf.exporting.job import Job
from stackgan_tf.generation import TextToImage
from stackgan_tf.on_device import OnDevice
from stackgan_tf.text import hashing
from stackgan_tf.text.char_cnn_rnn import characters
from tests.browser import chromium
from tests.conftest import tiny_config
from tests.text.test_char_cnn_rnn import save_encoder

WEB = Path(__file__).parents[2] / "export/on_device/web"
SENTENCE = "A red Flower, with round petals!"
SENTENCES = [
    SENTENCE,
    "",
    " \t\n",
    "the of with",
    "The red_RED re-d 3x red",
    "Ünïcode, 日本 🌸 ÄÖÜ \u212a İ ΑΣ",
    "half a \ud83c character, \udf38 and another half",
    "a" * 300 + " " + "ü" * 200,
    "word " * 100,
    "".join(map(chr, range(256))),
]


def node(code, given):
    """What a function of the page's modules, `noise` and `encoders`, says of `given`."""
    if not shutil.which("node"):
        pytest.skip("needs node")
    modules = "".join(f'import * as {name} from "{(WEB / name).as_uri()}.js";' for name in ("noise", "encoders"))
    program = f"""{modules} import {{ readFileSync }} from "node:fs";
        const given = JSON.parse(readFileSync(0));
        console.log(JSON.stringify(({code})(given), (_, value) => ArrayBuffer.isView(value) ? [...value] : value));"""
    asked = ["node", "--input-type=module", "--eval", program]
    result = subprocess.run(asked, input=json.dumps(given), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


# the numbers


@pytest.mark.parametrize("of_eps", ["normal", "truncated_normal"])
def test_noise_is_python_s(of_eps):
    seeds = np.array([0, 1, -1, 2**32 - 1, 2**62, -(2**63), 2**63 - 1, *noise.row_seeds(5, [1, 2, 1000])])
    sizes = {"z": 100, "eps": 7, "eps_stage1": 128}
    told = {
        name: {"size": size, "stream": noise.STREAMS[name], "distribution": noise.distribution(name, of_eps)}
        for name, size in sizes.items()
    }
    asked = "({ seeds, told }) => told.map((t) => seeds.map((seed) => noise.draw(BigInt(seed), t)))"
    drawn = node(asked, {"seeds": [str(seed) for seed in seeds], "told": list(told.values())})
    for (name, rows), page in zip(noise.draw(seeds, sizes, of_eps).items(), drawn, strict=True):
        np.testing.assert_array_max_ulp(np.array(page, np.float32), rows, maxulp=1)
        others = noise.draw(seeds + 1, sizes, of_eps)[name]
        assert np.mean(np.isclose(page, others, rtol=1e-3)) < 0.05, "known bad: another seed"
    assert not np.isclose(drawn[0][0][:7], drawn[1][0]).any(), "known bad: another stream"


def test_noise_far_out():
    """A hundred thousand numbers, to beyond four deviations."""
    told = {"size": 100_000, "stream": 0, "distribution": "normal"}
    page = np.array(node("(told) => noise.draw(3n, told)", told), np.float32)
    np.testing.assert_array_max_ulp(page, noise.draw(np.array([3]), {"z": 100_000})["z"][0], maxulp=1)
    assert np.abs(page).max() > 4


def test_encoders_are_python_s():
    """To the bit."""
    asked = "(all) => all.map((s) => [encoders.hashing(s, 16), encoders.hashing(s, 1024), encoders.characters(s)])"
    small, large, places = (np.array(rows) for rows in zip(*node(asked, SENTENCES), strict=True))
    for size, page in ((16, small), (1024, large)):
        ours = hashing.Encoder(size).encode(SENTENCES)
        np.testing.assert_array_equal(page.astype(np.float32), ours)
        assert [i for i, row in enumerate(ours) if not row.any()] == [1, 2, 3], "known bad: no word but stop words"
        others = hashing.Encoder(size).encode([sentence.replace("r", "s") for sentence in SENTENCES])
        assert not np.array_equal(page[0], others[0]), "known bad: other words"
    np.testing.assert_array_equal(places, characters(SENTENCES))


# the page in a browser


class Static(SimpleHTTPRequestHandler):
    """A server of static files that remembers what it was asked for."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()


class Site:
    """Built pages, each in a folder of its own, and their server."""

    def __init__(self, folder):
        self.folder, self.models, self.web = folder / "site", folder / "models", folder / "web"
        self.folder.mkdir()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Static, directory=self.folder))
        self.server.asked = []
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def install(self):
        """LiteRT.js: the one beside the page if `npm install` was run there."""
        shutil.copytree(WEB, self.web, ignore=shutil.ignore_patterns("node_modules", "dist"))
        if (WEB / "node_modules").is_dir():
            (self.web / "node_modules").symlink_to(WEB / "node_modules")
        else:
            quietly = ["--fetch-retries=0", "--silent", "--no-audit", "--no-fund"]
            if subprocess.run(["npm", "install", *quietly], cwd=self.web).returncode:
                pytest.skip("needs LiteRT.js: npm install in export/on_device/web")

    def build(self, name, config):
        """A page with an untrained model."""
        keras.utils.set_random_seed(7)  # untrained generators differ in how much they make of their inputs
        encoder = text.load(config.data) if config.model.conditional else None
        for variable in encoder.variables if encoder else ():
            variable.assign(2 * variable)  # its embeddings are then about as large as those of hashing
        artist = TextToImage(config, networks.build_generator(config), encoder, step=1)
        model = self.models / name
        model.mkdir(parents=True)
        tflite.write(Job(model, artist, name, builder=None), model)
        built = self.run_build(str(model))
        assert built.returncode == 0, built.stderr
        (self.web / "dist").rename(self.folder / name)

    def spoilt(self, name, gone):
        """A copy of the page `flowers` without some of its files."""
        shutil.copytree(self.folder / "flowers", self.folder / name, copy_function=os.link)
        for file in (self.folder / name).glob(gone):
            file.unlink()
        return self.folder / name

    def artist(self, name):
        """Python's, of the same file."""
        return OnDevice(self.models / name / "float32_batch1.tflite")

    def run_build(self, *arguments):
        return subprocess.run(["node", "build.mjs", *arguments], cwd=self.web, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if not shutil.which("npm"):
        pytest.skip("needs node and npm")
    site, encoder = Site(tmp_path_factory.mktemp("web")), tmp_path_factory.mktemp("encoder")
    site.install()
    save_encoder(encoder)
    site.build("flowers", tiny_config())
    site.build(
        "letters", tiny_config(data={"text_encoder": "char_cnn_rnn", "text_path": str(encoder), "text_size": 12})
    )
    site.build("patterns", tiny_config(model={"conditional": False}))
    threading.Thread(target=site.server.serve_forever, daemon=True).start()
    yield site
    site.server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


class Visitor:
    """Somebody in front of a page."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get("about:blank")
        browser.get_log("browser")  # reading it empties it
        browser.get(address)
        self.settled()

    def one(self, selector):
        return self.browser.find_element("css selector", selector)

    def settled(self):
        """What the page says when it has done what it does."""
        deadline = time.time() + 60
        while (said := self.one("#status").text).startswith(("Loading", "Drawing")) and time.time() < deadline:
            time.sleep(0.02)
        return said

    def write(self, sentence):
        self.one("#sentence").clear()
        self.one("#sentence").send_keys(sentence)

    def move(self, truncation):
        """The slider, as a hand does."""
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
        self.browser.execute_script(script, self.one("#truncation"), truncation)

    def pictures(self):
        """{side: [side, side, 3] uint8}, of the canvases."""
        script = """return [...document.querySelectorAll("canvas")].map((canvas) => [canvas.width,
            [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]])"""
        shown = {side: np.array(levels, np.uint8) for side, levels in self.browser.execute_script(script)}
        return {side: levels.reshape(side, side, 4)[..., :3] for side, levels in shown.items()}

    def complaints(self):
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


def psnr(ours, page):
    """dB of 255; of each scale."""
    errors = {side: np.mean((page[side] - ours[side][0].astype(float)) ** 2) for side in ours}
    return {side: 10 * np.log10(255**2 / max(error, 1e-12)) for side, error in errors.items()}


def assert_same(ours, page):
    assert list(ours) == list(page)
    assert min(psnr(ours, page).values()) > 60
    assert min(np.mean(ours[side][0] == page[side]) for side in ours) > 0.99


def test_a_sentence_becomes_python_s_pictures(site, browser):
    from selenium.webdriver import Keys

    site.server.asked.clear()
    visitor, artist = Visitor(browser, f"{site.address}/flowers/"), site.artist("flowers")
    assert "flowers: StackGAN v2" in visitor.one("#about").text and not visitor.one("#pictures").is_displayed()
    visitor.write(SENTENCE)
    visitor.one(".main").click()
    assert visitor.settled().startswith("Drawn in ")
    assert [caption.text for caption in browser.find_elements("css selector", "figcaption")] == [
        "8 × 8\nSave",
        "16 × 16\nSave",
    ]
    assert_same(artist(SENTENCE), visitor.pictures())
    assert max(psnr(artist(SENTENCE, seed=1), visitor.pictures()).values()) < 40, "known bad: another seed"

    # another seed, by the button and by hand
    visitor.one("#another").click()
    visitor.settled()
    assert_same(artist(SENTENCE, seed=1), visitor.pictures())
    visitor.one("#seed").clear()
    visitor.one("#seed").send_keys(str(noise.MAX_SEED), Keys.ENTER)
    visitor.settled()
    assert_same(artist(SENTENCE, seed=noise.MAX_SEED), visitor.pictures())

    # the slider; of many moves the last counts
    for truncation in (0.9, 0.7, 0.5, 0.25, 0.35):
        visitor.move(truncation)
    assert visitor.settled().startswith("Drawn in ") and visitor.one("#level").text == "0.35"
    assert_same(artist(SENTENCE, seed=noise.MAX_SEED, truncation=0.35), visitor.pictures())
    assert max(psnr(artist(SENTENCE, seed=noise.MAX_SEED), visitor.pictures()).values()) < 40, "known bad: as trained"

    # another sentence, by Enter; one without a word leaves the pictures
    visitor.write("a blue square" + Keys.ENTER)
    visitor.settled()
    last = artist("a blue square", seed=noise.MAX_SEED, truncation=0.35)
    assert_same(last, visitor.pictures())
    for nothing in ("", "  ", "of the"):
        visitor.write(nothing + Keys.ENTER)
        assert visitor.settled() == "The sentence has no word to draw."
    assert_same(last, visitor.pictures())

    # a picture is saved as it is
    visitor.one("#picture-16 a").click()
    file, deadline = browser.downloads / f"16-seed-{noise.MAX_SEED}.png", time.time() + 20
    while not file.exists() and time.time() < deadline:
        time.sleep(0.05)
    np.testing.assert_array_equal(np.asarray(Image.open(file).convert("RGB")), visitor.pictures()[16])

    assert all(path.startswith("/flowers/") for path in site.server.asked)
    assert not visitor.complaints(), "of the browser, as for a host that it does not reach"
    browser.execute_script("fetch('http://elsewhere.example/').catch(() => 0)")
    time.sleep(0.2)
    assert visitor.complaints(), "known bad: a request that leaves"


def test_an_encoder_of_characters_runs_in_the_page(site, browser):
    visitor, artist = Visitor(browser, f"{site.address}/letters/"), site.artist("letters")
    for sentence in (SENTENCE, "Ünï-cöde of the"):
        visitor.write(sentence)
        visitor.one(".main").click()
        visitor.settled()
        assert_same(artist(sentence), visitor.pictures())
    assert max(psnr(artist(SENTENCE), visitor.pictures()).values()) < 60, "known bad: another sentence"


def test_without_text_and_on_a_phone(site, browser):
    """No box for a sentence; nothing wider than the screen, the finest picture first."""
    screen = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    visitor = Visitor(browser, f"{site.address}/patterns/")
    assert not visitor.one("#sentence").is_displayed()
    visitor.one("#another").click()
    visitor.settled()
    assert_same(site.artist("patterns")(1, seed=1), visitor.pictures())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    assert visitor.one("#picture-16").rect["y"] < visitor.one("#picture-8").rect["y"]
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(
    "gone, message",
    [
        ("model/*", "There is no model/model_card.json beside this page: npm run build -- FOLDER"),
        ("model/generator.tflite", "There is no model/generator.tflite beside this page"),
        ("litert/*internal*", "WebAssembly does not run in this browser"),
        ("worker.js", "It does not work here (worker.js cannot be loaded)."),
    ],
)
def test_what_is_missing_is_told(gone, message, site, browser):
    site.spoilt(name := f"without_{Path(gone).stem.strip('*')}", gone)
    visitor = Visitor(browser, f"{site.address}/{name}/")
    assert message in visitor.settled()
    assert visitor.one("#form").get_attribute("inert") and not visitor.one("#progress").is_displayed()


def test_an_encoder_that_needs_python_is_told(site, browser):
    card = site.spoilt("sentences", "model/model_card.json") / "model/model_card.json"
    card.write_text((site.models / "flowers/model_card.json").read_text().replace('"hashing"', '"sentence"'))
    visitor = Visitor(browser, f"{site.address}/sentences/")
    assert "This model's text encoder, sentence, does not run in a page" in visitor.settled()


def test_a_file_is_not_served(site, browser):
    visitor = Visitor(browser, (site.folder / "flowers/index.html").as_uri())
    assert "python -m http.server" in visitor.settled()


# its files


def test_nothing_of_another_host_is_in_the_page(site):
    ours = {path.name for path in WEB.iterdir() if path.suffix in (".js", ".html") and path.is_file()}
    assert ours <= {path.name for path in (site.folder / "flowers").iterdir()}
    for name in ours:
        assert "//" not in (WEB / name).read_text().replace("// ", "").replace("//\n", ""), name
    assert "@litertjs" not in (site.folder / "flowers/litert/index.js").read_text().split("import ", 1)[1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "error: name the folder of a model: npm run build -- FOLDER"),
        (["nowhere"], "error: nowhere: no ..._batch1.tflite is there"),
        (["float32.tflite"], "float32.tflite: a page runs the files of batch 1 only: float16_batch1.tflite"),
    ],
)
def test_a_build_s_mistakes_are_one_line(arguments, message, site):
    (site.web / "float32.tflite").touch()
    result = site.run_build(*arguments)
    assert result.returncode == 2 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert message in result.stderr and not (site.web / "dist").exists()
