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
from colab_kit.training import checkpoint


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


def stranger(run, path, change):
    """An exported file that says something else, sealed again as its author could."""
    found = checkpoint.read(run.export(path))
    facts = json.loads(json.dumps(found.facts))
    change(facts)
    checkpoint.write(path, found.tensors, facts)
    return path


def put(*keys, value):
    def change(facts):
        for key in keys[:-1]:
            facts = facts[key]
        facts[keys[-1]] = value

    return change


HOW, ARGS = ("record", "preprocess"), ("record", "model", "made_by", "args")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ((*HOW, "size"), 10**9),
        ((*HOW, "size"), "16"),
        ((*HOW, "size"), -1),
        ((*HOW, "channels"), 10**9),
        ((*HOW, "mean"), [0.5] * 2),
        ((*HOW, "mean"), [0.5] * 10**5),
        ((*HOW, "std"), [0.0] * 3),
        ((*HOW, "std"), [float("nan")] * 3),
        ((*HOW, "crop"), 1e-9 - 1),
        ((*HOW, "interpolation"), "none"),
        ((*HOW, "resize"), "none"),
        (("record", "data", "classes"), []),
        (("record", "data", "classes"), 5),
        (("record", "data", "task"), "none"),
        (("record", "recipe", "epochs"), "many"),
        (("record", "recipe"), [1]),
        (("record", "created"), "today"),
        (("record", "model"), None),
        (("choices", "batch_size", "value"), 10**12),
        (("choices", "batch_size", "value"), "8"),
        (("choices", "precision"), {"value": 7, "why": "", "by": ""}),
        (("choices", "output"), {"value": "logits"}),
        (("choices",), {}),
        (("history",), [{"epoch": "one"}]),
        (("best",), {"metrics": 3}),
        (("step",), 1e300),
        (("more",), 1),
    ],
)
def test_a_strangers_file_with_a_wrong_or_absurd_field_is_refused_in_words(
    run, tmp_path, keys, value
):
    path = stranger(run, tmp_path / "pets.safetensors", put(*keys, value=value))
    with pytest.raises(RunError, match="is no exported run that can be opened"):
        kit.open_run(path)


def test_every_field_of_an_exported_file_is_needed(run, tmp_path):
    about = exported(run.export(tmp_path / "pets.safetensors"))
    names = [(name,) for name in about if name not in ("export", "best")]
    for part in (("record",), ("record", "data"), HOW):
        inner = about
        for key in part:
            inner = inner[key]
        names += [(*part, name) for name in inner]
    for keys in names:

        def remove(facts, keys=keys):
            for key in keys[:-1]:
                facts = facts[key]
            del facts[keys[-1]]

        with pytest.raises(RunError, match="is no exported run|is damaged"):
            exported(stranger(run, tmp_path / "pets.safetensors", remove))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ((*ARGS, "classes"), 10**12),
        ((*ARGS, "channels"), 10**9),
        ((*ARGS, "more"), 1),
        ((*ARGS, "classes"), "2"),
        (ARGS, {}),
        (("record", "model", "made_by", "net"), "none"),
        (("record", "model", "made_by"), {"net": "mlp", "args": {"hidden": [10**9] * 9}}),
        (("record", "model", "made_by"), {"net": "mlp", "args": {"hidden": [1] * 10**5}}),
        (("record", "model", "made_by"), {"net": "mlp", "args": {"hidden": 3}}),
        (("record", "model", "made_by"), {"what": "ever"}),
        (
            ("record", "model", "made_by"),
            {"backbone": "resnet18", "head": [10**9, 10**9], "weights": "default", "size": 16},
        ),
    ],
)
def test_a_strangers_network_that_is_not_that_of_its_weights_is_not_made(
    run, tmp_path, keys, value
):
    path = stranger(run, tmp_path / "pets.safetensors", put(*keys, value=value))
    with pytest.raises((ModelError, RunError)):
        kit.open_run(path).predict(picture())


@pytest.mark.parametrize("length", [0, 2**20, 2**31, 2**63, 2**64 - 1])
def test_a_header_of_an_absurd_length_is_an_error_at_once(run, tmp_path, length):
    path = run.export(tmp_path / "pets.safetensors")
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(RunError, match="cannot be read"):
        kit.open_run(path)


@pytest.mark.parametrize(
    "facts", ["[" * 10**6, '{"export":' + "[" * 500 + "]" * 500 + "}", "1" * 9999]
)
def test_deep_nesting_in_what_an_exported_file_says_is_an_error(tmp_path, facts):
    from safetensors.torch import save_file

    path = tmp_path / "pets.safetensors"
    save_file({"model/w": torch.zeros(1)}, path, {"facts": facts})
    with pytest.raises(RunError, match="cannot be read"):
        kit.open_run(path)


def test_names_for_more_classes_than_the_network_has_are_an_error(run, tmp_path):
    more = put("record", "data", "classes", value=list("abc"))
    with pytest.raises((ModelError, RunError)):
        kit.open_run(stranger(run, tmp_path / "p.safetensors", more)).predict(picture())


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
