"""Memory: a batch that does not fit is trained in pieces, the step stays what it was, and the word exact is withdrawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit import api
from colab_kit.data.batches import Batch
from colab_kit.errors import TrainError
from colab_kit.events import Note
from colab_kit.models.inference import is_out_of_memory, let_go
from colab_kit.training.probing import largest_batch
from colab_kit.training.recovery import pieces, twice_as_many
from tests.support.tasks import small_data

LIMIT = {"rows": 10**9}


class Tight(nn.Module):
    """Runs out of memory above so many pictures. No BatchNorm: pieces must give the whole batch's gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(192, 8), nn.Tanh(), nn.Linear(8, 3)).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > LIMIT["rows"] and (self.training or LIMIT.get("eval")):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.fc(x.flatten(1).double())


@pytest.fixture(autouse=True)
def plenty():
    yield
    LIMIT.clear()
    LIMIT["rows"] = 10**9


def trained(out: str, heard: list[Any] | None = None, **fields: Any):
    given = {"batch_size": 8, "epochs": 2, "optimizer": "sgd", "lr": 0.05, **fields}
    return api.train(
        Tight,
        small_data("arrays"),
        run_dir=out,
        callbacks=None if heard is None else [heard.append],
        quiet=True,
        **given,
    )


def weights(run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


@pytest.mark.parametrize("fields", [{}, {"grad_accum_steps": 2}, {"mixup": 0.4}, {"cutmix": 1.0}])
def test_a_step_in_pieces_is_the_step_of_the_whole_batch(fields):
    whole, heard = trained("whole", **fields), []
    LIMIT["rows"] = 3
    cut = trained("cut", heard, **fields)
    assert cut.status == "finished" and [row["step"] for row in cut.history] == [
        row["step"] for row in whole.history
    ]
    torch.testing.assert_close(weights(cut), weights(whole), rtol=0, atol=1e-9)
    assert cut.history[0]["train/loss"] == pytest.approx(whole.history[0]["train/loss"], abs=1e-9)
    told = [e.text for e in heard if isinstance(e, Note) and "Out of memory" in e.text]
    assert (
        len(told) == 2
        and "8 pictures at a time are too many. Going on with 4 at a time" in told[0]
        and "with 2 at a time" in told[1]
    )
    assert "not exact" in told[0]


def test_the_number_of_pieces_is_remembered_and_the_promise_with_it():
    LIMIT["rows"] = 4
    trained("run", epochs=1)
    heard: list[Any] = []
    trained("run", heard, epochs=2)
    texts = [e.text for e in heard if isinstance(e, Note)]
    assert not any("Out of memory" in text for text in texts) and any(
        "in pieces since memory ran out" in text for text in texts
    )


def test_validation_goes_on_in_pieces_too():
    whole = trained("whole")
    LIMIT.update(rows=4, eval=True)
    cut = trained("cut")
    assert cut.history[-1]["valid/loss"] == pytest.approx(whole.history[-1]["valid/loss"], abs=1e-9)


def test_where_two_pictures_do_not_fit_the_error_says_what_would():
    LIMIT["rows"] = 1
    with pytest.raises(TrainError, match="Not even two pictures") as caught:
        trained("run")
    assert "smaller network" in caught.value.fix


@pytest.mark.parametrize(
    ("err", "is_one"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory (…)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True), (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)  # fmt: skip
def test_running_out_of_memory_is_told_from_other_errors(err, is_one):
    assert is_out_of_memory(err) is is_one


def test_other_errors_of_the_network_are_not_swallowed():
    class Broken(Tight):
        def forward(self, x):
            if self.training:
                raise RuntimeError("something else")
            return super().forward(x)

    with pytest.raises(RuntimeError, match="something else"):
        api.train(Broken, small_data("arrays"), run_dir="run", quiet=True)


@pytest.mark.parametrize(
    ("n", "k"), [(8, 1), (8, 2), (9, 2), (7, 4), (5, 8), (2, 4), (1, 2), (3, 2)]
)
def test_pieces_are_the_batch_and_none_is_a_single_picture(n, k):
    batch = Batch(torch.arange(n), torch.arange(n), np.arange(n))
    parts = [piece for piece, _ in pieces(batch, k)]
    assert torch.cat([piece.x for piece in parts]).tolist() == list(range(n)) and len(parts) <= k
    assert all(len(piece.y) >= min(n, 2) for piece in parts)


def test_a_failed_steps_tensors_are_let_go():
    import weakref

    class Thing:
        pass

    seen = []

    def step():
        held = Thing()
        seen.append(weakref.ref(held))
        raise RuntimeError("out of memory")

    try:
        step()
    except RuntimeError as err:
        kept = err
    assert seen[0]() is not None
    let_go(kept)
    assert seen[0]() is None


def test_pieces_double_until_two_pictures():
    assert (
        twice_as_many(1, 8, RuntimeError("x"))[0] == 2
        and twice_as_many(2, 8, RuntimeError("x"))[0] == 4
    )
    with pytest.raises(TrainError):
        twice_as_many(4, 8, RuntimeError("x"))


def test_the_largest_batch_stays_within_its_share_and_survives_running_out():
    assert largest_batch(lambda n: 100 * n, 10_000, 10**6)[0] == 64
    assert largest_batch(lambda n: 1, 10_000, 100)[0] == 64

    def bursts(n: int) -> int:
        if n > 16:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return 1

    n, why = largest_batch(bursts, 10_000, 10**6)
    assert n == 16 and "80%" in why
    with pytest.raises(TrainError, match="Not even two"):
        largest_batch(lambda n: 10**9, 10, 10)


def test_an_automatic_batch_size_is_chosen_once_with_its_reason_and_stays():
    run = trained("run", batch_size="auto", epochs=1)
    assert run.choices["batch_size"][0] == 64 and "usual" in run.choices["batch_size"][1]
    assert (
        trained("run", batch_size="auto", epochs=2).choices["batch_size"]
        == run.choices["batch_size"]
    )


def test_a_described_gpu_is_filled_to_its_share(monkeypatch):
    seen, peak = [], [0]

    def reset(device):
        peak[0] = 0

    def properties(device):
        return type("Properties", (), {"total_memory": 1000 * 192 * 8 * 2})

    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: seen[-1] * 192 * 8 * 10)

    class Watching(Tight):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    from colab_kit.training.probing import step_bytes

    net = Watching()
    few = Batch(torch.rand(8, 3, 8, 8), torch.arange(8) % 3, np.arange(8))
    before = {name: t.clone() for name, t in net.state_dict().items()}
    found, _ = largest_batch(
        lambda n: step_bytes(net, few, n, torch.device("cuda")), properties(0).total_memory, 10_000
    )
    assert found == 128 and seen == [2, 4, 8, 16, 32, 64, 128, 256]
    assert (
        all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
        and net.fc[0].weight.grad is None
    )
