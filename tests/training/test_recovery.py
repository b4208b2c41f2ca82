"""The rollback: a lost loss sends the run back with smaller steps, at most thrice, and a kill replays none of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from colab_kit import api
from colab_kit.errors import TrainError
from colab_kit.events import Note, StepDone
from colab_kit.runs.run import Run
from colab_kit.training import checkpoint, recovery
from tests.support.tasks import Small, small_data


class Losing:
    """Cross-entropy that is not finite at these calls of training."""

    def __init__(self, *calls: int) -> None:
        self.calls, self.count = calls, 0

    def __call__(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = functional.cross_entropy(output, y)
        if not loss.requires_grad:
            return loss
        self.count += 1
        return loss * float("nan") if self.count in self.calls else loss


def quietly(loss: Any, heard: list[Any] | None = None, run_dir: str = "run", **fields: Any) -> Run:
    given = {
        "batch_size": 4,
        "epochs": 2,
        "save_every_steps": 4,
        "lr_schedule": "constant",
        "lr": 1e-2,
        **fields,
    }
    return api.train(
        Small,
        small_data("arrays"),
        loss=loss,
        run_dir=run_dir,
        callbacks=None if heard is None else [heard.append],
        quiet=True,
        **given,
    )


def test_it_goes_back_to_the_last_checkpoint_with_a_quarter_of_the_rate_and_says_so_loudly():
    heard: list[Any] = []
    run = quietly(Losing(7), heard)
    note = next(
        note for note in heard if isinstance(note, Note) and "The loss was nan" in note.text
    )
    assert (
        note.level == "warn"
        and "at step 7. Back to step 4 with the learning rate times 0.25 (1 of at most 3 times)"
        in note.text
    )
    steps = [(event.step, event.lr) for event in heard if isinstance(event, StepDone)]
    assert steps == [*((n, 1e-2) for n in range(1, 7)), *((n, 2.5e-3) for n in range(5, 13))]
    assert run.status == "finished" and [row["step"] for row in run.history] == [6, 12]


def test_the_history_beside_the_run_has_each_epoch_once():
    run = quietly(Losing(7), validate_every_steps=1)
    rows = (run.folder / "history.csv").read_text().splitlines()[1:]
    assert len(rows) == len(run.history) == 12


def test_after_three_times_the_error_says_what_to_do():
    with pytest.raises(TrainError, match="after 3 restarts with lower learning rates") as caught:
        quietly(Losing(5, 6, 7, 8), save_every_steps=4)
    assert "lr=" in caught.value.fix


def test_three_times_are_forgiven():
    run = quietly(Losing(5, 6, 7))
    found = checkpoint.read(max(run.folder.glob("checkpoint-*.safetensors")))
    assert (found.facts["rollbacks"], found.facts["lr_factor"], run.status) == (
        3,
        recovery.SMALLER**3,
        "finished",
    )


def test_a_loss_that_is_lost_at_the_first_step_is_an_error_at_once():
    with pytest.raises(TrainError, match="first step"):
        quietly(Losing(1))


def test_count_and_factor_are_saved_before_the_next_step():
    class Watch(list[Any]):
        def append(self, event: Any) -> None:
            if isinstance(event, StepDone) and event.step == 5 and event.lr < 1e-2:
                self.extend(
                    checkpoint.read(path).facts
                    for path in sorted(run_folder.glob("checkpoint-*.safetensors"))
                )

    from pathlib import Path

    run_folder = Path("run")
    seen = Watch()
    quietly(Losing(7), seen)
    assert [(facts["step"], facts["rollbacks"], facts["lr_factor"]) for facts in seen] == [
        (0, 0, 1.0),
        (4, 1, 0.25),
    ]


def test_what_was_written_after_the_step_it_went_back_to_is_gone(tmp_path):
    for name in (
        "checkpoint-000000004",
        "checkpoint-000000009",
        "best-000000009",
        "best-000000003",
    ):
        (tmp_path / f"{name}.safetensors").touch()
    checkpoint.forget_after(tmp_path, 4)
    assert sorted(path.stem for path in tmp_path.iterdir()) == [
        "best-000000003",
        "checkpoint-000000004",
    ]


def test_a_lost_validation_goes_back_too():
    class Blind(Losing):
        def __call__(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            loss = functional.cross_entropy(output, y)
            if loss.requires_grad or len(y) != 5:  # of 9 pictures, 4 and 5: one call a validation
                return loss
            self.count += 1
            return loss * float("nan") if self.count in self.calls else loss

    heard: list[Any] = []
    run = quietly(Blind(1), heard)
    assert (
        run.status == "finished"
        and sum("Back to step" in getattr(event, "text", "") for event in heard) == 1
    )
