"""Exporting: one file that opens without the code that trained it, and says so where it cannot."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import colab_kit as kit
from colab_kit.errors import ModelError, RunError
from colab_kit.runs.export import exported
from colab_kit.testing.fixtures import class_folders


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("export")
    data = kit.load(class_folders(place / "pets", each=8), quiet=True)
    return kit.train(
        kit.nets.cnn(classes=2, channels=3, size=16),
        data,
        image_size=16,
        epochs=1,
        quiet=True,
        run_dir=place / "run",
    )


def picture():
    return np.random.default_rng(0).integers(0, 255, (20, 24, 3), np.uint8)


def test_an_exported_run_predicts_the_same_without_its_code(run, tmp_path):
    path = run.export(tmp_path / "pets.safetensors")
    again = kit.open_run(path)
    assert np.array_equal(
        again.predict(picture()).probabilities, run.predict(picture()).probabilities
    )
    assert (
        again.classes == run.classes
        and again.best == run.best
        and len(again.history) == len(run.history)
        and again.status == "finished"
    )


def test_the_file_holds_no_pickle_and_no_path_of_this_machine(run, tmp_path):
    path = run.export(tmp_path / "pets.safetensors")
    about = exported(path)
    assert about["record"]["data"]["classes"] == list(run.classes)
    assert str(run.folder.parent) not in json.dumps(about) and b"pickle" not in path.read_bytes()


def test_a_damaged_file_is_refused(run, tmp_path):
    path = run.export(tmp_path / "pets.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="is damaged"):
        kit.open_run(path)


def test_a_plain_weight_file_is_no_export(run, tmp_path):
    assert (
        exported(run.save(tmp_path / "plain.safetensors")) is None
        and exported(tmp_path / "none.safetensors") is None
    )


def test_a_network_of_ones_own_needs_its_class_again(tmp_path):
    data = kit.load(
        (torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8), torch.arange(40) % 2), quiet=True
    )
    made = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    mine = kit.train(made, data, epochs=1, quiet=True, run_dir=tmp_path / "mine")
    path = mine.export(tmp_path / "mine.safetensors")
    with pytest.raises(ModelError, match="no code travels"):
        kit.open_run(path)
    one = torch.zeros(1, 8, 8, dtype=torch.uint8)
    assert np.array_equal(
        kit.open_run(path, model=made).predict(one).probabilities, mine.predict(one).probabilities
    )


def test_another_ending_is_refused(run, tmp_path):
    with pytest.raises(RunError, match="no known ending"):
        run.export(tmp_path / "pets.h5")


def test_what_an_exported_run_draws_lies_beside_it(run, tmp_path):
    again = kit.open_run(run.export(tmp_path / "pets.safetensors"))
    assert again.plot() == tmp_path / "pets" / "curves.png"


def test_plain_weights_load_into_plain_torch(run, tmp_path):
    found = torch.load(run.save(tmp_path / "w.pth"), weights_only=True)
    assert all(torch.equal(found[k], v) for k, v in run.model.state_dict().items())


def test_an_onnx_file_computes_the_same_and_says_what_it_is(run, tmp_path):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = run.export(tmp_path / "pets.onnx")
    scorer = run._scorer()
    x = scorer.input(scorer.squares(picture())[0])
    (found,) = runtime.InferenceSession(str(path)).run(["y"], {"x": x.numpy()})
    assert np.allclose(found, run.model(x).detach().numpy(), atol=1e-4)
    about = {
        entry.key: json.loads(entry.value)
        for entry in onnx.load(str(path)).metadata_props
        if entry.key.startswith("colab_kit")
    }
    assert about["colab_kit.record"]["data"]["classes"] == list(run.classes)


def test_where_the_exporter_fails_the_former_one_writes_the_file(run, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime"), pytest.importorskip("onnxscript")
    real, asked = torch.onnx.export, []

    def fails(*args, dynamo, **how):
        asked.append(dynamo)
        if dynamo or how["dynamic_axes"] is None:
            raise AttributeError("'tuple' object has no attribute 'dtype'")
        real(*args, dynamo=dynamo, **how)

    monkeypatch.setattr(torch.onnx, "export", fails)
    assert run.export(tmp_path / "pets.onnx").exists() and asked == [True, False], (
        "and it computes the same, or export() would say so"
    )
    monkeypatch.setattr(
        torch.onnx, "export", lambda *args, **how: (_ for _ in ()).throw(AssertionError())
    )  # a bare assert
    with pytest.raises(kit.ColabKitError, match="cannot be written as ONNX"):
        run.export(tmp_path / "other.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["pets.onnx"]


def test_without_the_extra_onnx_names_it(run, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(kit.ColabKitError, match=r"colab-kit\[onnx\]"):
        run.export(tmp_path / "pets.onnx")
    assert not list(tmp_path.iterdir())
