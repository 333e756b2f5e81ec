"""Does a long run stay as it began? Trains for hours, and tells of its memory, speed and open files on the way.

    python benchmarks/soak.py --minutes=120 --run_dir=runs/soak --train="--dataset=shapes --steps=1000000"

stackgan_tf.train gets these flags, and is told to stop by SIGTERM at the end. Steps by seconds of processor time say
more than those by seconds where other work goes on beside. Of the resident memory (RSS) a part is pages of files, the
data among them, which the kernel takes back at will: what leaks is in the rest. Linux only: it reads /proc.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from absl import flags

from stackgan_tf import program

FLAGS = flags.FLAGS
flags.DEFINE_integer("minutes", 120, "How long to train.", lower_bound=1)
flags.DEFINE_integer("every", 10, "Minutes between two lines of the table.", lower_bound=1)
flags.DEFINE_string("run_dir", "runs/soak", "As in stackgan_tf.train.")
flags.DEFINE_string("train", None, "The other flags of stackgan_tf.train, as in a shell.", required=True)

HEAD = "| minute | step | steps/s | steps/s of processor time | RSS, MB | without files' pages | open files | threads |"


class Sight(NamedTuple):
    """A process as it is at one moment."""

    seconds: float
    processor_seconds: float
    step: int
    resident_mb: float
    own_mb: float  # of these, not pages of files
    files: int
    threads: int


def sight(pid: int, metrics: Path) -> Sight:
    """What the kernel and the run's metrics tell now.

    Raises:
        FileNotFoundError: the process is gone.
    """
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    times = (process / "stat").read_text().rpartition(")")[2].split()
    logged = metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []
    return Sight(
        seconds=time.monotonic(),
        processor_seconds=sum(map(int, times[11:13])) / os.sysconf("SC_CLK_TCK"),
        step=json.loads(logged[-1])["step"] if logged else 0,
        resident_mb=int(status["VmRSS"].split()[0]) * 1024 / 1e6,
        own_mb=int(status["RssAnon"].split()[0]) * 1024 / 1e6,
        files=len(os.listdir(process / "fd")),
        threads=int(status["Threads"]),
    )


def row(began: float, before: Sight, now: Sight) -> str:
    """A line of the table: speeds since the line before."""
    steps, seconds = now.step - before.step, now.seconds - before.seconds
    speeds = f"{steps / seconds:.3g} | {steps / (now.processor_seconds - before.processor_seconds):.3g}"
    memory = f"{now.resident_mb:.0f} | {now.own_mb:.0f}"
    return f"| {(now.seconds - began) / 60:.0f} | {now.step} | {speeds} | {memory} | {now.files} | {now.threads} |"


def main() -> int:
    """The table, a line as soon as it is known; the exit code of the training."""
    program.check_at_least(minutes=FLAGS.every)
    metrics = Path(FLAGS.run_dir).expanduser() / "metrics.jsonl"
    command = [sys.executable, "-m", "stackgan_tf.train", f"--run_dir={FLAGS.run_dir}", *shlex.split(FLAGS.train)]
    print(HEAD + "\n" + "| ---: " * (HEAD.count("|") - 1) + "|", flush=True)
    training = subprocess.Popen(command)
    began = time.monotonic()
    before = sight(training.pid, metrics)
    for line in range(1, FLAGS.minutes // FLAGS.every + 1):
        try:
            training.wait(max(0, began + line * FLAGS.every * 60 - time.monotonic()))
            break
        except subprocess.TimeoutExpired:
            now = sight(training.pid, metrics)
            print(row(began, before, now), flush=True)
            before = now
    training.send_signal(signal.SIGTERM)
    return training.wait()


if __name__ == "__main__":
    program.run(main)
