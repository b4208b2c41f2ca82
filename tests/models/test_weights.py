"""Weights from a file: without pickle, what matches goes in, what does not is listed."""

import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from colab_kit.errors import ModelError
from colab_kit.models.weights import put, read, read_weights, warm_start, write
from colab_kit.training import checkpoint


def net(out: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, out))


def equal(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s},
        lambda s: {"model_state_dict": s, "optimizer": {}},
    ],
)
def test_a_pth_is_read_however_it_is_wrapped(tmp_path, wrap):
    state = net().state_dict()
    torch.save(wrap(state), tmp_path / "w.pth")
    assert equal(read_weights(tmp_path / "w.pth"), state)


def test_a_safetensors_file_and_our_own_checkpoint_are_read(tmp_path):
    state = net().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    tensors = {f"model/{k}": v for k, v in state.items()} | {"optimizer/0": torch.ones(1)}
    checkpoint.write(tmp_path / "checkpoint.safetensors", tensors, {})
    for name in ("w", "checkpoint"):
        assert equal(read_weights(tmp_path / f"{name}.safetensors"), state)


def test_a_whole_pickled_model_is_refused_and_its_code_does_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    for thing in (net(), {"w": Trap()}):
        torch.save(thing, tmp_path / "w.pth")
        with pytest.raises(ModelError, match="runs code from the file") as caught:
            read_weights(tmp_path / "w.pth")
        assert "model.state_dict()" in caught.value.fix
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_no_weights_says_what_it_is(tmp_path):
    (tmp_path / "page.pth").write_text("<html>Sign in</html>")
    (tmp_path / "page.safetensors").write_text("<html>Sign in</html>")
    (tmp_path / "empty.pth").touch()
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({}, tmp_path / "none.pth")
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as file:
        file.writestr("x", "y")
    for name in ("page.pth", "page.safetensors", "empty.pth", "list.pth", "none.pth", "zip.pth"):
        with pytest.raises(ModelError) as caught:
            read_weights(tmp_path / name)
        assert name in caught.value.what and caught.value.why and caught.value.fix
    with pytest.raises(ModelError, match="There is no weights file"):
        read_weights(tmp_path / "nowhere.pth")


def test_all_of_it_goes_in():
    model, other = net(), net()
    said = warm_start(model, other.state_dict())
    assert (said.text, said.level) == ("Warm start: 9 of 9 tensors matched.", "info")
    assert equal(model.state_dict(), other.state_dict())


def test_what_does_not_match_is_listed_and_stays_fresh():
    model, other = net(5), net(2)
    fresh = model[2].weight.clone()
    said = warm_start(model, {**other.state_dict(), "extra": torch.ones(1)}).text
    assert (
        said.startswith("Warm start: 7 of 9")
        and "2.weight [2, 3] into [5, 3]" in said
        and "Fresh: 2.weight, 2.bias" in said
    )
    assert torch.equal(model[0].weight, other[0].weight) and torch.equal(model[2].weight, fresh)


def test_half_precision_is_taken_into_the_models_own_type():
    model, other = net(), net()
    warm_start(
        model, {k: v.half() if v.is_floating_point() else v for k, v in other.state_dict().items()}
    )
    assert model[0].weight.dtype == torch.float32 and torch.allclose(
        model[0].weight, other[0].weight, atol=1e-3
    )


def test_many_that_do_not_match_are_counted():
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(6)])
    said = warm_start(model, nn.Sequential(nn.Linear(2, 2)).state_dict())
    assert "Fresh: 1.weight, 1.bias, 2.weight and 7 more" in said.text
    assert said.level == "warn"  # fewer than half


class Held(nn.Module):
    """A network that has parts called as wrappers call theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.module, self.model = net(), net()


WRAPPED = {
    "DataParallel": lambda k: f"module.{k}",
    "Lightning": lambda k: f"model.{k}",
    "another attribute": lambda k: f"backbone.net.{k}",
    "compiled": lambda k: f"_orig_mod.{k}",
    "compiled in Lightning": lambda k: f"model._orig_mod.{k}",
    "parallel, compiled in Lightning": lambda k: f"model.module._orig_mod.{k}",
    "compiled, then parallel": lambda k: f"module._orig_mod.{k}",
    "compiled by parts": lambda k: k.replace(".", "._orig_mod.", 1),
}


@pytest.mark.parametrize("make", [net, Held])
@pytest.mark.parametrize("how", WRAPPED)
def test_names_that_wrappers_lengthened_are_brought_to_the_networks_and_said(how, make):
    model, other = make(), make()
    state = {WRAPPED[how](k): v for k, v in other.state_dict().items()}
    note = warm_start(model, {**state, "criterion.weight": torch.ones(2)})
    first = next(iter(other.state_dict()))
    assert equal(model.state_dict(), other.state_dict()) and note.level == "info"
    assert f"{WRAPPED[how](first)} as {first}" in note.text


def test_a_compiled_network_takes_plain_names():
    model, other = nn.Sequential(OrderedDict(_orig_mod=net())), net()
    warm_start(model, other.state_dict())
    assert equal(model[0].state_dict(), other.state_dict())


@pytest.mark.parametrize(
    "tensors", [{"other.weight": torch.ones(2)}, {"0.weight": torch.ones(9, 9)}]
)
def test_nothing_that_matches_is_an_error(tensors):
    with pytest.raises(ModelError, match="None of the file's weights fits") as caught:
        warm_start(net(), tensors)
    assert next(iter(tensors)) in caught.value.why


def test_a_network_whose_modules_note_a_version_loads_its_own_state():
    from torchvision.models import mnasnet0_5

    torch.manual_seed(0)
    one, two = (mnasnet0_5(num_classes=3) for _ in range(2))
    put(two, dict(one.state_dict()))
    assert all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_numbers_come_back_as_they_were(dtype, tmp_path):
    tensors = {"w": torch.randn(3, 2, dtype=dtype).conj(), "b": torch.randn(2)}
    write(tmp_path / "x.safetensors", tensors, {})
    back = read(tmp_path / "x.safetensors").tensors
    assert torch.equal(back["w"], tensors["w"]) and back["w"].dtype == dtype
