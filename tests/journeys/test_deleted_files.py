"""Files of a run's folder are deleted, each alone and all together, at each stage of the run.

Then it is opened and its cell runs again: the answers are those of a run that nobody touched, or
what is missing is said.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colab_kit.api import train
from colab_kit.data.loading import load
from colab_kit.errors import RunError
from colab_kit.events import Event, Note, StepDone
from colab_kit.models import nets
from colab_kit.runs.opening import open_run
from colab_kit.runs.run import Run

RNG = np.random.Generator(np.random.Philox(5))
X, Y = RNG.integers(0, 256, (32, 8, 8), dtype=np.uint8), RNG.integers(0, 3, 32)
PARTS = ["best", "checkpoint", "the checkpoint before", "choices.json", "history.csv", "run.json"]
PARTS += [".lock", "all"]


class Heard:
    """Keep the notes; do something at a step."""

    def __init__(self, do: Callable[[], Any] = lambda: None, *, at: int = -1):
        self.notes, self.do, self.at = "", do, at

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note):
            self.notes += event.text + "\n"
        if isinstance(event, StepDone) and event.step == self.at:
            self.do()


def cell(folder: Path, heard: Heard, epochs: int = 3) -> Run:
    """Four steps an epoch, each of them saved."""
    data = load((X, Y), valid=0.25, quiet=True)
    how = {
        "epochs": epochs,
        "batch_size": 6,
        "save_every_steps": 1,
        "image_size": 8,
        "lr_schedule": "constant",
    }
    return train(nets.mlp, data, run_dir=folder, callbacks=[heard], quiet=True, **how)


def remove(folder: Path, part: str) -> str:
    """Delete a part of a run's folder, the newest of its kind; give the file's name."""
    if part == "all":
        shutil.rmtree(folder)
        return ""
    kind, number = {"the checkpoint before": ("checkpoint", -2)}.get(part, (part, -1))
    file = sorted(folder.glob(f"{kind}*"))[number]
    file.unlink()
    return file.name


def answer(run: Run) -> list[float]:
    return run.predict(X[0], quiet=True).probabilities.tolist()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return answer(cell(tmp_path_factory.mktemp("untouched") / "run", Heard()))


@pytest.mark.parametrize("part", PARTS)
def test_what_is_deleted_while_a_run_trains_is_written_again(part, tmp_path, untouched):
    folder = tmp_path / "run"
    heard = Heard(partial(remove, folder, part), at=7)
    run = cell(folder, heard)
    opened, again = open_run(folder), cell(folder, Heard())
    assert run.status == again.status == "finished"
    assert answer(run) == answer(opened) == answer(again)
    assert answer(run) == untouched or "was deleted while the run trained" in heard.notes
    assert {path.name for path in folder.iterdir()} >= {"choices.json", "history.csv", "run.json"}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("stage", ["stopped", "finished"])
def test_what_is_deleted_between_two_sessions_is_made_good_or_named(
    stage, part, tmp_path, untouched
):
    folder = tmp_path / "run"
    run = cell(folder, Heard(), epochs=2 if stage == "stopped" else 3)
    before, name = answer(run), remove(folder, part)
    try:
        assert answer(open_run(folder)) == before or part in ("best", "checkpoint")
    except RunError as err:
        assert part in ("choices.json", "run.json", "all")
        assert name in str(err) and (err.fix or part == "all")
    heard = Heard()
    run = cell(folder, heard)
    assert run.status == "finished" and answer(run) == answer(open_run(folder))
    assert answer(run) == untouched or name in heard.notes
    assert name in heard.notes or part not in ("choices.json", "run.json")


def test_checkpoints_of_another_call_are_not_taken_for_those_of_a_run_that_lost_its_record(
    tmp_path, untouched
):
    other = tmp_path / "run"
    train(nets.mlp, (X, Y), image_size=8, epochs=1, batch_size=8, run_dir=other, quiet=True)
    remove(other, "run.json")
    assert answer(cell(other, Heard())) == untouched
