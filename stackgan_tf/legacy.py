"""Files that the authors of StackGAN and Reed et al. published: pickles of Python 2, and captions as Torch7 tensors.

Every reader raises UserError for a file that cannot be read, is damaged, or holds anything but what it returns. None
trusts the file: a pickle gets stand-ins for all functions and classes that it names, so that it can run and change
nothing. numpy's own will not do, since `dtype.__setstate__` lets a pickle pass off its bytes as pointers.
"""

import pickle
import re
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from stackgan_tf.errors import UserError

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "
"""The 70 characters of the char-CNN-RNN, in its order. Source: Reed et al., CVPR 2016; released code."""
NUMBERS = frozenset("b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split())  # types of the arrays that a pickle may hold
TENSORS = {"Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Float": "<f4", "Double": "<f8"}
TORCH_OBJECT = 4  # what File.lua puts before one
CRLF = re.compile(rb".*(\(lp\d+|cnumpy[\w.]*)\r\n", re.DOTALL)  # first line of a pickle with changed line ends


def read_filenames(path: Path) -> list[str]:
    """The name of each image, as in `filenames.pickle`: `<class folder>/<file>` without extension."""
    names = read_pickle(path)
    if not isinstance(names, list) or not names:
        raise UserError(f"{path}: holds {_kind(names)}; must be a list of image names")
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name or name != name.strip() or {"", ".."} & set(name.split("/")):
            raise UserError(f"{path}: entry {place} is {name!r:.80}; must be <folder>/<image> without extension")
    return names


def read_class_info(path: Path) -> np.ndarray:
    """The class of each image as the authors count it (birds: from 1), as in `class_info.pickle`: int64 [N]."""
    classes = _array(path)
    if classes.ndim != 1 or not classes.size or classes.dtype.kind not in "iu" or classes.min() < 0:
        raise UserError(f"{path}: holds {_kind(classes)}; must be a list of whole numbers from 0, one an image")
    return classes.astype(np.int64)


def read_embeddings(path: Path) -> np.ndarray:
    """The embeddings of each image's captions, as in `char-CNN-RNN-embeddings.pickle`: float32 [N, captions, size]."""
    embeddings = _array(path)
    if embeddings.ndim != 3 or not embeddings.size or embeddings.dtype.kind != "f":
        raise UserError(f"{path}: holds {_kind(embeddings)}; must be floats [images, captions, size]")
    embeddings = embeddings.astype(np.float32, copy=False)
    if not np.isfinite(embeddings).all():
        raise UserError(f"{path}: holds embeddings that are not finite as float32; get it again")
    return embeddings


def read_images(path: Path) -> list[np.ndarray]:
    """The images, as in `76images.pickle` and `304images.pickle`: each uint8 [height, width, 3], read-only."""
    value = read_pickle(path)
    images = list(value) if isinstance(value, list) or getattr(value, "ndim", 0) else []
    if not images:
        raise UserError(f"{path}: holds {_kind(value)}; must be a list of images")
    for place, image in enumerate(images):
        if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size):
            raise UserError(f"{path}: image {place} is {_kind(image)}; must be uint8 [height, width, 3]")
    return images


def t7_captions(path: Path) -> list[list[str]]:
    """The captions of a class as Reed et al. encoded them, image by image in the order of the sorted image names.

    The file, [images, 201, captions], has 201 characters of each at most; what is not in the alphabet comes as a blank.
    """
    codes = read_t7(path)
    fits = codes.ndim == 3 and codes.size and codes.dtype.kind in "iu"
    if not fits or codes.min() < 0 or codes.max() > len(ALPHABET):
        raise UserError(f"{path}: holds {_kind(codes)}; must be places in the alphabet [images, characters, captions]")
    characters = " " + ALPHABET
    return [["".join(characters[code] for code in column).strip() for column in image.T.tolist()] for image in codes]


def read_pickle(path: Path) -> Any:
    """Lists and tuples of text, numbers and arrays of numbers, as Python 2 or 3 wrote them (protocols 0 to 4)."""
    try:
        with path.open("rb") as file:
            if CRLF.fullmatch(file.readline()):
                raise UserError("its line ends were changed to CRLF, which breaks a pickle; get it again as binary")
            file.seek(0)
            return _plain(_Unpickler(file, encoding="latin1").load())
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # whatever the bytes of a damaged file lead to
        raise UserError(f"{path}: no pickle, damaged, or too large ({type(error).__name__}); get it again") from None


def read_t7(path: Path) -> np.ndarray:
    """One tensor, in Torch7's binary format. Source: torch7, `File.lua`, `generic/Tensor.c`, `generic/Storage.c`."""
    try:
        return _tensor(BytesIO(path.read_bytes()))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, struct.error) as error:
        raise UserError(f"{path}: is no Torch7 file of one whole tensor ({error}); get it again") from None


class _Dtype:
    """Stands in for `numpy.dtype`."""

    def __init__(self, code: str) -> None:
        if code not in NUMBERS:
            raise UserError(f"holds an array of type {code!r:.20}; only arrays of numbers are read")
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.value = self.value.newbyteorder(state[1])


class _Array:
    """Stands in for `numpy.ndarray`."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _numbers(dtype, data).reshape(shape, order="F" if fortran else "C")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """A stand-in, each time a new one, since a pickle may set attributes of what it is given."""
        stand_ins = {
            "numpy.ndarray": None,
            "numpy.dtype": lambda code, *_: _Dtype(code),
            "numpy.core.multiarray._reconstruct": lambda *_: _Array(),
            "numpy.core.multiarray.scalar": lambda dtype, data: _numbers(dtype, data)[0],
            "_codecs.encode": lambda text, _: text.encode("latin1"),
            "__builtin__.bytes": lambda: b"",
        }
        asked = f"{module}.{name}".replace("numpy._core.", "numpy.core.")
        if asked not in stand_ins:
            raise UserError(f"asks for {asked!r:.80}; refused and not run, as only text, numbers and arrays are read")
        return stand_ins[asked]


def _numbers(dtype: Any, data: Any) -> np.ndarray:
    """The numbers in bytes, or in text, which bytes of Python 2 become."""
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError("an array without type")
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype.value)


def _plain(value: Any) -> Any:
    """The value with arrays in place of their stand-ins."""
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    if isinstance(value, _Array):
        return value.value
    if not isinstance(value, str | bytes | int | float | np.generic):
        raise UserError(f"holds {_kind(value)}; only text, numbers, arrays and lists of these are read")
    return value


def _array(path: Path) -> np.ndarray:
    value = read_pickle(path)
    try:
        return np.asarray(value)
    except ValueError:
        shapes = sorted({item.shape for item in value if isinstance(item, np.ndarray)})
        raise UserError(f"{path}: its entries differ in shape, such as {shapes[:2]}; all must have the same") from None


def _kind(value: Any) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def _tensor(file: BytesIO) -> np.ndarray:
    dtype = _torch_object(file, "Tensor")
    (axes,) = _take(file, "i")
    sizes, strides, (start,) = _take(file, f"{axes}q"), _take(file, f"{axes}q"), _take(file, "q")
    if _torch_object(file, "Storage") != dtype:
        raise ValueError("a storage of another type")
    (count,) = _take(file, "q")
    tensor = np.frombuffer(file.read(), dtype, count).reshape(sizes)
    if start != 1 or (tensor.shape, tensor.strides) != (sizes, tuple(tensor.itemsize * stride for stride in strides)):
        raise ValueError("a view of another tensor")
    return tensor


def _torch_object(file: BytesIO, what: str) -> str:
    tag, _, length = _take(file, "3i")
    version, (length,) = file.read(length), _take(file, "i")
    name = file.read(length).decode("latin1")
    kind = name.removeprefix("torch.").removesuffix(what)
    if tag != TORCH_OBJECT or version != b"V 1" or name != f"torch.{kind}{what}" or kind not in TENSORS:
        raise ValueError(f"{name!r:.40} where a {what} should be")
    return TENSORS[kind]


def _take(file: BytesIO, form: str) -> tuple[int, ...]:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))
