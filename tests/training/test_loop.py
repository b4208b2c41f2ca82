"""The loop: its steps are the right ones, it stops where it is told to, and goes on as if it had not."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from colab_kit.api import train
from colab_kit.data import prefetch
from colab_kit.data.batches import BatchLoader
from colab_kit.data.dataset import Data, Split
from colab_kit.data.loading import load
from colab_kit.data.preprocess import Preprocess
from colab_kit.data.sources import Arrays
from colab_kit.errors import TrainError
from colab_kit.events import (
    Control,
    EpochDone,
    Event,
    Note,
    RunStarted,
    StepDone,
    set_milestone_hook,
)
from colab_kit.runs import running as runs
from colab_kit.runs.run import Run
from colab_kit.training import checkpoint
from tests.support.pictures import class_folders
from tests.support.tasks import Small, small_data


class Plain(nn.Module):
    """No BatchNorm, no dropout, float64: equal up to the order of sums."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(192, 8), nn.Tanh(), nn.Linear(8, 3)).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.flatten(1).double())


class Counting(Plain):
    """Remembers how many pictures each training batch had."""

    seen: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen.append(len(x))
        return super().forward(x)


def quietly(
    model: Any,
    run_dir: str,
    data: Any = None,
    hear: Callable[[Event], Any] = lambda event: None,
    **fields: Any,
) -> Run:
    return train(
        model,
        data or small_data("arrays"),
        run_dir=run_dir,
        callbacks=[hear],
        quiet=True,
        **{"batch_size": 4, "epochs": 2, **fields},
    )


def only_training(n: int) -> Data:
    rng = np.random.default_rng(3)
    source = Arrays(
        torch.from_numpy(rng.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)), rng.integers(0, 3, n)
    )
    return Data(Split(source, np.arange(n)), None, None, ("a", "b", "c"), "few", f"few-{n}")


def bits(run: Run) -> str:
    """One hash over the newest checkpoint: weights, optimizer, history and counters."""
    found = checkpoint.read(
        max(run.folder.glob("checkpoint-*.safetensors"), key=checkpoint.step_of)
    )
    parts = [
        name.encode() + t.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        for name, t in sorted(found.tensors.items())
    ]
    kept = {
        k: found.facts[k]
        for k in ("history", "best", "waited", "step", "epoch", "batch", "sums", "optimizer")
    }
    return hashlib.sha256(b"".join(parts) + repr(kept).encode()).hexdigest()


def weights(run: Run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def test_accumulated_batches_learn_as_one_bigger_batch_does():
    same = {"data": only_training(22), "optimizer": "sgd", "lr": 0.1, "lr_schedule": "constant"}
    big = quietly(Plain, "big", batch_size=8, **same)
    small = quietly(Plain, "small", batch_size=4, grad_accum_steps=2, **same)
    torch.testing.assert_close(weights(small), weights(big), rtol=0, atol=1e-14)
    assert small.history[-1]["step"] == big.history[-1]["step"] == 6  # 8, 8 and 6 pictures, twice


def test_a_clipped_step_is_no_longer_than_clip_times_the_learning_rate():
    def moved(run_dir: str, **fields: Any) -> float:
        torch.manual_seed(0)
        net = Plain()
        before = torch.cat([p.detach().flatten().clone() for p in net.parameters()])
        plain = {
            "optimizer": "sgd",
            "lr": 0.5,
            "momentum": 0.0,
            "lr_schedule": "constant",
            "batch_size": 64,
            "epochs": 1,
        }
        return float(
            (
                weights(quietly(net, run_dir, data=only_training(8), **plain, **fields)) - before
            ).norm()
        )

    assert moved("clipped", max_grad_norm=0.01) == pytest.approx(0.005, rel=1e-3)
    assert moved("free") > 0.05


def test_the_last_batch_is_ragged_and_never_a_single_picture():
    Counting.seen.clear()
    quietly(Counting, "a", data=only_training(23), epochs=1)
    assert Counting.seen == [4, 4, 4, 4, 4, 3]
    Counting.seen.clear()
    quietly(Counting, "b", data=only_training(21), epochs=1)
    assert Counting.seen == [4, 4, 4, 4, 5]


def test_validating_every_second_step_adds_rows_between_the_epochs_and_none_twice():
    run = quietly(Small, "a", validate_every_steps=2)
    assert [row["step"] for row in run.history] == [2, 4, 6, 8, 10, 12]
    assert [row["epoch"] for row in run.history] == pytest.approx(
        [1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2]
    )
    assert all(
        {"train/loss", "train/top1", "valid/loss", "valid/top1", "lr"} <= row.keys()
        for row in run.history
    )


def test_more_frequent_validation_does_not_change_what_is_learned():
    assert torch.equal(last(quietly(Small, "a")), last(quietly(Small, "b", validate_every_steps=1)))


def last(run: Run) -> torch.Tensor:
    """The last weights, not the best ones."""
    found = checkpoint.read(
        max(run.folder.glob("checkpoint-*.safetensors"), key=checkpoint.step_of)
    )
    return torch.cat([t.flatten() for t in checkpoint.under(found.tensors, "model/").values()])


def test_early_stopping_ends_the_run_and_more_patience_goes_on():
    still = {"lr": 0.0, "momentum": 0.0, "optimizer": "sgd", "epochs": 9}
    run = quietly(Plain, "a", patience=2, **still)
    assert (
        run.status == "finished"
        and run.reason == "early stopping: valid/loss is not better since epoch 1"
    )
    assert len(run.history) == 3
    run = quietly(Plain, "a", patience=4, **still)
    assert len(run.history) == 5 and run.reason.startswith("early stopping")


def test_a_run_that_stopped_early_is_returned_at_once():
    still = {"lr": 0.0, "optimizer": "sgd", "epochs": 9, "patience": 2}
    first, heard = quietly(Plain, "a", **still), []
    again = quietly(Plain, "a", hear=heard.append, **still)
    assert (again.status, again.reason, list(again.history)) == (
        "finished",
        first.reason,
        list(first.history),
    )
    assert not [e for e in heard if isinstance(e, (RunStarted, StepDone))]


def test_patience_counts_validations_inside_an_epoch_too():
    run = quietly(Plain, "a", lr=0.0, optimizer="sgd", patience=2, validate_every_steps=1)
    assert [row["step"] for row in run.history] == [1, 2, 3]
    run = quietly(Plain, "a", lr=0.0, optimizer="sgd", patience=50, validate_every_steps=1)
    assert [row["step"] for row in run.history] == list(range(1, 13)), (
        "more patience goes on in the middle of the epoch"
    )


def test_the_runs_weights_are_those_of_the_best_validation():
    run = quietly(Small, "a", epochs=4, lr=0.3, lr_schedule="constant")
    losses = [row["valid/loss"] for row in run.history]
    assert losses.index(min(losses)) < len(losses) - 1, (
        "the last epoch must not be the best for this test"
    )
    assert run.best == {
        "epoch": 1.0 + losses.index(min(losses)),
        "metrics": run.history[losses.index(min(losses))],
    }
    assert run.evaluate("valid").loss == pytest.approx(min(losses), rel=1e-5)
    assert not torch.equal(
        torch.cat([t.flatten() for t in run.model.state_dict().values()]), last(run)
    )


def test_another_monitor_compares_values_of_its_own_metric():
    quietly(Small, "a", epochs=1, lr=0.02)
    run = quietly(Small, "a", epochs=6, lr=0.02, monitor="train/top1")
    top1 = [row["train/top1"] for row in run.history]
    assert run.best["metrics"]["train/top1"] == max(top1) > top1[0], (
        "a top-1 is not compared with a loss"
    )


def test_a_pause_saves_and_waits_until_another_thread_says_go_on():
    control, heard = Control(), []

    def wake(folder: Path) -> None:
        heard.append((runs.live[folder].status, len(list(folder.glob("checkpoint-000000004.*")))))
        control.resume()

    def hear(event: Event) -> None:
        if isinstance(event, StepDone) and event.step == 4:
            control.pause()
        if isinstance(event, Note) and event.text.startswith("Paused after step 4"):
            threading.Thread(target=wake, args=(Path("a").absolute(),)).start()

    run = quietly(Small, "a", hear=hear, control=control)
    assert heard == [("paused", 1)]
    assert run.status == "finished" and bits(run) == bits(quietly(Small, "b"))


def test_a_stop_wakes_a_paused_run():
    control = Control()

    def hear(event: Event) -> None:
        if isinstance(event, StepDone) and event.step == 4:
            control.pause()
        if isinstance(event, Note) and event.text.startswith("Paused"):
            control.stop("enough")

    run = quietly(Small, "a", hear=hear, control=control)
    assert (run.status, run.reason) == ("stopped", "enough")


@pytest.mark.parametrize("step", [1, 4, 6, 11])
def test_a_run_stopped_after_a_step_goes_on_to_the_same_bits(step):
    control = Control()
    stop = lambda event: (
        control.stop() if isinstance(event, StepDone) and event.step == step else None
    )
    fields = {"validate_every_steps": 4, "ema_decay": 0.9, "mixup": 0.3, "warmup_epochs": 0.5}
    stopped = quietly(Small, "a", hear=stop, control=control, **fields)
    assert (stopped.status, stopped.reason) == ("stopped", "stopped by hand")
    again = quietly(Small, "a", **fields)
    assert again.status == "finished" and bits(again) == bits(quietly(Small, "b", **fields))


class StopAt(Control):
    """Stops at the n-th hit of a point."""

    def __init__(self, point: str, nth: int) -> None:
        super().__init__()
        self.point, self.nth, self.hits = point, nth, Counter[str]()
        set_milestone_hook(self.pass_by)

    def pass_by(self, point: str, path: Path | None) -> None:
        self.hits[point] += 1
        if point == self.point and self.hits[point] == self.nth:
            self.stop("in the middle")


@pytest.mark.parametrize("nth", [1, 2, 5, 8])
def test_a_run_stopped_in_validation_repeats_it_whole(nth):
    stopped = quietly(Small, "a", control=StopAt("in_validation", nth), validate_every_steps=4)
    assert (stopped.status, stopped.reason) == ("stopped", "in the middle")
    assert (
        len(stopped.history) == (nth - 1) // 2
    )  # two batches a validation: the one cut short left no row
    again = quietly(Small, "a", validate_every_steps=4)
    assert again.status == "finished" and bits(again) == bits(
        quietly(Small, "b", validate_every_steps=4)
    )


def test_a_stop_after_the_last_step_still_validates_on_the_next_call():
    control = Control()
    quietly(
        Small,
        "a",
        hear=lambda e: control.stop() if isinstance(e, StepDone) and e.step == 12 else None,
        control=control,
    )
    assert len(quietly(Small, "a").history) == 2


TRAP = {"sprung": False}  # not a part of the loss: its identity must not change


def trapped(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(output, y) * (float("nan") if TRAP["sprung"] else 1.0)


def test_a_loss_that_stays_lost_ends_the_run_and_leaves_the_last_step_whole():
    def spring(event: Event) -> None:
        if isinstance(event, StepDone):
            TRAP["sprung"] = TRAP["sprung"] or event.step == 5

    with pytest.raises(TrainError, match="loss is nan at step 5, after 3 restarts") as error:
        quietly(Small, "a", hear=spring, loss=trapped, save_every_steps=1)
    assert "learning rate" in error.value.why and "lr=" in error.value.fix
    left = sorted(path.name for path in Path("a").glob("checkpoint-*"))
    assert left == ["checkpoint-000000004.safetensors"], "the second time it goes back one further"
    assert all(
        bool(t.isfinite().all()) for t in checkpoint.read(Path("a", left[-1])).tensors.values()
    )
    TRAP["sprung"] = False
    again = quietly(Small, "a", loss=trapped, save_every_steps=1)
    assert again.status == "finished" and again.history[-1]["step"] == 12


def test_a_damaged_picture_is_left_out_and_the_order_of_the_others_stays(tmp_path):
    data = load(class_folders(tmp_path / "pets", each=10), valid=0, quiet=True)
    preprocess = Preprocess(size=16, channels=3)

    def order() -> list[list[int]]:
        feed = BatchLoader(data.train, preprocess, batch_size=4, device=torch.device("cpu"))
        return [batch.index.tolist() for batch in feed.shuffled(0)]

    before, victim = order(), int(data.train.rows[2])
    path = data.train.source.paths[victim]
    path.write_bytes(path.read_bytes()[:60])
    prefetch.forget()  # as a new process would find it
    assert order() == [[row for row in rows if row != victim] for rows in before]
    heard: list[Event] = []
    run = train(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(16 * 16 * 3, 2)), data, run_dir="a",
        image_size=16, epochs=2, batch_size=4, callbacks=[heard.append], quiet=True,
    )  # fmt: skip
    said = [e.text for e in heard if isinstance(e, Note) and path.name in e.text]
    assert run.status == "finished" and len(said) == 1 and "left out" in said[0]
    assert len([e for e in heard if isinstance(e, EpochDone)]) == 2


def test_a_batch_of_damaged_pictures_only_is_passed_over(tmp_path):
    data = load(class_folders(tmp_path / "pets", each=6), valid=0, quiet=True)
    feed = BatchLoader(data.train, Preprocess(size=16), batch_size=4, device=torch.device("cpu"))
    for row in next(iter(feed.shuffled(0))).index:
        data.train.source.paths[row].write_bytes(b"nothing")
    net = nn.Sequential(nn.Flatten(), nn.Linear(16 * 16 * 3, 2))
    run = train(net, data, run_dir="a", image_size=16, epochs=1, batch_size=4, quiet=True)
    assert run.status == "finished" and run.history[-1]["step"] == 3
