"""Draws pictures for sentences with a model that a server has: TensorFlow Serving, see export/tf_serving.

    python -m stackgan_tf.client --host=localhost --model=oxford102_v2 --text="this flower has pink petals"
    python -m stackgan_tf.client --host=localhost --model=birds --embeddings=birds.npy --protocol=rest --label=stable

The pictures are those of `stackgan_tf.sample` with the same run, sentences and seed. A sentence in which the text
encoder knows no word, which `sample` refuses, is drawn: only the server could tell.
"""

from absl import flags

from stackgan_tf import pictures, program, serving
from stackgan_tf.errors import UserError
from stackgan_tf.noise import MAX_SEED
from stackgan_tf.remote import RemoteArtist

FLAGS = flags.FLAGS
flags.DEFINE_string("host", None, "The server, HOST or HOST:PORT; by itself the port is 8500 of grpc, 8501 of rest.")
flags.DEFINE_string("model", None, "The model's name on the server.")
flags.DEFINE_integer("version", None, "Of the model; by default the newest that the server has.", 0, 2**63 - 1)
flags.DEFINE_string("label", None, "In place of --version: a label of the server's, as stable.")
flags.DEFINE_string("protocol", "grpc", "A module of stackgan_tf/serving: grpc or rest.")
flags.DEFINE_multi_string("text", [], "A sentence to draw. May be repeated.")
flags.DEFINE_string("embeddings", None, "In place of --text: text embeddings, a .npy file of [N, T] float32.")
flags.DEFINE_integer("seed", 0, "Of the noise: the same seed, the same pictures.", 0, MAX_SEED)
flags.DEFINE_integer("num", 1, "Pictures for each sentence.")
flags.DEFINE_float("truncation", 1.0, "The noise is multiplied by it: 1 as trained, 0 the mean picture.", 0, 1)
flags.DEFINE_integer("batch_size", 8, "Pictures of one request; a server may limit it.")
flags.DEFINE_float("deadline_seconds", 60.0, "Of one request with all of its retries.")
flags.DEFINE_string("out", "pictures.png", "The picture file: every scale, captions underneath.")

DAY = 86_400  # seconds


def main() -> int:
    """Flags in, one picture file out; the exit code."""
    if not FLAGS.host:
        raise UserError("--host is missing: the server, as in localhost:8500")
    if not FLAGS.model:
        raise UserError("--model is missing: the model's name on the server")
    program.check_at_least(num=1, batch_size=1)
    if not 0 < FLAGS.deadline_seconds <= DAY:
        raise UserError(f"--deadline_seconds={FLAGS.deadline_seconds}: must be above 0, at most {DAY}")
    address = serving.Address(FLAGS.host, FLAGS.model, FLAGS.version, FLAGS.label)
    out = pictures.file_to_write(FLAGS.out)
    asked, captions = pictures.asked(FLAGS.text, FLAGS.embeddings, FLAGS.num)
    if FLAGS.protocol == "grpc":  # brings TensorFlow along
        program.load_tensorflow()
    artist = RemoteArtist(serving.connect(FLAGS.protocol, address, FLAGS.deadline_seconds))
    pictures.save(artist(asked, FLAGS.seed, FLAGS.truncation, FLAGS.batch_size), captions, out)
    return 0


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
