"""The published pickles and .t7 files: read as they are, refused where they are damaged or want to run something."""

import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from stackgan_tf import legacy
from stackgan_tf.errors import UserError

REAL = Path(__file__).parents[2] / "shared/data"
T7 = "oxford102/text_c10/class_00002.t7"

# What Python 2.7 with numpy 1.16 writes.
P2_CLASSES = (
    b"(lp0\ncnumpy.core.multiarray\nscalar\np1\n(cnumpy\ndtype\np2\n(S'i8'\np3\nI0\nI1\ntp4\nRp5\n(I3\nS'<'\np6\n"
    b"NNNI-1\nI-1\nI0\ntp7\nbS'\\x02\\x00\\x00\\x00\\x00\\x00\\x00\\x00'\np8\ntp9\nRp10\nag1\n(g5\n"
    b"S'\\x05\\x00\\x00\\x00\\x00\\x00\\x00\\x00'\np11\ntp12\nRp13\na."
)
P2_CLASSES_BINARY = (
    b"\x80\x02]q\x01(cnumpy.core.multiarray\nscalar\nq\x02cnumpy\ndtype\nq\x03U\x02i8K\x00K\x01\x87Rq\x04(K\x03U\x01<"
    b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbU\x08\x02\x00\x00\x00\x00\x00\x00\x00\x86Rq\x05"
    b"h\x02h\x04U\x08\x05\x00\x00\x00\x00\x00\x00\x00\x86Rq\x06e."
)
P2_FLOATS = (
    b"(lp0\ncnumpy.core.multiarray\n_reconstruct\np1\n(cnumpy\nndarray\np2\n(I0\ntp3\nS'b'\np4\ntp5\nRp6\n(I1\n(I2\n"
    b"I3\ntp7\ncnumpy\ndtype\np8\n(S'f4'\np9\nI0\nI1\ntp10\nRp11\n(I3\nS'<'\np12\nNNNI-1\nI-1\nI0\ntp13\nbI00\n"
    b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\x80?\\x00\\x00\\x00@\\x00\\x00@@\\x00\\x00\\x80@\\x00\\x00\\xa0@'\np14\ntp15\nba."
)
P2_BIG_ENDIAN = (
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02U\x01bq\x03\x87q\x04Rq\x05"
    b"(K\x01K\x02\x85q\x06cnumpy\ndtype\nq\x07U\x02f8q\x08K\x00K\x01\x87q\tRq\n(K\x03U\x01>q\x0bNNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK\x00tq\x0cb\x89U\x10\x00\x00\x00\x00\x00\x00\x00\x00?\xf0\x00\x00\x00\x00\x00\x00q\rtq\x0eb."
)
P2_FORTRAN = (
    b"cnumpy.core.multiarray\n_reconstruct\np1\n(cnumpy\nndarray\np2\n(I0\ntS'b'\ntRp3\n(I1\n(I2\nI3\ntcnumpy\ndtype\n"
    b"p4\n(S'u1'\nI0\nI1\ntRp5\n(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI01\nS'\\x00\\x03\\x01\\x04\\x02\\x05'\ntb."
)
P2_NAMES = b"(lp0\nS'a/b'\np1\naVc/d\np2\na."
PUBLISHED = {
    "classes": (P2_CLASSES, [2, 5]),
    "classes_binary": (P2_CLASSES_BINARY, [2, 5]),
    "floats": (P2_FLOATS, [np.arange(6, dtype="f4").reshape(2, 3)]),
    "big_endian": (P2_BIG_ENDIAN, np.array([0.0, 1.0])),
    "fortran": (P2_FORTRAN, np.arange(6, dtype="u1").reshape(2, 3)),
    "names": (P2_NAMES, ["a/b", "c/d"]),
}


def real(name):
    if not (REAL / name).exists():
        pytest.skip(f"the published {name} is not beside the repository")
    return REAL / name


def saved(folder, content, protocol=2):
    """A file of these bytes, or of this value pickled."""
    path = folder / "file.pickle"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


def refusal(read, path):
    """The one line of a UserError, which names the file."""
    with pytest.raises(UserError) as error:
        read(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and len(message.splitlines()) == 1 and len(message) < 400, message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "folder, count, classes",
    [
        ("cub/full_lists/train", 8855, 150),
        ("cub/full_lists/test", 2933, 50),
        ("cub/train", 561, 33),
        ("cub/test", 289, 17),
    ],
)
def test_the_published_lists(folder, count, classes):
    names = legacy.read_filenames(real(f"{folder}/filenames.pickle"))
    info = legacy.read_class_info(real(f"{folder}/class_info.pickle"))
    assert len(set(names)) == len(names) == len(info) == count and len(set(info)) == classes
    assert info.dtype == np.int64 and [int(name[:3]) for name in names] == info.tolist()


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_python_2_wrote(tmp_path, name):
    content, expected = PUBLISHED[name]
    value = legacy.read_pickle(saved(tmp_path, content))
    assert type(value) is type(expected) and np.array_equal(value, expected)
    theirs = pickle.loads(content, encoding="latin1")  # numpy's own
    assert np.asarray(value).dtype.str[1:] == np.asarray(theirs).dtype.str[1:] and np.array_equal(value, theirs)


@pytest.mark.parametrize("protocol", range(5))
def test_what_python_3_writes(tmp_path, protocol):
    numbers = np.random.default_rng(0).integers(0, 2, (3, 4, 2))
    arrays = [numbers.astype(code) for code in sorted(legacy.NUMBERS)] + [numbers.T, numbers[::2], numbers[:, :0]]
    arrays += [numbers.astype(">i4"), np.float32(1.5), np.array(7), np.bool_(True), (b"\xff\r\n", "\u2019", 2**70, 0.1)]
    for value, expected in zip(legacy.read_pickle(saved(tmp_path, arrays, protocol)), arrays, strict=True):
        assert type(value) is type(expected)
        if isinstance(value, tuple):
            assert value == expected
        else:
            assert value.dtype == expected.dtype and value.shape == expected.shape and (value == expected).all()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_typed_readers(tmp_path, protocol):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (side, 7, 3), np.uint8) for side in (5, 6)]
    for value in (images, np.stack([images[0]] * 2)):
        for read, expected in zip(legacy.read_images(saved(tmp_path, value, protocol)), value, strict=True):
            assert type(read) is np.ndarray and read.dtype == np.uint8 and np.array_equal(read, expected)
    embeddings = rng.standard_normal((3, 2, 4))
    for value in (embeddings, list(embeddings), list(embeddings.astype(np.float32))):
        read = legacy.read_embeddings(saved(tmp_path, value, protocol))
        assert read.dtype == np.float32 and np.array_equal(read, embeddings.astype(np.float32))
    for value in ([3, 1, 2], np.array([3, 1, 2], np.uint8), list(np.array([3, 1, 2]))):
        read = legacy.read_class_info(saved(tmp_path, value, protocol))
        assert read.dtype == np.int64 and read.tolist() == [3, 1, 2]
    assert legacy.read_filenames(saved(tmp_path, ["001.A/b_1", "c"], protocol)) == ["001.A/b_1", "c"]


@pytest.mark.parametrize(
    "read, value, message",
    [
        (legacy.read_filenames, [], "holds a list; must be a list of image names"),
        (legacy.read_filenames, "a/b", "holds a str"),
        (legacy.read_filenames, ["a/b", 3], "entry 1 is 3"),
        (legacy.read_filenames, ["a/b", ""], "entry 1 is ''"),
        (legacy.read_filenames, ["a/b\r"], r"entry 0 is 'a/b\r'"),
        (legacy.read_filenames, ["a/b", "../../secret"], "entry 1 is '../../secret'"),
        (legacy.read_filenames, ["/etc/secret"], "entry 0 is '/etc/secret'"),
        (legacy.read_class_info, [], "holds float64 [0]; must be a list of whole numbers"),
        (legacy.read_class_info, 3, "holds int64 []"),
        (legacy.read_class_info, [1, 2.5], "holds float64 [2]"),
        (legacy.read_class_info, [1, "two"], "must be a list of whole numbers"),
        (legacy.read_class_info, [[1, 2], [3, 4]], "holds int64 [2, 2]"),
        (legacy.read_class_info, [1, -2], "whole numbers from 0"),
        (legacy.read_class_info, [1, [2]], "entries differ in shape"),
        (legacy.read_embeddings, [np.ones((2, 4)), np.ones((3, 4))], "differ in shape, such as [(2, 4), (3, 4)]"),
        (legacy.read_embeddings, [np.ones((2, 4)), np.ones((2, 5))], "differ in shape, such as [(2, 4), (2, 5)]"),
        (legacy.read_embeddings, np.ones((3, 4)), "holds float64 [3, 4]; must be floats [images, captions, size]"),
        (legacy.read_embeddings, np.ones((3, 0, 4)), "holds float64 [3, 0, 4]"),
        (legacy.read_embeddings, np.ones((3, 2, 4), int), "holds int64 [3, 2, 4]"),
        (legacy.read_embeddings, [[["1.5"]]], "must be floats"),
        (legacy.read_embeddings, np.full((3, 2, 4), np.nan), "not finite"),
        (legacy.read_images, [], "holds a list; must be a list of images"),
        (legacy.read_images, np.uint8(3), "holds a uint8"),
        (legacy.read_images, [np.ones((4, 4, 3), np.uint8), np.ones((4, 4), np.uint8)], "image 1 is uint8 [4, 4]"),
        (legacy.read_images, np.ones((4, 4, 3), np.uint8), "image 0 is uint8 [4, 3]"),
        (legacy.read_images, np.ones((2, 4, 4, 1), np.uint8), "image 0 is uint8 [4, 4, 1]"),
        (legacy.read_images, [np.ones((0, 4, 3), np.uint8)], "image 0 is uint8 [0, 4, 3]"),
        (legacy.read_images, [np.ones((4, 4, 3))], "image 0 is float64 [4, 4, 3]; must be uint8 [height, width, 3]"),
        (legacy.read_images, ["a/b"], "image 0 is a str"),
        (legacy.read_pickle, [{}], "holds a dict"),
        (legacy.read_pickle, None, "holds a NoneType"),
        (legacy.read_pickle, [np.dtype("u1")], "holds a _Dtype"),
        (legacy.read_pickle, np.array([None, "x"]), "an array of type 'O8'"),
        (legacy.read_pickle, np.array(["x"]), "an array of type 'U1'"),
        (legacy.read_pickle, np.zeros(2, [("a", "u1")]), "an array of type 'V1'"),
    ],
)
def test_what_the_files_must_not_hold(tmp_path, read, value, message):
    assert message in refusal(read, saved(tmp_path, value))


class Malicious:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def code(trap):
    return f"__import__('os').mkdir({str(trap)!r})"


def array_file(trap):
    """A .npy file that is a pickle inside."""
    path = trap.with_suffix(".npy")
    np.save(path, np.array([Malicious(trap)]), allow_pickle=True)
    return path


def text(value):
    return f"V{value}\n".encode()


def word(name):
    return b"\x8c" + bytes([len(name)]) + name


# Each makes the folder `trap` when it is unpickled the usual way, with the name that must be refused.
HOSTILE = {
    "reduce": ("posix.mkdir", lambda trap: pickle.dumps(Malicious(trap), 2)),
    "in_a_list": ("posix.mkdir", lambda trap: pickle.dumps(["a/b", Malicious(trap)], 0)),
    "newest_protocol": ("posix.mkdir", lambda trap: pickle.dumps(Malicious(trap), pickle.HIGHEST_PROTOCOL)),
    "in_an_array": (None, lambda trap: pickle.dumps(np.array([Malicious(trap)]), 2)),
    "in_an_array_4": (None, lambda trap: pickle.dumps(np.array([Malicious(trap)]), 4)),
    "system": ("os.system", lambda trap: b"cos\nsystem\n(" + text(f"mkdir '{trap}'") + b"tR."),
    "inst": ("os.mkdir", lambda trap: b"(" + text(trap) + b"ios\nmkdir\n."),
    "obj": ("os.mkdir", lambda trap: b"(cos\nmkdir\n" + text(trap) + b"o."),
    "eval": ("__builtin__.eval", lambda trap: b"c__builtin__\neval\n(" + text(code(trap)) + b"tR."),
    "eval_3": ("builtins.eval", lambda trap: b"\x80\x03cbuiltins\neval\n" + text(code(trap)) + b"\x85R."),
    "getattr": (
        "__builtin__.getattr",
        lambda trap: b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(Vos\ntRVmkdir\ntR(" + text(trap) + b"tR.",
    ),
    "numpy_load": ("numpy.load", lambda trap: b"cnumpy\nload\n(" + text(array_file(trap)) + b"NI01\ntR."),
    "numpy_runs_code": (
        "numpy.testing._private.utils.runstring",
        lambda trap: b"cnumpy.testing._private.utils\nrunstring\n(" + text(code(trap)) + b"(dtR.",
    ),
    "dotted": (
        "numpy.f2py.os.mkdir",
        lambda trap: b"\x80\x04" + word(b"numpy.f2py") + word(b"os.mkdir") + b"\x93" + text(trap) + b"\x85R.",
    ),
    "dotted_from_an_allowed_one": (
        "numpy.dtype.__class__.__subclasses__",  # without a trap: that it resolves is enough
        lambda trap: b"\x80\x04" + word(b"numpy") + word(b"dtype.__class__.__subclasses__") + b"\x93.",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_a_pickle_names_is_run(tmp_path, name):
    asked, make = HOSTILE[name]
    trap = tmp_path / "trap"
    content = make(trap)
    message = refusal(legacy.read_pickle, saved(tmp_path, content))
    assert (f"asks for '{asked}'; refused" if asked else "an array of type 'O8'") in message
    assert not trap.exists()
    value = pickle.loads(content)  # known-bad twin: the trap works
    assert trap.exists() or callable(value)


def test_a_persistent_id_is_refused(tmp_path):
    assert "UnpicklingError" in refusal(legacy.read_pickle, saved(tmp_path, b"P1\n."))


def sensitive(number=1):
    return number


def tampered(function):
    """A pickle that gives a function other default values."""
    return b"c" + "\n".join(function).encode() + b"\n(N(dS'__defaults__'\n(I666\ntstb."


def test_a_pickle_changes_nothing_for_the_next_one(tmp_path):
    for name in [("numpy", "dtype"), ("numpy.core.multiarray", "scalar"), ("_codecs", "encode")]:
        assert "holds a function" in refusal(legacy.read_pickle, saved(tmp_path, tampered(name)))
        assert legacy._Unpickler(io.BytesIO()).find_class(*name).__defaults__ is None
    for content, expected in PUBLISHED.values():
        assert np.array_equal(legacy.read_pickle(saved(tmp_path, content)), expected)
    pickle.loads(tampered((__name__, "sensitive")))  # known-bad twin: a function of a module stays changed
    assert sensitive() == 666


def test_bytes_do_not_pass_for_pointers(tmp_path):
    """The state of a dtype has flags; 63 says that the elements are Python objects."""
    forged = P2_CLASSES.replace(b"I-1\nI0\ntp7", b"I-1\nI63\ntp7")
    assert legacy.read_pickle(saved(tmp_path, forged)) == [2, 5]
    dtype = forged[forged.index(b"cnumpy\ndtype") : forged.index(b"S'\\x02")] + b"."
    assert pickle.loads(dtype).hasobject and not np.dtype("i8").hasobject  # known-bad twin: numpy believes it


def test_a_type_cannot_be_feigned(tmp_path):
    """A function with an attribute `value`, where the scalar's type should be."""
    content = b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(dS'value'\nS'M8[s]'\nsbS'12345678'\ntR."
    assert "UnpicklingError" in refusal(legacy.read_pickle, saved(tmp_path, content))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_truncated_pickle(tmp_path, name):
    content, _ = PUBLISHED[name]
    for length in range(len(content)):
        assert "damaged" in refusal(legacy.read_pickle, saved(tmp_path, content[:length])), length


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_a_damaged_pickle(tmp_path):
    for content, _ in PUBLISHED.values():
        if not content.startswith(b"\x80"):
            for place in range(len(content)):
                broken = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
                try:
                    legacy.read_pickle(saved(tmp_path, broken))
                except UserError as error:
                    assert len(str(error).splitlines()) == 1
    for content in (b"", b"hello", b"\x89PNG\r\n\x1a\n", b"(lp0\ng0\na.", b"\x80\x02]q\x00h\x00a."):
        assert "no pickle, damaged, or" in refusal(legacy.read_pickle, saved(tmp_path, content))


@pytest.mark.parametrize("shape", [b"I7", b"I-1\nI-8", b"I4611686018427387904\nI4"])
def test_an_array_of_another_size_than_its_bytes(tmp_path, shape):
    content = P2_FLOATS.replace(b"I2\nI3", shape)
    assert "damaged, or too large (ValueError)" in refusal(legacy.read_pickle, saved(tmp_path, content))


def test_changed_line_ends(tmp_path):
    for name, (content, _) in PUBLISHED.items():
        if name != "big_endian":  # nothing in it looks like a line end but those of the names
            mangled = content.replace(b"\n", b"\r\n")
            assert "line ends were changed to CRLF" in refusal(legacy.read_pickle, saved(tmp_path, mangled)), name
    for protocol in (2, 4):
        value = [np.frombuffer(b"abc\r\ndef\r\n" * 9, np.uint8), "numpy\r\n"]
        assert legacy.read_pickle(saved(tmp_path, value, protocol))[1] == "numpy\r\n", "these are no line ends"


@pytest.mark.parametrize("name", ["train/filenames", "train/class_info", "test/filenames", "test/class_info"])
def test_changed_line_ends_of_the_published_lists(tmp_path, name):
    mangled = real(f"cub/full_lists/{name}.pickle").read_bytes().replace(b"\n", b"\r\n")
    assert "line ends were changed to CRLF" in refusal(legacy.read_pickle, saved(tmp_path, mangled))


@pytest.mark.parametrize("read", [legacy.read_pickle, legacy.read_t7])
def test_what_cannot_be_opened(tmp_path, read):
    assert "cannot be read (No such file or directory)" in refusal(read, tmp_path / "nowhere")
    assert "cannot be read (Is a directory)" in refusal(read, tmp_path)


def test_too_large_for_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(legacy, "_plain", lambda value: (_ for _ in ()).throw(MemoryError))
    assert "too large (MemoryError); get it again" in refusal(legacy.read_pickle, saved(tmp_path, [1]))


def test_the_published_captions():
    """Those of the text files, to the letter, up to the 201st."""
    found = legacy.t7_captions(real(T7))
    assert legacy.read_t7(real(T7)).shape == (60, 201, 10) and len(found) == 60
    files = sorted(real("oxford102/text_c10/class_00002").glob("*.txt"))
    lines = [path.read_text(encoding="utf-8").splitlines() for path in files]
    expected = [[line[:201].strip() for line in ten] for ten in lines]
    assert len(expected) == 30 and [ten for ten in found if ten in expected] == expected, "in the order of the names"


def t7(values, kind="Byte", storage=None, version=b"V 1", start=1, strides=None, sizes=None):
    """What torch.save writes for a tensor."""

    def torch_object(index, name):
        name = b"torch." + name.encode()
        return struct.pack("<3i", 4, index, len(version)) + version + struct.pack("<i", len(name)) + name

    sizes = values.shape if sizes is None else sizes
    strides = [stride // values.itemsize for stride in values.strides] if strides is None else strides
    layout = struct.pack(f"<i{2 * len(sizes) + 1}q", len(sizes), *sizes, *strides, start)
    numbers = struct.pack("<q", values.size) + values.tobytes()
    return torch_object(1, f"{kind}Tensor") + layout + torch_object(2, f"{storage or kind}Storage") + numbers


def encoded(captions, length=8):
    """[images, characters, captions]"""
    codes = np.zeros((len(captions), length, len(captions[0])), np.uint8)
    for image, texts in enumerate(captions):
        for number, caption in enumerate(texts):
            codes[image, : len(caption), number] = [legacy.ALPHABET.find(letter) + 1 for letter in caption]
    return codes


def test_the_writer_here_is_torchs():
    captions = legacy.read_t7(real(T7))
    assert t7(captions) == real(T7).read_bytes()


@pytest.mark.parametrize("kind", legacy.TENSORS)
def test_tensors_of_all_types(tmp_path, kind):
    values = np.arange(24).reshape(2, 3, 4).astype(legacy.TENSORS[kind])
    read = legacy.read_t7(saved(tmp_path, t7(values, kind)))
    assert read.dtype == values.dtype and np.array_equal(read, values)


def test_captions(tmp_path):
    assert len(legacy.ALPHABET) == 70 and legacy.ALPHABET[-1] == " "
    captions = [["a {bird}", "z9 -!"], ["b\u2019s \u2019", ""]]
    assert legacy.t7_captions(saved(tmp_path, t7(encoded(captions)))) == [["a {bird}", "z9 -!"], ["b s", ""]]


@pytest.mark.parametrize("place, code, kind", [((0, 0, 0), 71, "Byte"), ((1, 7, 1), -1, "Char"), (0, 1.0, "Float")])
def test_no_places_in_the_alphabet(tmp_path, place, code, kind):
    codes = encoded([["ab", "c"], ["d", "e"]]).astype(legacy.TENSORS[kind])
    codes[place] = code
    assert "must be places in the alphabet" in refusal(legacy.t7_captions, saved(tmp_path, t7(codes, kind)))


@pytest.mark.parametrize("strides", [(6, 1), (16, 2, 1), (12, 6, 3, 1)])
def test_no_three_axes(tmp_path, strides):
    shape = {2: (4, 6), 3: (0, 8, 2), 4: (2, 2, 2, 3)}[len(strides)]
    path = saved(tmp_path, t7(np.zeros(shape, np.uint8), strides=strides))
    assert f"holds uint8 {list(shape)}" in refusal(legacy.t7_captions, path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"kind": "Cuda"}, "'torch.CudaTensor' where a Tensor should be"),
        ({"storage": "Char"}, "a storage of another type"),
        ({"version": b"V 2"}, "where a Tensor should be"),
        ({"start": 2}, "a view"),
        ({"strides": (1, 2, 3)}, "a view"),
        ({"strides": (1 << 62, 1 << 62, 1 << 62)}, "a view"),
        ({"sizes": (-1, 3, 4)}, "a view"),
        ({"sizes": (-2, -3, 4)}, "no Torch7 file"),
        ({"sizes": (1 << 62, 1 << 62, 4)}, "no Torch7 file"),
        ({"sizes": (2, 3, 5)}, "no Torch7 file"),
        ({"sizes": (2,) * 90, "strides": (1,) * 90}, "no Torch7 file"),
    ],
)
def test_no_whole_tensor(tmp_path, changes, message):
    path = saved(tmp_path, t7(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), **changes))
    assert message in refusal(legacy.read_t7, path)


def test_a_damaged_tensor(tmp_path):
    """Truncated or changed anywhere: an array or a refusal, never another error."""
    content = t7(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    for length in range(len(content)):
        assert "is no Torch7 file of one whole tensor" in refusal(legacy.read_t7, saved(tmp_path, content[:length]))
    for place in range(len(content)):
        for change in (1, 0x80, 0xFF):
            broken = content[:place] + bytes([content[place] ^ change]) + content[place + 1 :]
            try:
                legacy.read_t7(saved(tmp_path, broken))
            except UserError as error:
                assert len(str(error).splitlines()) == 1
    assert "no Torch7 file" in refusal(legacy.read_t7, saved(tmp_path, pickle.dumps([1])))


def test_a_t7_is_no_pickle(tmp_path):
    path = saved(tmp_path, t7(np.zeros((2, 3, 4), np.uint8)))
    assert "no pickle, damaged" in refusal(legacy.read_pickle, path)
