"""Makes a run directory from published PyTorch weights, and writes a run's generator as such a file.

python -m stackgan_tf.import_checkpoint --from=stackgan_v2 --generator=netG_210000.pth --run_dir=runs/birds
python -m stackgan_tf.import_checkpoint --run_dir=runs/oxford102_v2 --to_torch=netG_165000.pth

Needs PyTorch: pip install "stackgan_tf[torch]". Only tensors are read, no code in a file is ever run.
"""

import sys
from pathlib import Path

from absl import flags

from stackgan_tf import program
from stackgan_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("from", None, "Whose code the files are of: stackgan_v1 or stackgan_v2.")
flags.DEFINE_string("generator", None, "The published netG_*.pth. That of Stage-II holds its Stage-I.")
flags.DEFINE_list("discriminators", [], "The netD*.pth of all scales, where training shall go on from them too.")
flags.DEFINE_multi_string(
    "set",
    [],
    "Sets a field that the files do not tell, such as data.dataset, where training shall go on. May be repeated.",
)
flags.DEFINE_string("run_dir", None, "The run directory to make, or with --to_torch the one to read.")
flags.DEFINE_string(
    "to_torch", None, "Write the averaged generator of --run_dir to this file, under the published names."
)

FAMILIES = ("stackgan_v1", "stackgan_v2")


def main() -> int:
    """Flags in, a run directory or a PyTorch file out; the exit code."""
    if not FLAGS.run_dir:
        raise UserError("--run_dir is missing: the run directory to make, or with --to_torch the one to read")
    run_dir = Path(FLAGS.run_dir).expanduser()
    if FLAGS.to_torch:
        for name in ("from", "generator", "discriminators", "set"):
            if FLAGS[name].value:
                raise UserError(f"--{name}: reads other people's files, --to_torch writes one; give one of the two")
        program.load_tensorflow()
        from stackgan_tf.interop.exchange import export_run

        out = Path(FLAGS.to_torch).expanduser()
        step = export_run(run_dir, out)
        sys.stdout.write(f"{out}: the averaged generator of step {step}\n")
        return 0
    if FLAGS["from"].value not in FAMILIES:
        raise UserError(f"--from={FLAGS['from'].value}: must be one of {', '.join(FAMILIES)}")
    if not FLAGS.generator:
        raise UserError("--generator is missing: the published netG_*.pth")
    program.load_tensorflow()
    from stackgan_tf.interop.exchange import import_run

    files = [Path(file).expanduser() for file in FLAGS.discriminators]
    config = import_run(FLAGS["from"].value, Path(FLAGS.generator).expanduser(), files, run_dir, FLAGS.set)
    sides = ", ".join(map(str, config.scales))
    sys.stdout.write(f"{run_dir}: {config.model.name}, gf {config.model.gf}, draws {sides} pixels\n")
    if config.model.conditional:
        sys.stdout.write(
            f"It understands embeddings of the text encoder that it was trained with, size {config.data.text_size}: "
            f"give them to stackgan_tf.sample as --embeddings=FILE.npy, or name their table when you import, as in "
            f"--set data.text_path=birds/test/char-CNN-RNN-embeddings.pickle\n"
        )
    return 0


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
