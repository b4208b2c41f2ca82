"""Findings of the machine, from described ones, and how they are shown."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from colab_kit.data.dataset import Data, Split
from colab_kit.data.sources import Arrays
from colab_kit.models.summary import summarise
from colab_kit.recipe import Recipe
from colab_kit.system.runtime import Runtime, runtime
from colab_kit.training.findings import Finding, FirstLook, examine
from colab_kit.training.trials import Preflight
from tests.support.tasks import Small

LAPTOP = dataclasses.replace(
    runtime(),
    where="python",
    device="cpu",
    gpu=None,
    session_age=None,
    precision="fp32",
    why={"device": "no GPU was found"},
)
COLAB = dataclasses.replace(LAPTOP, where="colab", session_age=600.0)
T4 = dataclasses.replace(
    COLAB, device="cuda", gpu="Tesla T4", precision="fp16", why={"device": "nvidia-smi lists it"}
)
BROKEN = dataclasses.replace(
    LAPTOP,
    gpus=1,
    why={"device": "Tesla T4 is there, but torch 2.14 is a CPU build; install torch for CUDA"},
)


def seen(where: Runtime = LAPTOP, **changed) -> FirstLook:
    source = Arrays(
        torch.zeros(9, 3, 2, 2, dtype=torch.uint8)
        + torch.arange(9, dtype=torch.uint8).view(9, 1, 1, 1),
        np.arange(9) % 3,
    )
    data = Data(Split(source, np.arange(9)), None, None, ("a", "b", "c"), "x", "x")
    plain = {
        "data": data, "recipe": Recipe(), "runtime": where, "device": where.device, "x": torch.rand(3, 3, 2, 2), "y": torch.arange(3),
        "sample": torch.rand(3, 3, 2, 2), "output": torch.eye(3), "loss": 1.1, "kind": "logits", "wants": "logits", "seconds": 10.0, "drive": True,
    }  # fmt: skip
    return FirstLook(**{**plain, **changed})


@pytest.mark.parametrize(
    ("where", "changed", "words"),
    [
        (LAPTOP, {}, []), (COLAB, {}, []), (T4, {}, []),
        (COLAB, {"seconds": 11400.0}, ["You are on a CPU: this will take about 3 h 10 min.", "Runtime ▸ Change runtime type ▸ T4"]),
        (LAPTOP, {"seconds": 11400.0}, ["You are on a CPU: this will take about 3 h 10 min."]),
        (T4, {"device": "cpu"}, ["There is a Tesla T4, and training runs on the CPU.", "Leave device= out"]),
        (BROKEN, {}, ["There is a GPU, and torch cannot use it.", "is a CPU build"]),
        (COLAB, {"drive": False}, ["No Drive is mounted: this run dies with the machine.", "kit.mount()"]),
        (T4, {"drive": False}, ["No Drive is mounted"]),
        (T4, {"seconds": 43000.0}, ["The session ends before the run does.", "11 h 50 min left", "max_time='session'"]),
    ],
)  # fmt: skip
def test_a_described_machine_is_told_what_matters_there_and_no_more(where, changed, words):
    found = examine(seen(where, **changed))
    assert bool(found) == bool(words) and all(word in str(found[0]) for word in words), found


def test_errors_come_first_and_decide():
    found = examine(seen(COLAB, drive=False, output=torch.full((3, 3), float("nan"))))
    assert [finding.level for finding in found] == ["error", "warning"] and not Preflight(found).ok
    assert Preflight(found[1:]).ok and Preflight(()).ok


def test_it_prints_as_a_table_and_names_are_escaped():
    bad = Finding("warning", "The <b>first</b> thing.", "why not", "mend it")
    found = Preflight((bad,), summarise(Small(), torch.rand(2, 3, 8, 8)), {"cpu": 0.012})
    assert (
        "warning: The <b>first</b> thing. Why not. Mend it." in repr(found)
        and "12 ms on cpu" in repr(found)
        and "Conv2d" in repr(found)
    )
    assert "<b>" not in found._repr_html_() and "Conv2d" in found._repr_html_()
    assert (
        "Nothing was found" in repr(Preflight(()))
        and "Nothing was found" in Preflight(())._repr_html_()
    )


def test_a_finding_without_a_reason_is_its_sentence():
    assert str(Finding("warning", "So it is.", "", "")) == "So it is."


@pytest.mark.parametrize(
    ("twice", "level", "words"),
    [(1, "note", "A picture of the test split is"), (2, "warning", "2 pictures")],
)
def test_under_a_hundredth_of_overlap_is_a_note_as_large_public_sets_hold_some(twice, level, words):
    x = torch.arange(300, dtype=torch.int32).view(300, 1).repeat(1, 3)
    x[100 : 100 + twice] = x[:twice]
    source = Arrays(x, np.arange(300) % 3)
    splits = Split(source, np.arange(100)), None, Split(source, np.arange(100, 300), "test")
    (found,) = [
        f
        for f in examine(seen(data=Data(*splits, ("a", "b", "c"), "x", "x")))
        if "training split too" in f.what
    ]
    assert (
        found.level == level
        and found.what.startswith(words)
        and ("flatter" in found.why) == (level == "warning")
    )


def test_a_network_that_answers_the_same_is_dead_only_if_no_gradient_reaches_it():
    same = torch.tensor([[1.0, 2.0, 3.0]]).repeat(3, 1)
    assert not examine(seen(output=same, loss=1.4))
    assert [f.level for f in examine(seen(output=same, loss=1.4, reached=False))] == ["warning"]


@pytest.mark.parametrize(
    ("kind", "wants"),
    [("logits", "nll_loss"), ("probabilities", "nll_loss"), ("probabilities", "cross_entropy")],
)
def test_a_loss_of_the_users_is_judged_by_what_it_gives(kind, wants):
    output = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    output = output.softmax(1) if kind == "probabilities" else output
    value = float(getattr(torch.nn.functional, wants)(output, torch.arange(3)))
    assert len(examine(seen(output=output, loss=value, kind=kind, wants=None))) == 1
    assert not examine(seen(output=output, loss=value + 0.1, kind=kind, wants=None))


def test_a_loss_of_zero_is_judged_by_nobody():
    assert not examine(seen(output=torch.zeros(3, 3), loss=0.0, wants=None))
