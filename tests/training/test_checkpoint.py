"""Checkpoints: whole or absent, without pickle, and everything comes back as it was."""

import errno
import json
import pickletools
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from colab_kit.errors import DriveError, RunError
from colab_kit.training import checkpoint
from colab_kit.training.checkpoint import (
    best_weights,
    name_of,
    newest,
    pack,
    prune,
    read,
    step_of,
    under,
    unpack,
    write,
)

from ..support.worlds import deletions


def put(folder, step, *, start="s", tensors=None, **facts):
    path = folder / name_of(step)
    write(
        path,
        tensors or {"model/w": torch.full((3,), float(step))},
        {"step": step, "start": start, **facts},
    )
    return path


def harm(path, how="flip"):
    content = bytearray(path.read_bytes())
    if how == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes(content if how == "flip" else content[:-1] if how == "cut" else b"")
    return path


class Shelf:
    """A shelf in another folder, as the mirror keeps one: of each series two slots."""

    def __init__(self, root):
        self.root, self.asked = root, []

    def find(self, name):
        self.asked.append(name)
        return sorted(self.root.glob(name))

    def push(self, path, name):
        raise AssertionError("nothing is pushed here")

    def news(self):
        return []

    def close(self, timeout=None, emit=None):
        raise AssertionError("nothing is waited for here")


def slot(folder, letter, step, *, kind="checkpoint", start="s", **facts):
    """What the mirror leaves on Drive: a file of this step in a slot whose name tells none."""
    path = folder / f"{kind}-{letter}.safetensors"
    write(
        path,
        {"model/w": torch.full((3,), float(step))},
        {"step": step, "start": start, **facts},
    )
    return path


# --- what goes in comes out ---------------------------------------------------------------------------------------

KINDS = {
    "float32": torch.randn(3, 4), "float16": torch.randn(5).half(), "bfloat16": torch.randn(5).bfloat16(),
    "float64": torch.randn(2).double(),
    "int64": torch.tensor([2**62, -1]), "int32": torch.arange(3, dtype=torch.int32), "uint8": torch.arange(3, dtype=torch.uint8),
    "bool": torch.tensor([True, False]), "scalar": torch.tensor(7), "empty": torch.empty(0, 4), "transposed": torch.randn(3, 4).t(),
    "slice": torch.arange(10.0)[3:7], "expanded": torch.ones(1, 3).expand(4, 3), "grad": torch.ones(2, requires_grad=True),
    "channels_last": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
    "nan": torch.tensor([float("nan"), float("inf"), -0.0]),
}  # fmt: skip


def test_tensors_of_every_kind_come_back_bit_for_bit(tmp_path):
    write(tmp_path / "x.safetensors", KINDS, {"step": 1})
    found = read(tmp_path / "x.safetensors")
    assert found.tensors.keys() == KINDS.keys() and found.step == 1
    for name, tensor in KINDS.items():
        got = found.tensors[name]
        assert got.dtype == tensor.dtype and got.shape == tensor.shape, name
        assert (
            got.contiguous().flatten().view(torch.uint8).tolist()
            == tensor.detach().contiguous().flatten().view(torch.uint8).tolist()
        ), name


def test_tensors_that_share_memory_are_each_there(tmp_path):
    base = torch.arange(12.0)
    write(
        tmp_path / "x.safetensors",
        {"a": base, "b": base, "c": base[2:5], "d": base.view(3, 4).t()},
        {},
    )
    found = read(tmp_path / "x.safetensors").tensors
    assert torch.equal(found["a"], base) and torch.equal(found["b"], base)
    assert torch.equal(found["c"], base[2:5]) and torch.equal(found["d"], base.view(3, 4).t())


def test_tied_weights_are_tied_again_when_loaded(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    write(tmp_path / "x.safetensors", model.state_dict(), {})
    other = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    other[1].weight = other[0].weight
    other.load_state_dict(read(tmp_path / "x.safetensors").tensors)
    assert torch.equal(other[1].weight, model[0].weight) and other[0].weight is other[1].weight


def test_what_was_read_does_not_change_with_the_file(tmp_path):
    path = put(tmp_path, 1)
    found = read(path)
    path.write_bytes(b"\xff" * path.stat().st_size)
    assert found.tensors["model/w"].tolist() == [1.0] * 3


def test_facts_come_back_equal_with_every_digit(tmp_path):
    facts = {
        "step": 3,
        "history": [{"a": 0.1 + 0.2, "n": 1}],
        "best": None,
        "odd": [1e-320, 1.7976931348623157e308, float("inf")],
        "text": 'é "q" \n',
    }
    path = tmp_path / "x.safetensors"
    write(path, {"w": torch.ones(1)}, facts)
    assert read(path).facts == facts


def test_any_tool_opens_it_and_there_is_no_pickle(tmp_path):
    path = put(tmp_path, 5)
    with safe_open(path, "pt") as file:
        assert (
            list(file.keys()) == ["model/w"] and json.loads(file.metadata()["facts"])["step"] == 5
        )
    with pytest.raises(Exception):
        pickletools.dis(path.read_bytes())


@pytest.mark.parametrize("how", ["flip", "cut", "empty"])
def test_a_damaged_file_is_not_read(tmp_path, how):
    path = harm(put(tmp_path, 1), how)
    with pytest.raises(RunError, match="is damaged") as caught:
        read(path)
    assert path.name in caught.value.what and "restart=True" in caught.value.fix


def test_names_sort_as_their_steps_do():
    names = [name_of(step) for step in (0, 9, 10, 999_999_999)]
    assert names == sorted(names) and [step_of(checkpoint.Path(n)) for n in names] == [
        0,
        9,
        10,
        999_999_999,
    ]
    assert step_of(checkpoint.Path("checkpoint-x.safetensors")) == -1


# --- an optimizer's state -----------------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True}, "Adam": {"lr": 0.1, "amsgrad": True}, "AdamW": {"lr": 0.1, "fused": True},
    "Adamax": {"lr": 0.1},
    "NAdam": {"lr": 0.1}, "RAdam": {"lr": 0.1}, "RMSprop": {"lr": 0.1, "momentum": 0.9, "centered": True}, "Rprop": {"lr": 0.1},
    "ASGD": {"lr": 0.1},
    "Adagrad": {"lr": 0.1}, "Adadelta": {"lr": 0.1}, "Adafactor": {"lr": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if hasattr(torch.optim, n)])
def test_every_optimizer_of_torch_goes_on_bit_for_bit_from_its_packed_state(name, tmp_path):
    def learn(model, optimizer, steps):
        for _ in range(steps):
            model(torch.ones(2, 4)).pow(2).mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    def fresh():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        return model, getattr(torch.optim, name)(
            [{"params": model[0].parameters()}, {"params": model[1].parameters(), "lr": 0.02}],
            **OPTIMIZERS[name],
        )

    whole, optimizer = fresh()
    learn(whole, optimizer, 2)
    tensors = {f"model/{k}": v for k, v in whole.state_dict().items()}
    packed = pack(optimizer.state_dict(), tensors, "optimizer/")
    write(tmp_path / "x.safetensors", tensors, {"optimizer": packed})
    learn(whole, optimizer, 2)

    found = read(tmp_path / "x.safetensors")
    again, its = fresh()
    again.load_state_dict(under(found.tensors, "model/"))
    its.load_state_dict(unpack(found.facts["optimizer"], found.tensors))
    learn(again, its, 2)
    for mine, theirs in zip(again.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_nested_state_comes_back_with_its_own_types():
    state = {
        "state": {0: {"step": torch.tensor(3.0), "exp": [torch.ones(2), None]}},
        "groups": [
            {"betas": (0.9, 0.999), "flag": True, "n": None, 7: "x", (0, 1): torch.bfloat16}
        ],
    }
    tensors = {"model/w": torch.zeros(1)}
    packed = json.loads(json.dumps(pack(state, tensors, "optimizer/")))
    back = unpack(packed, tensors)
    assert (
        back["groups"] == state["groups"]
        and type(back["groups"][0]["betas"]) is tuple
        and list(back["state"]) == [0]
    )
    assert (
        back["state"][0]["step"] == 3
        and torch.equal(back["state"][0]["exp"][0], torch.ones(2))
        and back["state"][0]["exp"][1] is None
    )
    assert set(under(tensors, "optimizer/")) == {"1", "2"} and "model/w" in tensors


def test_state_that_looks_like_our_own_words_is_not_taken_for_it():
    for state in ({"tensor": "model/w"}, {"dict": [[1, 2]]}, {"tuple": [1]}, [{"tensor": 1}]):
        tensors = {"model/w": torch.zeros(1)}
        assert unpack(json.loads(json.dumps(pack(state, tensors, "o/"))), tensors) == state


def test_state_that_is_no_plain_data_is_refused_by_name():
    for thing in (object(), {1, 2}, print, {torch.ones(1): 1}):
        with pytest.raises(RunError, match=f"keeps a {type(thing).__name__}"):
            pack({"state": [thing]}, {}, "o/")


# --- the newest whole one -----------------------------------------------------------------------------------------


def test_nothing_there_is_none(tmp_path):
    assert newest(tmp_path, None, "r", start="s", complain=pytest.fail) is None
    assert (
        newest(tmp_path / "nowhere", Shelf(tmp_path), "r", start="s", complain=pytest.fail) is None
    )


def test_the_newest_is_found_in_silence(tmp_path):
    for step in (2, 10, 9):
        put(tmp_path, step)
    assert newest(tmp_path, None, "r", start="s", complain=pytest.fail).step == 10


@pytest.mark.parametrize("how", ["flip", "cut", "empty"])
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(tmp_path, how):
    put(tmp_path, 1)
    harm(put(tmp_path, 2), how)
    said = []
    assert newest(tmp_path, None, "r", start="s", complain=said.append).step == 1
    assert len(said) == 1 and name_of(2) in said[0] and "step 1" in said[0]


def test_a_damaged_one_behind_the_newest_is_nobodys_business(tmp_path):
    harm(put(tmp_path, 1))
    put(tmp_path, 2)
    assert newest(tmp_path, None, "r", start="s", complain=pytest.fail).step == 2


def test_all_damaged_is_an_error_and_no_silent_new_start(tmp_path):
    for step in (1, 2):
        harm(put(tmp_path, step))
    with pytest.raises(RunError, match=name_of(2)):
        newest(tmp_path, None, "r", start="s", complain=pytest.fail)


def test_a_later_file_of_another_start_is_passed_over_with_a_word(tmp_path):
    put(tmp_path, 9, start="before restart=True")
    assert newest(tmp_path, None, "r", start="s", complain=pytest.fail) is None
    put(tmp_path, 3)
    said = []
    assert newest(tmp_path, None, "r", start="s", complain=said.append).step == 3
    assert len(said) == 1 and f"{name_of(9)} is of another run" in said[0]


def test_a_checkpoint_under_the_name_of_a_later_one_is_damage(tmp_path):
    put(tmp_path, 3).rename(tmp_path / name_of(7))
    put(tmp_path, 2)
    said = []
    assert newest(tmp_path, None, "r", start="s", complain=said.append).step == 2
    assert "is another file" in said[0]


def test_best_weights_under_the_name_of_a_checkpoint_are_damage_and_the_other_way_round(tmp_path):
    put(tmp_path, 2, best={"file": name_of(2, "best")})
    write(tmp_path / name_of(2, "best"), {"w": torch.zeros(1)}, {"start": "s", "step": 2})
    whole, best = (tmp_path / name_of(2, kind) for kind in ("checkpoint", "best"))
    put(tmp_path, 1)
    content = whole.read_bytes()
    whole.write_bytes(best.read_bytes())
    said = []
    assert newest(tmp_path, None, "r", start="s", complain=said.append).step == 1
    assert "is another file" in said[0]
    whole.write_bytes(content)
    best.write_bytes(content)
    found = best_weights(tmp_path, read(whole), complain=said.append)
    assert found["w"].tolist() == [2.0] * 3 and "missing or damaged" in said[1]


@pytest.mark.parametrize("held", [{"step": 1}, {"start": "another", "step": 2}])
def test_best_weights_of_another_step_or_start_are_not_worn(tmp_path, held):
    put(tmp_path, 3, best={"file": name_of(2, "best")})
    write(tmp_path / name_of(2, "best"), {"w": torch.zeros(1)}, {"start": "s", **held})
    said = []
    found = best_weights(tmp_path, read(tmp_path / name_of(3)), complain=said.append)
    assert found["w"].tolist() == [3.0] * 3 and len(said) == 1


def test_a_newer_copy_on_the_shelf_is_brought_here_with_its_best_weights(tmp_path):
    here, there = tmp_path / "here", tmp_path / "shelf" / "r"
    put(here, 1)
    slot(there, "b", 3, best={"file": name_of(2, "best")})
    slot(there, "a", 2, kind="best")
    slot(there, "b", 3, kind="best")
    shelf = Shelf(tmp_path / "shelf")
    found = newest(here, shelf, "r", start="s", complain=pytest.fail)
    assert (
        found.step == 3
        and found.path == here / name_of(3)
        and shelf.asked == ["r/checkpoint-*.safetensors"]
    )
    assert sorted(p.name for p in here.iterdir()) == [name_of(2, "best"), name_of(1), name_of(3)]
    assert best_weights(here, found, complain=pytest.fail)["model/w"].tolist() == [2.0] * 3


@pytest.mark.parametrize("harmed", [{"start": "before restart=True"}, {}])
def test_best_weights_of_another_start_or_damaged_ones_are_not_brought(tmp_path, harmed):
    here, there = tmp_path / "here", tmp_path / "shelf" / "r"
    slot(there, "a", 3, best={"file": name_of(2, "best")})
    best = slot(there, "a", 2, kind="best", **harmed)
    if not harmed:
        harm(best, "cut")
    assert newest(here, Shelf(tmp_path / "shelf"), "r", start="s", complain=pytest.fail).step == 3
    assert [p.name for p in here.iterdir()] == [name_of(3)]


@pytest.mark.parametrize(("a", "b"), [(10, 20), (20, 10)])
def test_slots_rank_by_the_step_they_were_stamped_with_and_not_by_their_names(tmp_path, a, b):
    there = tmp_path / "shelf" / "r"
    slot(there, "a", a)
    slot(there, "b", b)
    slot(there, "c", 30, start="before restart=True")
    assert (
        newest(
            tmp_path / "here", Shelf(tmp_path / "shelf"), "r", start="s", complain=pytest.fail
        ).step
        == 20
    )


@pytest.mark.parametrize("how", ["flip", "cut", "empty"])
@pytest.mark.parametrize("letter", "ab")
def test_a_half_copied_slot_beside_a_whole_one_is_passed_over(tmp_path, how, letter):
    there = tmp_path / "shelf" / "r"
    slot(there, "b" if letter == "a" else "a", 10)
    harm(slot(there, letter, 20), how)
    said = []
    assert (
        newest(
            tmp_path / "here", Shelf(tmp_path / "shelf"), "r", start="s", complain=said.append
        ).step
        == 10
    )
    assert all("its copying broke off" in text and "step 10" in text for text in said)


def test_a_half_copied_slot_is_nobodys_business_where_the_folder_has_the_newest(tmp_path):
    here, there = tmp_path / "here", tmp_path / "shelf" / "r"
    put(here, 20)
    harm(slot(there, "a", 20), "cut")
    slot(there, "b", 10)
    assert newest(here, Shelf(tmp_path / "shelf"), "r", start="s", complain=pytest.fail).step == 20


def test_a_first_copy_that_broke_off_means_that_there_is_none_yet_and_two_damaged_ones_are_an_error(
    tmp_path,
):
    there, said = tmp_path / "shelf" / "r", []
    harm(slot(there, "a", 20), "cut")
    slot(there, "b", 90, start="before restart=True")
    assert (
        newest(tmp_path / "here", Shelf(tmp_path / "shelf"), "r", start="s", complain=said.append)
        is None
    )
    assert len(said) == 1 and "begins anew" in said[0]
    harm(slot(there, "b", 10), "cut")
    with pytest.raises(RunError, match="is damaged"):
        newest(tmp_path / "here", Shelf(tmp_path / "shelf"), "r", start="s", complain=said.append)


class Unreadable(Shelf):
    """A shelf of which Drive does not give a file, or the listing."""

    def __init__(self, root, monkeypatch, *, names=(), listing=False):
        super().__init__(root)
        self.listing = listing

        def opened(path, *a, **kw):
            if Path(path).name in names:
                raise OSError(5, "Input/output error", str(path))
            return open(path, *a, **kw)

        monkeypatch.setattr(checkpoint, "open", opened, raising=False)

    def find(self, name):
        if self.listing:
            raise DriveError(
                "r could not be read from Drive.", "Drive has dropped away", "kit.mount()"
            )
        return super().find(name)


@pytest.mark.parametrize("there", [("a",), ("a", "b")])
def test_copies_that_drive_does_not_give_are_an_error_and_no_silent_new_start(
    tmp_path, monkeypatch, there
):
    for step, letter in enumerate(there, 1):
        slot(tmp_path / "shelf" / "r", letter, step)
    shelf = Unreadable(
        tmp_path / "shelf",
        monkeypatch,
        names=[f"checkpoint-{letter}.safetensors" for letter in there],
    )
    with pytest.raises(RunError, match="could not be read") as error:
        newest(tmp_path / "here", shelf, "r", start="s", complain=pytest.fail)
    assert "Input/output" in error.value.why and "run the cell again" in error.value.fix
    monkeypatch.undo()
    assert newest(tmp_path / "here", shelf, "r", start="s", complain=pytest.fail).step == len(there)


def test_the_other_slot_stands_in_for_one_that_drive_does_not_give_and_that_is_said(
    tmp_path, monkeypatch
):
    there, said = tmp_path / "shelf" / "r", []
    slot(there, "a", 10)
    slot(there, "b", 20)
    shelf = Unreadable(tmp_path / "shelf", monkeypatch, names=["checkpoint-b.safetensors"])
    assert newest(tmp_path / "here", shelf, "r", start="s", complain=said.append).step == 10
    assert (
        len(said) == 1
        and "checkpoint-b" in said[0]
        and "Input/output" in said[0]
        and "step 10" in said[0]
    )


def test_a_shelf_that_cannot_be_listed_is_an_error_unless_the_folder_has_a_checkpoint(
    tmp_path, monkeypatch
):
    shelf, said = Unreadable(tmp_path / "shelf", monkeypatch, listing=True), []
    with pytest.raises(DriveError, match="could not be read"):
        newest(tmp_path / "here", shelf, "r", start="s", complain=said.append)
    path = put(tmp_path / "here", 7)
    assert newest(tmp_path / "here", shelf, "r", start="s", complain=said.append).step == 7
    assert len(said) == 1 and "dropped away" in said[0] and "step 7" in said[0]
    assert not checkpoint.is_kept(path, shelf, "r")


def test_best_weights_that_drive_does_not_give_are_not_left_behind(tmp_path, monkeypatch):
    there = tmp_path / "shelf" / "r"
    slot(there, "a", 3, best={"file": name_of(2, "best")})
    slot(there, "a", 2, kind="best")
    shelf = Unreadable(tmp_path / "shelf", monkeypatch, names=["best-a.safetensors"])
    with pytest.raises(RunError, match="best-a.safetensors could not be read"):
        newest(tmp_path / "here", shelf, "r", start="s", complain=pytest.fail)
    assert not list(tmp_path.glob("here/*"))


def test_of_two_equal_copies_the_one_here_is_used(tmp_path):
    here, there = tmp_path / "here", tmp_path / "shelf" / "r"
    put(here, 2)
    put(there, 2, tensors={"model/w": torch.zeros(3)})
    assert (
        newest(here, Shelf(tmp_path / "shelf"), "r", start="s", complain=pytest.fail)
        .tensors["model/w"]
        .tolist()
        == [2.0] * 3
    )


def test_a_damaged_one_here_is_replaced_by_its_copy_on_the_shelf(tmp_path):
    here, there = tmp_path / "here", tmp_path / "shelf" / "r"
    harm(put(here, 2))
    slot(there, "a", 2)
    said = []
    assert newest(here, Shelf(tmp_path / "shelf"), "r", start="s", complain=said.append).step == 2
    assert len(said) == 1 and name_of(2) in said[0] and checkpoint.is_whole(here / name_of(2))


def test_a_checkpoint_is_kept_where_a_whole_copy_of_that_very_file_is(tmp_path):
    here, there, shelf = tmp_path / "here", tmp_path / "shelf" / "r", Shelf(tmp_path / "shelf")
    path = put(here, 2)
    slot(there, "a", 2, start="another")
    assert not checkpoint.is_kept(path, shelf, "r")
    shutil.copy(path, there / "checkpoint-b.safetensors")
    assert checkpoint.is_kept(path, shelf, "r")
    content = (there / "checkpoint-b.safetensors").read_bytes()
    (there / "checkpoint-b.safetensors").write_bytes(content[:-1])
    assert not checkpoint.is_kept(path, shelf, "r")


# --- best weights, and what may go --------------------------------------------------------------------------------


def test_best_weights_are_those_spoken_of_else_the_averaged_else_the_last(tmp_path):
    tensors = {"model/w": torch.zeros(1), "model/n": torch.ones(1), "optimizer/0": torch.ones(9)}
    put(tmp_path, 1, tensors=tensors)
    assert {
        k: v.tolist()
        for k, v in best_weights(
            tmp_path, read(tmp_path / name_of(1)), complain=pytest.fail
        ).items()
    } == {
        "w": [0.0],
        "n": [1.0],
    }
    put(
        tmp_path,
        2,
        tensors={**tensors, "average/w": torch.full((1,), 5.0)},
        best={"file": name_of(1, "best")},
    )
    said = []
    found = best_weights(tmp_path, read(tmp_path / name_of(2)), complain=said.append)
    assert found["w"].tolist() == [5.0] and found["n"].tolist() == [1.0] and len(said) == 1
    write(tmp_path / name_of(1, "best"), {"w": torch.full((1,), 7.0)}, {"start": "s", "step": 1})
    assert best_weights(tmp_path, read(tmp_path / name_of(2)), complain=pytest.fail)[
        "w"
    ].tolist() == [7.0]


def test_two_generations_stay_and_only_the_best_that_they_speak_of(tmp_path):
    for step in (1, 2, 3):
        put(tmp_path, step)
        (tmp_path / name_of(step, "best")).touch()
    prune(tmp_path, 3)
    assert [step_of(p) for p in sorted(tmp_path.glob("checkpoint-*"))] == [2, 3]
    assert sorted(p.name for p in tmp_path.glob("best-*")) == [
        name_of(2, "best"),
        name_of(3, "best"),
    ]
    put(tmp_path, 4)
    prune(tmp_path, 4)
    assert [p.name for p in tmp_path.glob("best-*")] == [name_of(3, "best")], (
        "the steps 3 and 4 both speak of the best at 3"
    )


def test_a_damaged_one_that_lies_ahead_is_no_generation(tmp_path):
    for step in (1, 2, 3):
        put(tmp_path, step)
    harm(put(tmp_path, 9))
    prune(tmp_path, 3)
    assert [step_of(p) for p in sorted(tmp_path.glob("checkpoint-*"))] == [2, 3, 9]


def test_a_copy_that_was_only_half_brought_is_emptied_before_it_goes(tmp_path, monkeypatch):
    slot(tmp_path / "shelf" / "r", "a", 5)

    def half(source, target):
        Path(target).write_bytes(b"half")
        raise OSError(errno.EIO, "Input/output error", str(source))

    monkeypatch.setattr(shutil, "copyfile", half)
    deleted = deletions(monkeypatch)
    with pytest.raises(RunError):
        newest(tmp_path / "run", Shelf(tmp_path / "shelf"), "r", start="s", complain=print)
    assert [size for _, size in deleted] == [0] and list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(("start", "first"), [("s", 7.0), ("t", 3.0)])
def test_best_weights_of_another_run_in_the_folder_are_not_taken(tmp_path, start, first):
    put(tmp_path, 3, best={"file": name_of(2, "best")})
    mark = {"step": 2, "start": start}
    write(tmp_path / name_of(2, "best"), {"model/w": torch.full((3,), 7.0)}, mark)
    found, said = newest(tmp_path, None, "r", start="s", complain=pytest.fail), list[str]()
    taken = best_weights(tmp_path, found, complain=said.append)
    weights = next(iter(taken.values()))
    assert (weights[0].item(), len(said)) == (first, int(start != "s"))
