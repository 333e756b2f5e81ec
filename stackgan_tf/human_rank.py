"""Asks people which model draws best: a web page to rank pictures on, and a table of what they said.

    python -m stackgan_tf.human_rank --runs=runs/a,runs/b,runs/c --captions=30 --out=study
    python -m stackgan_tf.human_rank --results='answers/*.json' --key=study/key.json

The first command writes study/index.html, one file that needs no server, and study/key.json. Send the page to the
raters and keep the key: it alone tells whose pictures are whose. Each rater ranks the pictures of a caption from best
to worst and sends back the file that the page saves. The second command reads these and prints each model's mean rank.
"""

import glob
import sys
from pathlib import Path

from absl import flags

from stackgan_tf import program
from stackgan_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_list("runs", [], "Run directories, 2 to 9: all with text, or all without; of one data set.")
flags.DEFINE_integer("captions", 20, "Captions of the test split; without text, pictures of each run.")
flags.DEFINE_string("out", None, "The folder of the page and its key.")
flags.DEFINE_integer("seed", 0, "Of the noise, the same for all runs.")
flags.DEFINE_string("source_dir", None, "As in stackgan_tf.train.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Where prepared data sets are kept.")
flags.DEFINE_list("results", [], "Files that the page saved; patterns such as answers/*.json are files as well.")
flags.DEFINE_string("key", None, "With --results: the key.json that was written with the page.")


def main() -> int:
    """Flags in, a page or a table out; the exit code."""
    if bool(FLAGS.runs) == bool(FLAGS.results):
        raise UserError("--runs, --results: give --runs to make a page, or --results to read what it saved")
    return _results() if FLAGS.results else _page()


def _page() -> int:
    if not FLAGS.out:
        raise UserError("--out is missing: the folder of the page, as in --out=study")
    program.check_at_least(captions=1, seed=0)
    from stackgan_tf.evaluation import human_rank

    out = Path(FLAGS.out).expanduser()
    runs = human_rank.named([Path(run).expanduser() for run in FLAGS.runs])
    human_rank.check_free(out)
    program.load_tensorflow()
    source_dir = Path(FLAGS.source_dir) if FLAGS.source_dir else None
    pictures, captions = human_rank.draw(runs, FLAGS.captions, FLAGS.seed, Path(FLAGS.data_dir), source_dir)
    page, key = human_rank.make_study(pictures, captions, out)
    sys.stdout.write(f"{page}: {len(captions)} x {len(runs)} pictures; send it to the raters\n{key}: keep it\n")
    return 0


def _results() -> int:
    if not FLAGS.key:
        raise UserError("--key is missing: the key.json that was written with the page")
    from stackgan_tf.evaluation import human_rank

    study = human_rank.read_key(Path(FLAGS.key).expanduser())
    files = [file for pattern in FLAGS.results for file in _files(pattern)]
    sys.stdout.write(human_rank.table(study, human_rank.read_answers(files, study)))
    return 0


def _files(pattern: str) -> list[Path]:
    plain = Path(pattern).expanduser()
    found = [plain] if plain.exists() else [Path(file) for file in sorted(glob.glob(str(plain)))]
    if not found:
        raise UserError(f"--results={pattern}: no such file")
    return found


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
