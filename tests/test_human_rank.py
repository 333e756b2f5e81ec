"""The page on which people rank pictures, in a real browser, and the table of what they said."""

import base64
import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import t

from stackgan_tf import config as configs
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation import human_rank
from stackgan_tf.evaluation.human_rank import Answers, Study
from stackgan_tf.generation import load_generator
from tests.browser import chromium
from tests.conftest import save_run, tiny_config
from tests.test_programs import refused, run

NAMES = ("our_best_model", "without_attention", "the_baseline")
CAPTIONS = ["a red circle on <blue>", 'a "green" box</script><h1>', "ein großes Dreieck", "a bird with a short beak"]
STUDY = Study("5tudy", {"aa": "A", "bb": "B", "cc": "C"}, ["one", "two", "three"])


def pictures_of(sides=(16, 32, 64)):
    """Noise, as lossless pictures are to be seen."""
    rng = np.random.default_rng(0)
    return {n: rng.integers(0, 256, (len(CAPTIONS), s, s, 3), np.uint8) for n, s in zip(NAMES, sides, strict=True)}


def in_page(page):
    """What the page was given."""
    return json.loads(re.search(r'<script type="application/json" id="study">(.*?)</script>', page)[1])


# the statistics


def test_means_and_intervals_by_hand():
    """Two raters: caption 0 has ranks A 1, 2 and C 3, 3; caption 1 A 1, 1; caption 2, of one rater only, A 3."""
    ann = Answers("ann", {0: ["aa", "bb", "cc"], 1: ["aa", "cc", "bb"], 2: ["bb", "cc", "aa"]})
    bob = Answers("bob", {1: ["aa", "bb", "cc"], 0: ["bb", "aa", "cc"]})
    ranks = human_rank.caption_ranks([ann, bob], ["aa", "bb", "cc"])
    np.testing.assert_allclose(ranks, [[1.5, 1.5, 3], [1, 2.5, 2.5], [3, 1, 2]])
    # A: mean 5.5 / 3, squares of the deviations 1/9, 25/36, 49/36: s^2 = 13/12; t of 2 degrees of freedom: 4.30265
    np.testing.assert_allclose(human_rank.half_widths(ranks)[0], 4.30265 * np.sqrt(13 / 12 / 3), rtol=1e-5)
    table = human_rank.table(STUDY, [ann, bob])
    rows = [line.split() for line in table.splitlines()[1:4]]
    assert rows[0] == ["B", "1.67", "-0.23", "to", "3.56"], "the best first"
    assert rows[1] == ["A", "1.83", "-0.75", "to", "4.42"] and rows[2][:2] == ["C", "2.50"]
    assert "raters: 2, rankings: 5, captions: 3" in table


def test_raters_of_one_caption_are_not_taken_for_independent():
    """Known bad: eight raters who agree on every caption would make the interval narrow by their number."""
    orders = {0: ["aa", "bb", "cc"], 1: ["bb", "aa", "cc"], 2: ["cc", "bb", "aa"]}
    raters = [Answers(str(i), orders) for i in range(8)]
    ranks = human_rank.caption_ranks(raters, ["aa", "bb", "cc"])
    single = np.tile(ranks, (8, 1))
    naive = t.ppf(0.975, len(single) - 1) * single.std(axis=0, ddof=1) / np.sqrt(len(single))
    ours = human_rank.half_widths(ranks)
    np.testing.assert_allclose(ours, human_rank.half_widths(human_rank.caption_ranks(raters[:1], ["aa", "bb", "cc"])))
    assert (naive < ours / 2).all()


def test_the_interval_holds_what_it_says():
    """Of 400 studies of 20 captions and 5 raters who agree by half, about 95 % of the intervals hold the truth, 2."""
    rng = np.random.default_rng(1)
    held = []
    for _ in range(400):
        merit = rng.standard_normal((20, 1, 3)) + rng.standard_normal((20, 5, 3))
        ranks = 1 + np.argsort(np.argsort(merit, axis=-1), axis=-1).mean(axis=1)
        held.append(np.abs(ranks.mean(axis=0) - 2) <= human_rank.half_widths(ranks))
    assert 0.92 < np.mean(held) < 0.98


def test_one_caption_has_no_interval():
    table = human_rank.table(STUDY, [Answers("ann", {1: ["cc", "aa", "bb"]}), Answers("bob", {})])
    assert [line.split() for line in table.splitlines()[1:4]] == [["C", "1.00"], ["A", "2.00"], ["B", "3.00"]]
    assert "raters: 1, rankings: 1, captions: 1" in table and "no interval" in table


# what the raters' files may not be


def saved(**changes):
    ranking = {"caption": 0, "order": ["bb", "aa", "cc"]}
    return {"study": "5tudy", "rater": "ann", "rankings": [ranking]} | changes


def ranked(*orders, caption=0):
    return saved(rankings=[{"caption": caption, "order": order} for order in orders])


@pytest.mark.parametrize(
    "said, message",
    [
        ("{", "a.json: is no JSON"),
        ("[" * 100_000, "a.json: is no JSON"),
        (b"\xff\xfe", "a.json: is no JSON"),
        ([], "a.json: is no file that the page saved"),
        ({"study": "5tudy"}, "is no file that the page saved"),
        (saved(rankings=[3]), "is no file that the page saved"),
        (saved(study="other"), "is of the study other, the key is of 5tudy"),
        (ranked(["aa", "bb", "dd"]), "caption 0: the key has no model 'dd'"),
        (ranked(["aa", "bb", ["cc"]]), r"caption 0: the key has no model \['cc'\]"),
        (ranked(["aa", "bb"]), "caption 0: must rank all 3 models once"),
        (ranked(["aa", "bb", "bb"]), "caption 0: must rank all 3 models once"),
        (ranked("aa"), "is no file that the page saved"),
        (ranked(["aa", "bb", "cc"], caption=3), "is no file that the page saved"),
        (ranked(["aa", "bb", "cc"], ["cc", "bb", "aa"]), "ranks a caption twice"),
        (saved(rankings=[]), "a.json: no caption is ranked"),
    ],
)
def test_bad_answers(said, message, tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(
        said if isinstance(said, bytes) else (said if isinstance(said, str) else json.dumps(said)).encode()
    )
    with pytest.raises(UserError, match=message):
        human_rank.read_answers([file], STUDY)


def test_a_rater_counts_once(tmp_path):
    for name, rater in ("a", "ann"), ("b", "bob"), ("c", "ann"):
        (tmp_path / name).write_text(json.dumps(saved(rater=rater)))
    both = human_rank.read_answers([tmp_path / "a", tmp_path / "b"], STUDY)
    assert [answers.rater for answers in both] == ["ann", "bob"] and both[0].rankings == {0: ["bb", "aa", "cc"]}
    with pytest.raises(UserError, match="c: is of the same rater as .*a; give the later one only"):
        human_rank.read_answers([tmp_path / name for name in "abc"], STUDY)


@pytest.mark.parametrize("said", [saved(), [], {"id": "x", "models": [], "captions": []}])
def test_bad_keys(said, tmp_path):
    (tmp_path / "key.json").write_text(json.dumps(said))
    with pytest.raises(UserError, match="key.json: is no key.json of a study"):
        human_rank.read_key(tmp_path / "key.json")


# the page


def test_names_tell_runs_apart(tmp_path):
    runs = [tmp_path / name for name in ("one/v2", "two/v2")]
    assert list(human_rank.named([*runs])) == ["one/v2", "two/v2"]
    assert human_rank.named([runs[0], tmp_path / "v1"]) == {"v2": runs[0], "v1": tmp_path / "v1"}
    assert list(human_rank.named([*runs, tmp_path / "v1"])) == ["one/v2", "two/v2", "v1"]
    with pytest.raises(UserError, match="given twice"):
        human_rank.named([runs[0], tmp_path / "two/../one/v2"])


def test_the_page_is_blind_whole_and_lossless(tmp_path):
    pictures = pictures_of()
    page, key = human_rank.make_study(pictures, CAPTIONS, tmp_path / "new/study")
    study, html = human_rank.read_key(key), page.read_text()
    assert not [name for name in NAMES if name in html], "no name of a model is in the page"
    code = re.sub(r"data:image/png;base64,[\w+/=]+", "", html)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|src=|href=\"(?!data:)", code), "nor anything to be fetched"
    assert sorted(study.models.values()) == sorted(NAMES) and study.captions == CAPTIONS
    given = in_page(html)
    assert given["id"] == study.id and [item["caption"] for item in given["items"]] == CAPTIONS
    assert all(list(item["pictures"]) == sorted(study.models) for item in given["items"]), "in no order that tells"
    for token, name in study.models.items():
        for i, item in enumerate(given["items"]):
            np.testing.assert_array_equal(decoded(item["pictures"][token]), pictures[name][i])


def decoded(uri):
    header, _, data = uri.partition(",")
    assert header == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_nothing_is_overwritten(tmp_path):
    page, key = human_rank.make_study(pictures_of(), CAPTIONS, tmp_path)
    for gone, message in (key, "holds the index.html of a study"), (page, "holds the key.json of a study"):
        kept = gone.read_bytes()
        gone.unlink()
        with pytest.raises(UserError, match=message):
            human_rank.make_study(pictures_of(), CAPTIONS, tmp_path)
        gone.write_bytes(kept)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        human_rank.make_study(pictures_of(), CAPTIONS, tmp_path / "file")


# the page in a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


class Rater:
    """Somebody in front of the page."""

    def __init__(self, browser, page: Path):
        self.browser = browser
        browser.get("about:blank")
        browser.get_log("performance")  # reading it empties it
        browser.get(page.as_uri())

    def one(self, selector):
        return self.browser.find_element("css selector", selector)

    @property
    def shown(self):
        """The tokens of the pictures from left to right."""
        found = self.browser.find_elements("css selector", "#pictures button")
        return [button.get_attribute("data-token") for button in found]

    @property
    def badges(self):
        return [badge.text for badge in self.browser.find_elements("css selector", "#pictures b")]

    def click(self, token):
        self.one(f"[data-token='{token}']").click()

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    def saved(self, button):
        """The name and the text of the file that a button saves."""
        self.one(button).click()
        deadline = time.time() + 20
        while not (files := list(self.browser.downloads.glob("*.json"))) and time.time() < deadline:
            time.sleep(0.05)
        (file,) = files
        text = file.read_text()
        file.unlink()
        return file.name, text

    def requested(self):
        """The kinds of the addresses that the page asked for."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return {params["request"]["url"].split(":")[0] for params in sent}


def test_a_rater_from_the_first_click_to_the_table(browser, tmp_path):
    from selenium.webdriver import Keys

    page, key = human_rank.make_study(pictures_of(), CAPTIONS, tmp_path)
    study, rater, said = human_rank.read_key(key), Rater(browser, page), {}
    assert browser.title == "Rank the pictures" and rater.one("#place").text == "1 of 4"

    # the first by clicks; a click on a picked one takes it back
    a, b, c = rater.shown
    said[rater.one("#caption").text] = [c, a, b]
    for token in (b, b, c, a):
        rater.click(token)
    assert rater.badges == ["2nd", "", "1st"] and not rater.one("#next").is_enabled()
    rater.press(Keys.ENTER)
    assert rater.one("#place").text == "1 of 4", "one is not ranked yet"
    rater.click(b)
    assert rater.badges == ["2nd", "3rd", "1st"]
    rater.one("#next").click()

    # the second by keys, with undo by key and by button
    a, b, c = rater.shown
    said[rater.one("#caption").text] = [b, c, a]
    rater.press("2", "1", Keys.BACKSPACE, "9", "3", "1")
    assert rater.badges == ["3rd", "1st", "2nd"]
    rater.one("#undo").click()
    assert rater.badges == ["", "1st", "2nd"]
    rater.press("1", Keys.ENTER)
    assert rater.one("#place").text == "3 of 4"

    # the third is begun; after a reload it goes on there, with the same order
    order, third = rater.shown, rater.one("#caption").text
    rater.press("3")
    browser.refresh()
    assert (rater.one("#place").text, rater.one("#caption").text) == ("3 of 4", third)
    assert rater.shown == order and rater.badges == ["", "", "1st"]
    early = json.loads(rater.saved("#early")[1])
    assert len(early["rankings"]) == 2, "what is not complete is not in the file"
    said[third] = [order[2], order[0], order[1]]
    rater.press("1", "2", Keys.ARROW_RIGHT)

    # the fourth; back to the first to think again
    a, b, c = rater.shown
    said[rater.one("#caption").text] = [a, b, c]
    assert rater.one("#next").text == "Finish"
    rater.press("123", *[Keys.ARROW_LEFT] * 4)
    assert rater.one("#place").text == "1 of 4" and rater.badges == ["2nd", "3rd", "1st"]
    first = rater.one("#caption").text
    rater.press(Keys.BACKSPACE, Keys.BACKSPACE, "2", "1", *[Keys.ARROW_RIGHT] * 5)
    said[first] = [said[first][0], said[first][2], said[first][1]]
    assert rater.one("#end").is_displayed() and not rater.one("#ask").is_displayed()
    assert rater.one("#place").text == "4 ranked"

    # what was clicked is what is counted
    name, text = rater.saved("#save")
    assert name in rater.one("#saved").text
    assert not [model for model in NAMES if model in text + browser.page_source]
    told = json.loads(text)
    assert name == f"human-rank-{study.id}-{told['rater']}.json" and early["rater"] == told["rater"]
    (tmp_path / name).write_text(text)
    (answers,) = human_rank.read_answers([tmp_path / name], study)
    assert {study.captions[i]: order for i, order in answers.rankings.items()} == said
    means = {
        study.models[token]: np.mean([order.index(token) + 1 for order in said.values()]) for token in study.models
    }
    rows = [line.split()[:2] for line in human_rank.table(study, [answers]).splitlines()[1:4]]
    assert {name: float(mean) for name, mean in rows} == {name: round(mean, 2) for name, mean in means.items()}
    assert rater.requested() == {"file", "data"}, "no request leaves the machine"
    assert not browser.get_log("browser"), "no complaint of the browser"


def test_without_text_and_on_a_phone(browser, tmp_path):
    """No caption, no request to read one; two columns, nothing wider than the screen."""
    page, _ = human_rank.make_study(pictures_of(), [""] * 4, tmp_path)
    screen = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    rater = Rater(browser, page)
    assert not rater.one("#caption").is_displayed() and "sentence" not in rater.one("#question").text
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    tops = [button.rect["y"] for button in browser.find_elements("css selector", "#pictures button")]
    assert tops[0] == tops[1] < tops[2]
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_orders_are_even_and_differ_between_raters(browser, tmp_path):
    """Each model is as often in each place, for every rater another order, the same after each load."""
    page, _ = human_rank.make_study(pictures_of(), CAPTIONS, tmp_path)
    Rater(browser, page)
    orders = browser.execute_script(
        "const raters = [...Array(100)].map(newRater);"
        "return raters.map((r) => [...Array(30).keys()].map((i) => shuffled(['a', 'b', 'c'], `${r}/${i}`).join('')));"
    )
    assert len({tuple(of) for of in orders}) == 100
    shares = np.unique([order for of in orders for order in of], return_counts=True)[1] / 3000
    assert len(shares) == 6 and np.abs(shares - 1 / 6).max() < 0.03, "all six, about as often"
    same = browser.execute_script("return [0, 1].map(() => shuffled([...Array(50).keys()], state.rater).join())")
    assert same[0] == same[1]


# the programs


def test_runs_become_a_page_and_files_a_table(tmp_path, shapes_data_dir):
    for name, family in ("a/run", "v2"), ("b/run", "v2"), ("stage1", "v1_stage1"):
        save_run(tmp_path / name, tiny_config(family))
    flags = ["--runs=a/run,b/run,stage1", "--captions=3", "--seed=5", "--out=study", f"--data_dir={shapes_data_dir}"]
    result = run("human_rank", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "study/index.html: 3 x 3 pictures" in result.stdout and "study/key.json: keep it" in result.stdout
    study = human_rank.read_key(tmp_path / "study/key.json")
    assert sorted(study.models.values()) == ["a/run", "b/run", "stage1"] and all(study.captions)
    items = in_page((tmp_path / "study/index.html").read_text())["items"]
    for token, name in study.models.items():
        drawn = np.stack([decoded(item["pictures"][token]) for item in items]).astype(int)
        ours = load_generator(tmp_path / name)(study.captions, seed=5)
        np.testing.assert_allclose(drawn, ours[max(ours)], atol=1, err_msg=name)

    (tmp_path / "answers").mkdir()
    for rater in ("ann", "bob"):
        said = {
            "study": study.id,
            "rater": rater,
            "rankings": [{"caption": i, "order": [*study.models]} for i in (0, 2)],
        }
        (tmp_path / f"answers/{rater}.json").write_text(json.dumps(said))
    result = run("human_rank", "--results=answers/*.json", "--key=study/key.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:4]] == [
        [name, f"{rank}.00"] for rank, name in enumerate(study.models.values(), start=1)
    ]


def test_runs_that_cannot_be_compared(tmp_path, shapes_data_dir):
    sections = {
        "text": {},
        "same": {},
        "no_text": {"model": {"conditional": False}},
        "birds": {"data": {"dataset": "cub"}},
        "unknown": {"data": {"dataset": ""}},
    }
    for name, changes in sections.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(configs.dump(tiny_config(**changes)))
    for names, count, message in (
        (["text", "no_text"], 3, "text and no_text: one draws with text, one without"),
        (["text", "birds"], 3, "text is of the data set 'shapes', birds of 'cub'; compare"),
        (["text", "unknown"], 3, "unknown of ''; compare"),
        (["text", "nothing"], 3, "nothing: not a run directory"),
        (["text", "same"], 10**6, "--captions=1000000: the test split of shapes has .* images only"),
        (["text", "same"], 3, "text: has no checkpoint yet"),
    ):
        with pytest.raises(UserError, match=message):
            human_rank.draw({name: tmp_path / name for name in names}, count, 0, shapes_data_dir)


def test_runs_without_text_draw_from_the_same_noise(tmp_path):
    save_run(tmp_path / "run", tiny_config(model={"conditional": False}))
    pictures, captions = human_rank.draw(dict.fromkeys(("one", "two"), tmp_path / "run"), 5, 3, tmp_path / "none")
    assert captions == [""] * 5 and pictures["one"].shape == (5, 16, 16, 3) and not (tmp_path / "none").exists()
    np.testing.assert_array_equal(pictures["one"], pictures["two"])
    assert np.any(pictures["one"][0] != pictures["one"][1])


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "--runs, --results: give --runs to make a page, or --results"),
        (["--runs=a,b", "--results=a.json"], "--runs, --results: give --runs to make a page, or --results"),
        (["--runs=a,b"], "--out is missing"),
        (["--runs=a", "--out=study"], "--runs=a: give 2 to 9 run directories"),
        ([f"--runs={','.join('abcdefghij')}", "--out=study"], "give 2 to 9 run directories"),
        (["--runs=a,./a", "--out=study"], "--runs=a,a: one of them is given twice"),
        (["--runs=a,b", "--out=study", "--captions=0"], "--captions=0: must be at least 1"),
        (["--runs=a,b", "--out=study", "--seed=-1"], "--seed=-1: must be at least 0"),
        (["--runs=a,b", "--out=full"], "--out=full: holds the key.json of a study"),
        (["--results=a.json"], "--key is missing"),
        (["--results=*.txt", "--key=full/key.json"], "--results=*.txt: no such file"),
        (["--results=full", "--key=full/key.json"], "full: cannot be read (Is a directory)"),
        (["--results=full/*", "--key=none.json"], "none.json: cannot be read (No such file or directory)"),
        (["--results=full/key.json", "--key=full/key.json"], "full/key.json: is no file that the page saved"),
    ],
)
def test_mistakes_are_one_line(flags, message, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/key.json").write_text(json.dumps(STUDY._asdict()))
    assert message in refused(run("human_rank", *flags, cwd=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
