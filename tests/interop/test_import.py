"""Published PyTorch checkpoints into run directories, and back."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from stackgan_tf.checkpoint import Checkpoints
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation import judge
from stackgan_tf.evaluation.ms_ssim import ms_ssim
from stackgan_tf.evaluation.plan import Plan
from stackgan_tf.generation import load_generator, run_config
from stackgan_tf.interop import official, torch_files
from stackgan_tf.interop.exchange import export_run, import_run
from stackgan_tf.training.state import TrainState
from tests.golden_case import NAMES, small
from tests.test_programs import contents, refused, run

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def save(path, state, prefix="", modern=False):
    """As the released code saved it, or as PyTorch would today."""
    tensors = {f"{prefix}{name}": torch.from_numpy(value) for name, value in state.items()}
    if modern:
        for name in [name for name in tensors if name.endswith("running_mean")]:
            tensors[name.replace("running_mean", "num_batches_tracked")] = torch.tensor(3)
    torch.save(tensors, path, _use_new_zipfile_serialization=modern)
    return path


def published(folder, name, modern=False):
    """The files of a golden case: its generator, its discriminators."""
    case, prefix = small(name), "module." if "v2" in name and not modern else ""
    generator = save(
        folder / ("netG_210000.pth" if "v2" in name else "netG_epoch_90.pth"), case.generator, prefix, modern
    )
    files = [save(folder / f"netD{i}.pth", d, prefix, modern) for i, d in enumerate(case.discriminators)]
    return case, generator, files


@pytest.mark.parametrize("modern", [False, True], ids=["published", "modern"])
@pytest.mark.parametrize("name", NAMES)
def test_an_imported_generator_draws_what_the_released_code_draws(tmp_path, name, modern):
    case, generator, files = published(tmp_path, name, modern)
    config = import_run(case.generation, generator, files, tmp_path / "run", [])
    assert config == run_config(tmp_path / "run") and config.model == case.config().model
    assert config.loss.color_weight == (50 if name.endswith("uncond") else 0)
    outputs = load_generator(tmp_path / "run").generator(**case.noise(), **case.text())
    for side, image in zip(config.scales, outputs.images, strict=True):
        stride = case.stride[side]
        np.testing.assert_allclose(image[:, ::stride, ::stride], case.arrays[f"eval_fake{side}"], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back_is_the_same_file(tmp_path, name):
    case, generator, files = published(tmp_path, name)
    (tmp_path / "run.new").mkdir()  # somebody's folder
    import_run(case.generation, generator, [], tmp_path / "run", [])
    assert {path.name for path in tmp_path.iterdir()} == {"run", "run.new", generator.name, *(f.name for f in files)}
    before = {path.name for path in tmp_path.iterdir()}
    step = export_run(tmp_path / "run", tmp_path / "back.pth")
    assert {path.name for path in tmp_path.iterdir()} == before | {"back.pth"}, "nothing half-made is left"
    assert step == (210000 if "v2" in name else 1)
    there, back = (torch.load(path, weights_only=True) for path in (generator, tmp_path / "back.pth"))
    assert list(back) and set(there) == set(back)
    for key, tensor in there.items():
        assert torch.equal(tensor, back[key]), key
    with open(tmp_path / "back.pth", "rb") as file:
        assert file.read(2) != b"PK", "the old serialisation"


def test_training_goes_on_from_imported_networks(tmp_path, shapes_data_dir):
    case, generator, files = published(tmp_path, "stackgan_v2_cond")
    flags = ["--from=stackgan_v2", f"--generator={generator}", f"--discriminators={files[0]},{files[1]}"]
    changes = [
        "--set",
        "data.dataset=shapes",
        "--set",
        "data.text_encoder=hashing",
        "--set",
        "data.text_path=",
        "--set",
        "train.batch_size=4",
        "--set",
        "optimizer.beta_1=0.4",
    ]
    result = run("import_checkpoint", *flags, "--run_dir=run", *changes, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "run: v2, gf 4, draws 64, 128 pixels" in result.stdout
    config = (tmp_path / "run/config.yaml").read_text()
    assert "beta_1: 0.4" in config
    more = ["--config=run/config.yaml", "--run_dir=run", f"--data_dir={shapes_data_dir}", "--resume=must"]
    result = run("train", *more, "--steps=210002", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "has no generator_optimizer, discriminator_optimizers: these start anew" in result.stderr
    moved = load_generator(tmp_path / "run").generator
    theirs = official.to_ours(case.generator, {v.path: tuple(v.shape) for v in moved.variables}, "")
    far = max(np.abs(v.numpy() - theirs[v.path]).max() for v in moved.trainable_variables)
    assert 0 < far < 1e-3, "two small steps from where it was"


def test_training_goes_on_without_published_discriminators(tmp_path, one_replica):
    case, generator, _ = published(tmp_path, "stackgan_v2_cond")
    import_run("stackgan_v2", generator, [], tmp_path / "run", [])
    state = TrainState(case.config(), one_replica, steps_per_epoch=10)
    fresh = state.discriminators[0].variables[0].numpy()
    checkpoints = Checkpoints(tmp_path / "run", state.parts(), keep=1)
    checkpoints.restore()
    assert int(state.step.numpy()) == 210000
    theirs = official.to_ours(case.generator, {v.path: tuple(v.shape) for v in state.generator.variables}, "")
    for live, average in zip(state.generator.variables, state.average.variables, strict=True):
        np.testing.assert_array_equal(live.numpy(), theirs[live.path])
        np.testing.assert_array_equal(average.numpy(), theirs[live.path])
    np.testing.assert_array_equal(state.discriminators[0].variables[0].numpy(), fresh)
    state.step.assign_add(1)
    checkpoints.save()
    checkpoints.restore()  # whole now


@pytest.mark.slow  # as from a trained one, and what is imported is tested above
def test_stage2_starts_from_an_imported_stage1(tmp_path, shapes_data_dir):
    case, generator, _ = published(tmp_path, "stackgan_v1_stage1")
    import_run(
        "stackgan_v1",
        generator,
        [],
        tmp_path / "one",
        ["data.dataset=shapes", "data.text_encoder=hashing", "data.text_path="],
    )
    m = case.config().model
    sizes = f"gf: {m.gf}, df: 2, noise_size: {m.noise_size}, condition_size: {m.condition_size}"
    card = (
        f"data: {{dataset: shapes, text_size: 10}}\nmodel: {{family: v1_stage2, eps_distribution: normal, {sizes}}}\n"
    )
    (tmp_path / "two.yaml").write_text(f"{card}train: {{steps: 1, batch_size: 2}}\n")
    flags = ["--config=two.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=two", "--stage1_run_dir=one"]
    result = run("train", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_embeddings_are_drawn(tmp_path):
    _, generator, _ = published(tmp_path, "stackgan_v2_cond")
    import_run("stackgan_v2", generator, [], tmp_path / "run", [])
    np.save(tmp_path / "three.npy", np.random.default_rng(0).standard_normal((3, 10)))
    result = run("sample", "--run_dir=run", "--embeddings=three.npy", "--num=2", cwd=tmp_path)
    assert "6 pictures at 64, 128 pixels" in result.stdout, result.stderr
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    for flags, message in [
        (["--embeddings=objects.npy"], "cannot be read"),
        (["--embeddings=nowhere.npy"], "cannot be read"),
        (["--embeddings=three.npy", "--text=a bird"], "one of the two"),
    ]:
        assert message in refused(run("sample", "--run_dir=run", *flags, cwd=tmp_path))


class Malicious:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("how", ["old", "zip", "pickle"])
def test_code_in_a_file_is_never_run(tmp_path, how):
    trap, file = tmp_path / "trap", tmp_path / "netG_1.pth"
    if how == "pickle":
        file.write_bytes(pickle.dumps(Malicious(trap)))
    else:
        torch.save({"h_net1.fc.0.weight": Malicious(trap)}, file, _use_new_zipfile_serialization=how == "zip")
    message = "is no PyTorch checkpoint" if how == "pickle" else "holds Python objects other than tensors"
    with pytest.raises(UserError, match=message):
        import_run("stackgan_v2", file, [], tmp_path / "run", [])
    assert not trap.exists() and not (tmp_path / "run").exists()
    with open(file, "rb") as opened:  # known-bad twin: the trap works
        torch.load(opened, weights_only=False) if how != "pickle" else pickle.load(opened)
    assert trap.exists()


def tampered(folder, name, tamper):
    case, generator, files = published(folder, name)
    state = dict(case.generator)
    tamper(state)
    save(generator, state, "module." if "v2" in name else "")
    return generator, files


def shortened(state):
    state["img_net2.img.0.weight"] = state["img_net2.img.0.weight"][:, :1]


@pytest.mark.parametrize(
    "name, tamper, message",
    [
        ("stackgan_v2_cond", lambda s: s.pop("h_net2.jointConv.1.bias"), "has no tensor h_net2.jointConv.1.bias"),
        ("stackgan_v2_cond", lambda s: s.update(extra=s["ca_net.fc.bias"]), "does not know: extra"),
        ("stackgan_v2_cond", lambda s: s.pop("img_net2.img.0.weight"), "has no tensor img_net2.img.0.weight"),
        ("stackgan_v2_cond", lambda s: s.pop("h_net1.fc.0.weight"), "has no tensor h_net1.fc.0.weight"),
        ("stackgan_v2_cond", lambda s: s.update({"ca_net.fc.bias": s["ca_net.fc.bias"] * np.nan}), "are not finite"),
        ("stackgan_v2_cond", shortened, r"img_net2.img.0.weight has shape \(3, 1, 3, 3\); \(3, 2, 3, 3\) would fit"),
        ("stackgan_v2_cond", lambda s: s.pop("ca_net.fc.weight"), "has no tensor ca_net.fc.weight"),
        ("stackgan_v2_cond", lambda s: s.update({"h_net1.fc.0.weight": np.ones((), np.float32)}), "must have 2 axes"),
        ("stackgan_v2_uncond", lambda s: s.clear() or s.update(x=np.zeros(1, np.float32)), "first tensor is x"),
        (
            "stackgan_v1_stage2",
            lambda s: [s.pop(key) for key in list(s) if key.startswith("STAGE1_G.")],
            "is a Stage-II generator without its Stage-I",
        ),
    ],
)
def test_a_tensor_too_many_too_few_or_of_the_wrong_shape(tmp_path, name, tamper, message):
    generator, _ = tampered(tmp_path, name, tamper)
    with pytest.raises(UserError, match=message) as error:
        import_run(name[:11], generator, [], tmp_path / "run", [])
    assert str(generator) in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_stage1_is_not_a_stage2_without_its_stage1(tmp_path):
    """Its tensors are those of a Stage-I: it becomes one, and says so."""
    _, generator, _ = published(tmp_path, "stackgan_v1_stage1")
    assert import_run("stackgan_v1", generator, [], tmp_path / "run", []).model.family == "v1_stage1"


def test_what_cannot_be_imported(tmp_path, monkeypatch):
    """One line, nothing written."""
    case, generator, files = published(tmp_path, "stackgan_v2_cond")
    (tmp_path / "short.pth").write_bytes(generator.read_bytes()[:50_000])
    save(tmp_path / "modern.pth", case.generator, modern=True)
    (tmp_path / "short_zip.pth").write_bytes((tmp_path / "modern.pth").read_bytes()[:50_000])
    (tmp_path / "text.pth").write_text("hello")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    good = {
        "generation": "stackgan_v2",
        "generator": generator,
        "discriminators": [],
        "run_dir": "run",
        "overrides": [],
    }
    for changes, message in [
        ({"generation": "stackgan_v1"}, "is a network of StackGAN-v2, not of StackGAN-v1; use --from=stackgan_v2"),
        ({"generator": files[0]}, "is a discriminator"),
        ({"generator": "nowhere.pth"}, "nowhere.pth: no such file"),
        ({"generator": "there"}, "cannot be read"),
        ({"generator": "short.pth"}, "a damaged one"),
        ({"generator": "short_zip.pth"}, "a damaged one"),
        ({"generator": "text.pth"}, "a damaged one"),
        ({"generator": "list.pth"}, "is no state dict"),
        ({"discriminators": [generator]}, "is a generator"),
        ({"discriminators": files[:1]}, "judge 64 pixels; this generator needs one for each of 64, 128"),
        ({"discriminators": files[:1] * 2}, "judges 64 pixels, as "),
        ({"run_dir": "there"}, "--run_dir=there: exists already"),
        ({"overrides": ["model.gff=3"]}, "model.gff: unknown key"),
        ({"overrides": ["model.gf=8"]}, "has shape"),
    ]:
        arguments = good | changes
        for name in ("generator", "run_dir"):
            arguments[name] = Path(arguments[name])
        with pytest.raises(UserError) as error:
            import_run(**arguments)
        assert message in str(error.value) and "\n" not in str(error.value), changes
        assert contents(tmp_path) == before, changes


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--from=attngan", "--generator=short.pth"], "--from=attngan: must be one of stackgan_v1, stackgan_v2"),
        (["--from=stackgan_v2"], "--generator is missing"),
        (["--from=stackgan_v2", "--generator=short.pth"], "short.pth: is no PyTorch checkpoint, or a damaged one"),
        (["--from=stackgan_v2", "--generator=short.pth", "--to_torch=out.pth"], "give one of the two"),
    ],
)
def test_the_program_refuses(tmp_path, flags, message):
    (tmp_path / "short.pth").write_bytes(b"\x80")
    assert message in refused(run("import_checkpoint", "--run_dir=run", *flags, cwd=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["short.pth"]


def test_what_cannot_be_written(tmp_path, monkeypatch):
    _, generator, _ = published(tmp_path, "stackgan_v2_cond")
    import_run("stackgan_v2", generator, [], tmp_path / "run", [])
    with pytest.raises(UserError, match="exists already"):
        export_run(tmp_path / "run", generator)
    config = tmp_path / "run/config.yaml"
    text = config.read_text()
    for old, new in [("base_size: 64", "base_size: 16"), ("only_finest: false", "only_finest: true")]:
        config.write_text(text.replace(old, new))
        with pytest.raises(UserError, match="the released code has no such network .model." + new.split(":")[0]):
            export_run(tmp_path / "run", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(UserError, match="PyTorch is not installed; pip install"):
        torch_files.read(generator)


def test_an_imported_run_is_measured_with_its_own_embeddings(tmp_path, shapes_data_dir, one_replica):
    """Never with another encoder's: without their table it is told, by name."""
    _, generator, _ = published(tmp_path, "stackgan_v2_cond")
    import_run("stackgan_v2", generator, [], tmp_path / "bare", ["data.dataset=shapes"])
    table = tmp_path / "table.npz"
    import_run("stackgan_v2", generator, [], tmp_path / "run", ["data.dataset=shapes", f"data.text_path={table}"])
    builder = prepare("shapes", shapes_data_dir)
    records = Records(builder, "test")
    names = [record.name for record in records.fetch(range(len(records)))]
    rows = np.random.default_rng(0).standard_normal((len(names), 5, 10)).astype(np.float32)
    np.savez(table, embeddings=rows, names=np.array(names))
    protocol = [judge.Protocol("ms_ssim", 2, None, "test")]
    for name, refusal in (("run", None), ("bare", "char-CNN-RNN-embeddings.pickle")):
        artist = load_generator(tmp_path / name)
        judged = judge.Judged(tmp_path / name, artist, "ema", builder, {}, None, 0)
        if refusal:
            with pytest.raises(UserError, match=refusal):
                judge.evaluate(judged, protocol, one_replica)
            continue
        (figure,) = judge.evaluate(judged, protocol, one_replica)
        first = Plan(records).order[0]
        drawn = artist(np.repeat(rows[first, :1], 2, axis=0))[128]
        assert figure["value"] == pytest.approx(float(ms_ssim(drawn[:1], drawn[1:])[0]), rel=1e-4)
