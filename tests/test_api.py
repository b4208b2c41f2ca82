"""The verbs: mistakes get a sentence with the right line; the same cell is the same run, whatever befell it."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from colab_kit.api import train, transfer
from colab_kit.colab import lease
from colab_kit.colab.lease import NAME, Holder
from colab_kit.colab.mirror import Mirror
from colab_kit.colab.mounting import mount
from colab_kit.colab.reading import make_folder
from colab_kit.data.loading import load
from colab_kit.errors import (
    ColabKitError,
    DataError,
    DriveError,
    ModelError,
    RecipeChanged,
    RecipeError,
    RunError,
    RunInUse,
)
from colab_kit.events import Control, Event, Note, StepDone
from colab_kit.models import nets
from colab_kit.recipe import Recipe
from colab_kit.runs import running as runs
from colab_kit.runs.opening import open_run
from colab_kit.runs.run import Run
from colab_kit.training import checkpoint, transfer_plan
from tests.support import LONG
from tests.support.pictures import class_folders
from tests.support.tasks import Small, small_data
from tests.training.test_loop import bits

X = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
Y = np.arange(24) % 3


def net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))


def quietly(
    model: Any = net,
    data: Any = None,
    hear: Callable[[Event], Any] = lambda event: None,
    **fields: Any,
) -> Run:
    return train(
        model,
        data or small_data("arrays"),
        callbacks=[hear],
        quiet=True,
        **{"batch_size": 4, "epochs": 2, **fields},
    )


def heard_by(make: Callable[[Callable[[Event], Any]], Any]) -> str:
    """The notes heard, a line each."""
    events: list[Event] = []
    make(events.append)
    return "\n".join(e.text for e in events if isinstance(e, Note))


def at_step(n: int, do: Callable[[], Any]) -> Callable[[Event], Any]:
    return lambda event: do() if isinstance(event, StepDone) and event.step == n else None


class Extra(nn.Linear):
    def get_extra_state(self) -> Any:
        return {"calls": 3}


# -- mistakes -------------------------------------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[Callable[[], Any], type[ColabKitError], str]] = {
    "swapped": (lambda: train(small_data("arrays"), net()), RecipeError, "other way round.*kit.train\\(model, data\\)"),
    "swapped pair": (lambda: train((X, Y), net), RecipeError, "other way round.*kit.train\\(model, data\\)"),
    "swapped name": (lambda: train("fashion-mini", net), RecipeError, "other way round.*kit.train\\(model, data\\)"),
    "swapped loader": (lambda: train(DataLoader(TensorDataset(torch.zeros(2, 4))), Small), RecipeError, "other way round"),
    "swapped transfer": (
        lambda: transfer("resnet18", small_data("arrays")),
        RecipeError, "other way round.*kit.transfer\\(data, \"resnet18\"\\)",
    ),
    "X, y": (lambda: train(net(), X, Y), RecipeError, "two things before its options, and 3.*kit.train\\(model, \\(X, y\\)\\)"),
    "class that needs arguments": (lambda: quietly(nn.Linear), ModelError, "Linear cannot be made without arguments.*kit.train\\(Linear"),
    "no model": (lambda: quietly("resnet18"), ModelError, "model= is a str.*kit.train\\(model, data\\)"),
    "loss class that needs arguments": (
        lambda: quietly(loss=Needy),
        ModelError, "loss=Needy cannot be made without arguments.*loss=Needy\\(…\\)",
    ),
    "wrong loss name": (
        lambda: quietly(loss="cross-entrpy"),
        RecipeError, "loss='cross-entrpy' is not known.*did you mean 'cross_entropy'",
    ),
    "wrong optimizer name": (lambda: quietly(optimizer="adamm"), RecipeError, "optimizer='adamm' is not known.*did you mean 'adam"),
    "unknown field": (lambda: quietly(learning_rate=0.1), RecipeError, "no option learning_rate=.*write lr=0.1"),
    "misspelt field": (lambda: quietly(epoch=3), RecipeError, "no training option epoch=.*did you mean epochs="),
    "recipe as dict": (lambda: quietly(recipe={"epochs": 3}), RecipeError, "recipe= is a dict.*kit.Recipe\\(epochs=3\\)"),
    "lr beside an optimizer": (lambda: with_optimizer(lr=0.1), RecipeError, "lr= and an optimizer were both given.*drop lr="),
    "another model's optimizer": (
        lambda: quietly(optimizer=torch.optim.Adam(net().parameters())),
        ModelError, "no parameter of this model",
    ),
    "one label too high": (
        lambda: train(net, load((X, Y), class_names=["a", "b"], quiet=True), quiet=True), DataError, "label 2.*2 classes",
    ),
    "outputs": (
        lambda: quietly(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 10))),
        ModelError, "puts out \\(4, 10\\).*nn.Linear\\(…, 3\\)",
    ),
    "no Flatten": (
        lambda: quietly(lambda: nn.Linear(192, 3)),
        ModelError, "shape \\(4, 3, 8, 8\\).*put nn.Flatten\\(\\) first.*nn.Linear\\(192",
    ),
    "state that is no tensor": (
        lambda: quietly(lambda: nn.Sequential(nn.Flatten(), Extra(192, 3))),
        ModelError, "keeps a dict in its state.*1._extra_state is no tensor.*register_buffer",
    ),
    "half precision": (lambda: quietly(lambda: net().half()), ModelError, "same dtype.*call model.float\\(\\) first"),
    "a name too long": (lambda: quietly(name="n" * 300), RunError, "could not be written.*too long"),
    "NLLLoss on logits": (lambda: quietly(loss=nn.NLLLoss()), ModelError, "NLLLoss needs log-probabilities.*LogSoftmax"),
    "smoothing with a loss object": (
        lambda: quietly(loss=nn.CrossEntropyLoss(), label_smoothing=0.1),
        RecipeError, "label_smoothing= cannot be put",
    ),
    "no such folder": (lambda: train(net, "no/such/folder", quiet=True), DataError, "no/such/folder"),
    "freeze_epochs in train": (lambda: quietly(freeze_epochs=1), RecipeError, "freeze_epochs= is for transfer.*kit.transfer"),
    "loss object in transfer": (lambda: transfer(small_data("arrays"), Small(), loss=nn.NLLLoss()), RecipeError, "loss= by name only"),
    "unknown backbone": (
        lambda: transfer(small_data("arrays"), "resnet19", quiet=True),
        ModelError, "no backbone 'resnet19'.*did you mean resnet1",
    ),
    "slash in the name": (lambda: quietly(name="a/b"), RecipeError, "name='a/b' is no file name"),
    "no such weights": (lambda: quietly(init="nothing.pth"), ModelError, "no weights file nothing.pth"),
    "warm-up longer than the run": (lambda: quietly(warmup_epochs=3.0), RecipeError, "warmup_epochs=3.0 is more than"),
}  # fmt: skip


class Needy(nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()


def with_optimizer(**fields: Any) -> Run:
    model = net()
    return quietly(model, optimizer=torch.optim.Adam(model.parameters()), **fields)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_a_sentence_with_the_right_line(mistake):
    do, kind, said = MISTAKES[mistake]
    with pytest.raises(kind) as error:
        do()
    text = str(error.value).replace("\n", " ")
    assert re.search(said, text), text
    assert error.value.what and error.value.why and error.value.fix
    assert not list(Path.cwd().rglob("run.json")), "a mistake begins no run"


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(DataError) as error:
        train(net, tmp_path, quiet=True)
    assert tmp_path.name in str(error.value) and error.value.fix


def test_a_run_is_not_trained_beside_a_live_one():
    refused: list[ModelError] = []

    def beside() -> None:
        with pytest.raises(ModelError, match="is training in this process") as error:
            quietly(run_dir="b")
        refused.append(error.value)

    run = quietly(run_dir="a", hear=at_step(2, beside))
    assert refused and str(run.folder) in refused[0].fix and not Path("b").exists()
    assert run.status == "finished"


def test_a_folder_that_another_process_writes_is_refused():
    code = "import filelock, sys; lock = filelock.FileLock('a/.lock'); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    Path("a").mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    with pytest.raises(RunInUse, match="another process") as error:
        quietly(run_dir="a")
    assert "name=" in error.value.fix and [p.name for p in Path("a").iterdir()] == [".lock"]
    other.communicate("")
    assert quietly(run_dir="a").status == "finished"


@pytest.mark.parametrize("restart", [False, True])
def test_the_folder_of_a_running_run_is_held(restart):
    quietly(run_dir="a")
    code = "import filelock, sys; lock = filelock.FileLock('a/.lock'); lock.acquire(timeout=0)"
    found: list[int] = []
    quietly(
        run_dir="a",
        epochs=3,
        restart=restart,
        hear=at_step(14 if not restart else 2, lambda: found.append(_exit_of(code))),
    )
    assert found == [1] and _exit_of(code) == 0


# -- one machine ----------------------------------------------------------------------------------------------------------


def foreign(folder: Path, age: float) -> None:
    """The lease that a session on another machine wrote `age` seconds ago."""
    make_folder(folder)
    now = time.time()
    with open(folder / NAME, "r+b" if (folder / NAME).exists() else "wb", buffering=0) as file:
        file.write(
            Holder(
                "theirs", "far", 7, "1", "colab on far (process 7)", now - 4000, now - age
            ).as_bytes()
        )


def test_a_second_machine_on_a_run_is_refused_by_name_and_nothing_is_touched():
    drive = mount(mock=True, quiet=True)
    first = quietly(Small, name="pets", epochs=1)
    foreign(first.drive_folder, 20)
    before = {
        p: p.read_bytes()
        for p in [*first.folder.rglob("*"), *first.drive_folder.rglob("*")]
        if p.is_file()
    }
    for restart in (False, True):
        with pytest.raises(RunInUse, match="another session") as error:
            quietly(Small, name="pets", epochs=2, restart=restart)
        assert "colab on far" in error.value.why and "name=" in error.value.fix
    assert before == {p: p.read_bytes() for p in before} and not list(
        first.folder.parent.glob("*.before")
    )
    foreign(first.drive_folder, 1000)
    said = heard_by(lambda hear: quietly(Small, name="pets", epochs=2, hear=hear))
    assert (
        "colab on far (process 7) held this run" in said
        and Holder.at(first.drive_folder / NAME).released
    )
    assert drive.wait()


def test_out_on_drive_is_held_there_and_a_run_without_a_drive_has_no_lease():
    drive = mount(mock=True, quiet=True)
    foreign(drive / "mine", 20)
    with pytest.raises(RunInUse):
        quietly(Small, run_dir=drive / "mine")
    assert not list(quietly(Small, run_dir="here", epochs=1).folder.glob(NAME))


def test_a_run_that_another_machine_takes_over_stops_with_its_reason_and_goes_on_later(monkeypatch):
    drive = mount(mock=True, quiet=True)
    monkeypatch.setattr(
        lease.Lease.__init__,
        "__kwdefaults__",
        {**lease.Lease.__init__.__kwdefaults__, "every": 0.01},
    )
    control = Control()
    folders: list[Path] = []

    def hear(event: Event) -> None:
        notes.append(event)
        if isinstance(event, StepDone) and event.step == 7:
            folders.extend((drive / "colab-kit" / "runs").iterdir())
            while not control.stopped:  # a beat of 10 ms may write over it
                foreign(folders[0], 0)
                time.sleep(0.02)

    notes: list[Event] = []
    run = quietly(Small, name="pets", hear=hear, control=control, save_every_steps=1)
    assert (run.status, run.reason) == ("stopped", "taken over by colab on far (process 7)")
    assert any("on this machine alone" in e.text for e in notes if isinstance(e, Note))
    assert Holder.at(folders[0] / NAME).session == "theirs", "what is another's is left to it"
    assert max(checkpoint.step_of(p) for p in run.folder.glob("checkpoint-*")) == 7
    with pytest.raises(RunInUse):
        quietly(Small, name="pets")
    foreign(folders[0], 1000)
    again = quietly(Small, name="pets")
    assert again.status == "finished" and bits(again) == bits(
        quietly(Small, run_dir="b", save_every_steps=1)
    )


def test_a_drive_that_is_gone_when_training_begins_is_said_and_the_run_is_copied_once_it_is_back():
    drive, notes = mount(mock=True, quiet=True), []
    hidden = drive.mydrive.rename(drive.mydrive.with_name("gone"))
    hear = lambda event: notes.append(event.text) if isinstance(event, Note) else None
    first = quietly(Small, name="pets", hear=hear, epochs=1)
    assert first.status == "finished" and first.drive_folder is None
    assert any("does not answer" in text and "kit.mount()" in text for text in notes)
    hidden.rename(drive.mydrive)
    again = quietly(Small, name="pets", epochs=1)
    assert again.wait_for_copies(20) and list(
        (drive / "colab-kit" / "runs").glob("pets-*/checkpoint-a.safetensors")
    )
    assert bits(again) == bits(first)


def test_out_on_a_drive_that_is_gone_is_refused():
    drive = mount(mock=True, quiet=True)
    drive.mydrive.rename(drive.mydrive.with_name("gone"))
    with pytest.raises(
        RunError, match="lies on a Drive that is not there(.|\n)*does not answer(.|\n)*kit.mount"
    ):
        quietly(Small, run_dir=drive / "mine")
    assert not drive.mydrive.exists()


def test_a_mistake_leaves_no_folder_on_drive():
    drive = mount(mock=True, quiet=True)
    with pytest.raises(ModelError):
        quietly(loss=nn.NLLLoss())
    assert not list((drive / "colab-kit" / "runs").iterdir())


def test_a_drive_that_cannot_be_written_is_a_note_and_the_run_trains(monkeypatch):
    mount(mock=True, quiet=True)
    monkeypatch.setattr(
        lease, "make_folder", lambda *a: (_ for _ in ()).throw(OSError(30, "Read-only file system"))
    )
    runs_of: list[Run] = []
    said = heard_by(lambda hear: runs_of.append(quietly(Small, name="pets", epochs=1, hear=hear)))
    assert (
        runs_of[0].status == "finished"
        and said.count("cannot be kept (Read-only file system)") == 1
    )


def _exit_of(code: str) -> int:
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode


# -- disks ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A tiny disk of its own, with these mount options."""
    point = tmp_path / "disk"
    point.mkdir()

    def mounted(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
        return point

    yield mounted
    subprocess.run(["umount", "-l", str(point)], capture_output=True)


def wide() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(192, 256), nn.ReLU(), nn.Linear(256, 3)
    )  # 0.2 MB, 0.6 with AdamW's state


def strays(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.name.endswith(".part")]


def test_a_read_only_folder_is_an_error_with_the_fix(disk):
    with pytest.raises(RunError, match="could not be written") as error:
        quietly(run_dir=disk("ro") / "run")
    assert "read-only" in error.value.why and "run_dir=" in error.value.fix


def test_a_disk_that_is_full_at_the_start_is_an_error_and_nothing_half_written_stays(disk):
    folder = disk("size=128k") / "run"
    with pytest.raises(RunError, match="could not be written") as error:
        quietly(wide, run_dir=folder)
    assert "the disk is full" in error.value.why and "prune" in error.value.fix
    assert not strays(folder) and not list(folder.glob("*.safetensors"))


def test_a_disk_that_fills_up_is_a_note_and_the_run_ends(disk):
    folder = disk("size=3m") / "run"

    def fill() -> None:
        with open(folder.parent / "ballast", "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    runs_of: list[Run] = []
    said = heard_by(
        lambda hear: runs_of.append(
            quietly(
                wide,
                run_dir=folder,
                save_every_steps=1,
                hear=lambda e: (hear(e), at_step(3, fill)(e)),
            )
        )
    )
    run = runs_of[0]
    assert run.status == "finished" and len(run.history) == 2
    assert said.count("could not be saved; training goes on") == 1 and "the disk is full" in said
    assert run.evaluate("valid").loss == pytest.approx(
        run.best["metrics"]["valid/loss"], rel=1e-5
    ), "the best weights are in memory"
    assert not strays(folder)
    kept = sorted(folder.glob("checkpoint-*"))
    assert (
        kept[-1].name == "checkpoint-000000002.safetensors" and checkpoint.read(kept[-1]).step == 2
    )
    (folder.parent / "ballast").unlink()
    again = quietly(wide, run_dir=folder, save_every_steps=1)
    assert again.status == "finished" and bits(again) == bits(
        quietly(wide, run_dir="beside", save_every_steps=1)
    )


@pytest.mark.parametrize("where", [0, 200, -1, *([9, -4000] if LONG else [])])
def test_a_flipped_bit_falls_back_one_generation_and_ends_in_the_same_bits(where):
    control = Control()
    run = quietly(
        Small, run_dir="a", save_every_steps=1, hear=at_step(7, control.stop), control=control
    )
    newest = max(run.folder.glob("checkpoint-*"), key=checkpoint.step_of)
    content = bytearray(newest.read_bytes())
    content[where] ^= 4
    newest.write_bytes(content)
    said = heard_by(lambda hear: quietly(Small, run_dir="a", save_every_steps=1, hear=hear))
    assert f"{newest.name} is damaged" in said and "Going on from step 6 of 12" in said
    assert bits(open_run("a", model=Small)) == bits(quietly(Small, run_dir="b", save_every_steps=1))


@pytest.mark.parametrize("keep", [0, 8, 1000])
def test_a_truncated_checkpoint_with_none_before_it_is_an_error_with_the_fix(keep):
    run = quietly(Small, run_dir="a")
    for path in run.folder.glob("checkpoint-*"):
        path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match="is damaged") as error:
        quietly(Small, run_dir="a", epochs=3)
    assert "sha256" in error.value.why and "restart=True" in error.value.fix
    assert quietly(Small, run_dir="a", epochs=3, restart=True).status == "finished"


def test_a_foreign_run_json_is_not_overwritten():
    Path("a").mkdir()
    Path("a/run.json").write_text('{"mine": 1}')
    with pytest.raises(RunError, match="no record of a run"):
        quietly(run_dir="a")
    assert Path("a/run.json").read_text() == '{"mine": 1}'


# -- identity -------------------------------------------------------------------------------------------------------------


def test_more_epochs_continue_and_another_lr_is_another_run_with_a_note():
    first = quietly(Small, name="pets")
    assert quietly(Small, name="pets", epochs=3).folder == first.folder
    said = heard_by(lambda hear: quietly(Small, name="pets", lr=0.1, hear=hear))
    assert f"This is a new run, not {first.folder.name}: lr: null → 0.1." in said
    assert len(list(first.folder.parent.iterdir())) == 2


CELL = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(192, 3)
    def forward(self, x):
        return {}
"""


def cell(line: str) -> Any:
    """The class as a notebook's cell defines it."""
    space: dict[str, Any] = {"__name__": "__main__", "nn": nn}
    exec(CELL.format(line), space)
    return space["Net"]


def test_equal_layers_with_another_forward_are_another_run():
    one, same, other = (
        cell("self.fc(x.flatten(1))"),
        cell("self.fc(x.flatten(1))  # a comment"),
        cell("self.fc(x.flatten(1)) * 2"),
    )
    assert repr(one()) == repr(other())
    first = quietly(one, name="n")
    assert quietly(same, name="n").key == first.key, "a cell run again defines the class anew"
    said = heard_by(lambda hear: quietly(other, name="n", hear=hear))
    assert "This is a new run" in said and "another network" in said


def test_an_unseeded_network_is_found_again_with_a_note():
    control = Control()
    first = quietly(Small(), hear=at_step(5, control.stop), control=control)
    said = heard_by(lambda hear: quietly(Small(), hear=hear))
    assert "goes on with its own weights" in said and "Going on from step 5" in said
    assert len(list(first.folder.parent.iterdir())) == 1


def test_out_that_holds_another_recipe_is_refused_with_the_difference():
    quietly(run_dir="a")
    with pytest.raises(RecipeChanged) as error:
        quietly(run_dir="a", lr=0.1, seed=3)
    assert (
        error.value.why == "recipe.lr: null → 0.1; recipe.seed: 0 → 3"
        and "restart=True" in error.value.fix
    )
    with pytest.raises(RecipeChanged, match="made differently"):
        quietly(Small, run_dir="a")
    assert quietly(run_dir="a").status == "finished"


def test_fresh_starts_anew_and_keeps_what_was_there_beside():
    first = quietly(Small, run_dir="a", lr=0.1)
    again = quietly(Small, run_dir="a", restart=True)
    assert (
        again.folder == first.folder
        and again.key != first.key
        and [row["step"] for row in again.history] == [6, 12]
    )
    assert open_run("a.before", model=Small).key == first.key


def test_a_recipe_with_fields_laid_over_it_is_the_run_of_those_fields():
    first = quietly(name="r", lr=0.1, ema_decay=0.5)
    assert (
        quietly(name="r", recipe=Recipe(lr=0.1, epochs=7), ema_decay=0.5, epochs=2).key == first.key
    )


def test_whole_numbers_and_lists_are_the_recipe_of_their_floats_and_tuples():
    first = quietly(name="r", lr={"*": 1.0}, ema_decay=0.0, class_weights=(1.0, 2.0, 1.0), epochs=1)
    assert (
        quietly(name="r", lr={"*": 1}, ema_decay=0, class_weights=[1, 2, 1], epochs=1).key
        == first.key
    )


def test_a_loss_object_is_part_of_the_identity():
    keys = {
        quietly(name="l", epochs=1, loss=nn.CrossEntropyLoss(label_smoothing=s)).key
        for s in (0.0, 0.0, 0.1)
    }
    assert len(keys) == 2


def test_the_name_comes_from_data_and_network():
    assert quietly(Small, epochs=1).name == "small-arrays-small"


# -- interrupts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated by SIGTERM")],
)
def test_a_signal_in_mid_run_returns_the_run_and_the_same_call_goes_on(number, reason):
    before = signal.getsignal(number)
    run = quietly(Small, run_dir="a", hear=at_step(4, lambda: os.kill(os.getpid(), number)))
    assert (run.status, run.reason) == ("stopped", reason) and signal.getsignal(number) is before
    assert open_run("a", model=Small).status == "stopped"
    again = quietly(Small, run_dir="a")
    assert again.status == "finished" and bits(again) == bits(quietly(Small, run_dir="b"))


def test_a_second_interrupt_raises_and_what_was_saved_goes_on():
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        quietly(Small, run_dir="a", save_every_steps=1, hear=at_step(4, twice))
    assert open_run("a", model=Small).status == "failed" and not runs.live
    again = quietly(Small, run_dir="a", save_every_steps=1)
    assert again.status == "finished" and bits(again) == bits(
        quietly(Small, run_dir="b", save_every_steps=1)
    )


class Waits:
    """Stands in for Mirror.close: a Drive that is not there. Interrupted while it waits, as often as told."""

    def __init__(self, interrupts: int) -> None:
        self.interrupts, self.asked = interrupts, list[float | None]()

    def __call__(self, timeout: float | None = None, emit: Any = None) -> bool:
        self.asked.append(timeout)
        if self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        return False


def test_an_interrupt_while_drive_is_waited_for_ends_the_waiting_and_returns_the_run(monkeypatch):
    mount(mock=True, quiet=True)
    monkeypatch.setattr(Mirror, "close", Waits(1))
    runs_of: list[Run] = []
    with suppress(KeyboardInterrupt):  # it would end pytest
        said = heard_by(
            lambda hear: runs_of.append(quietly(Small, name="pets", epochs=1, hear=hear))
        )
    assert [run.status for run in runs_of] == ["finished"] and "Drive is not waited for" in said
    monkeypatch.setattr(Mirror, "close", Waits(1))
    with pytest.raises(KeyboardInterrupt):  # the second one
        quietly(
            Small,
            name="pets",
            epochs=3,
            hear=at_step(8, lambda: os.kill(os.getpid(), signal.SIGINT)),
        )


def test_who_interrupts_twice_does_not_wait_for_drive(monkeypatch):
    mount(mock=True, quiet=True)
    waits = Waits(0)
    monkeypatch.setattr(Mirror, "close", waits)
    with pytest.raises(KeyboardInterrupt):
        quietly(
            Small,
            name="pets",
            epochs=2,
            hear=at_step(4, lambda: [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]),
        )
    assert waits.asked == [0.0]


def test_a_drive_that_cannot_be_listed_neither_hides_a_run_nor_stops_a_new_one(
    monkeypatch, tmp_path
):
    drive = mount(mock=True, quiet=True)
    first = quietly(Small, name="pets", epochs=1)
    assert drive.wait()
    shutil.rmtree(first.folder)  # another machine
    find, away = Mirror.find, [True]

    def fails(mirror: Mirror, name: str) -> list[Path]:
        if away[0]:
            raise DriveError(
                "runs could not be read from Drive.", "Input/output error", "run the cell again"
            ) from OSError(5, "io")
        return find(mirror, name)

    monkeypatch.setattr(Mirror, "find", fails)
    with pytest.raises(DriveError, match="could not be read"):
        quietly(Small, name="pets", epochs=2)
    assert quietly(Small, name="cats", epochs=1, restart=True).status == "finished"
    away[0] = False
    assert quietly(Small, name="pets", epochs=2).record["start"] == first.record["start"]


def test_an_error_in_the_users_code_leaves_a_run_that_goes_on():
    data = small_data("items")
    get, calls = type(data.train.source.dataset).__getitem__, []

    class Flaky(type(data.train.source.dataset)):  # type: ignore[misc]
        def __getitem__(self, i: int) -> Any:
            calls.append(i)
            if len(calls) == 40:
                raise OSError("the disk hiccuped")
            return get(self, i)

    data.train.source.dataset.__class__ = Flaky
    with pytest.raises(OSError, match="hiccuped"):
        quietly(Small, data, run_dir="a", save_every_steps=1)
    failed = open_run("a", model=Small)
    assert failed.status == "failed" and "hiccuped" in failed.reason and not runs.live
    assert quietly(Small, data, run_dir="a", save_every_steps=1).status == "finished"


# -- what train takes -----------------------------------------------------------------------------------------------------


def test_a_module_is_trained_in_place_and_left_in_eval():
    model = Small()
    run = quietly(model)
    assert run.model is model and not model.training


def test_lazy_layers_get_their_shapes_and_the_run_is_found_again():
    def lazy() -> nn.Module:
        return nn.Sequential(
            nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
        )

    model = lazy()
    first = quietly(model, name="lazy", epochs=1)
    assert (
        quietly(model, name="lazy", epochs=2).key
        == quietly(lazy, name="lazy", epochs=2).key
        == first.key
    )
    assert torch.equal(open_run("lazy", model=lazy).model[4].weight, model[4].weight)


def test_arrays_loaders_and_folders_are_taken_as_they_are(tmp_path):
    loader = DataLoader(
        TensorDataset(torch.from_numpy(X).movedim(3, 1), torch.from_numpy(Y)),
        batch_size=6,
        shuffle=True,
    )
    assert train(net, (X, Y), quiet=True, epochs=1).status == "finished"
    run = train(net, loader, quiet=True, epochs=1)
    assert run.status == "finished" and run.choices["batch_size"][:2] == (6, "the DataLoader's own")
    two = lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    assert train(
        two, class_folders(tmp_path / "pets"), image_size=8, quiet=True, epochs=1
    ).classes == ("cat", "dog")


def test_a_warm_start_says_what_matched_and_stays_quiet_when_it_goes_on(tmp_path):
    path = quietly(Small, run_dir="a").save(tmp_path / "w.pth")
    wider = lambda: _with_head(5)
    five = load((X, np.arange(24) % 5), quiet=True)
    said = heard_by(lambda hear: quietly(wider, five, run_dir="b", init=path, epochs=1, hear=hear))
    assert "Warm start: " in said and "fc.3.weight [3, 8] into [5, 8]" in said
    said = heard_by(lambda hear: quietly(wider, five, run_dir="b", init=path, epochs=2, hear=hear))
    assert (
        "Going on from step" in said
        and "Warm start" not in said
        and "other initial weights" not in said
    )
    other = quietly(Small, run_dir="c", lr=0.2).save(tmp_path / "v.pth")
    with pytest.raises(RecipeChanged, match="made differently") as error:
        quietly(wider, five, run_dir="b", init=other, epochs=2)
    assert error.value.why == "init changed"


def _with_head(classes: int) -> Small:
    model = Small()
    model.fc[3] = nn.Linear(8, classes)
    return model


@pytest.mark.parametrize(
    "field",
    [
        {"mixup": 0.4},
        {"ema_decay": 0.9},
        {"label_smoothing": 0.2},
        {"class_weights": "balanced"},
        {"max_grad_norm": 0.1},
    ],
)
def test_each_craft_changes_what_is_learned_and_repeats_itself(field):
    plain = quietly(Small, run_dir="plain")
    first, again = quietly(Small, run_dir="a", **field), quietly(Small, run_dir="b", **field)
    assert bits(first) == bits(again) != bits(plain)


def test_what_the_user_draws_changes_nothing_and_what_is_drawn_here_changes_nothing_of_the_users():
    expected = bits(quietly(Small, run_dir="a"))
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    drawn = random.random(), np.random.rand(), torch.rand(()).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    quietly(Small, small_data("items"), run_dir="c")
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == drawn
    assert (
        bits(
            quietly(
                Small,
                run_dir="b",
                hear=lambda event: (torch.rand(5), np.random.rand(5), random.random()),
            )
        )
        == expected
    )


# -- transfer -------------------------------------------------------------------------------------------------------------


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3))
        self.fc = nn.Linear(6, 11)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x).mean((2, 3)))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "pets", each=8)


def move(data: Any, backbone: nn.Module, **fields: Any) -> Run:
    return transfer(
        data,
        backbone,
        quiet=True,
        **{"image_size": 16, "batch_size": 4, "epochs": 2, "lr": 0.05, "run_dir": "t", **fields},
    )


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    return {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}


def test_the_head_learns_alone_and_the_backbone_keeps_every_bit(pets):
    backbone = Backbone()
    before = state(backbone.body)
    run = move(pets, backbone, ema_decay=0.5, weight_decay=0.1)
    assert run.model.fc.out_features == 2 and run.status == "finished"
    assert not changed(before, run.model.body), "buffers of BatchNorm too"
    assert all(p.requires_grad for p in backbone.parameters()), "the user's flags are given back"


def test_after_head_epochs_everything_learns(pets, monkeypatch):
    monkeypatch.setattr(
        transfer_plan, "SOME_PICTURES", 0
    )  # of fewer, BatchNorm learns no statistics
    backbone = Backbone()
    before = state(backbone.body)
    move(pets, backbone, freeze_epochs=1, epochs=1)
    assert not changed(before, backbone.body)
    run = move(pets, backbone, freeze_epochs=1, epochs=3)
    last = checkpoint.read(max(run.folder.glob("checkpoint-*"), key=checkpoint.step_of)).tensors
    assert not torch.equal(last["model/body.0.weight"], before["0.weight"]) and not torch.equal(
        last["model/body.1.running_mean"], before["1.running_mean"]
    )


def test_head_epochs_zero_trains_all_from_the_start(pets):
    backbone = Backbone()
    before = state(backbone.body)
    move(pets, backbone, freeze_epochs=0, epochs=1)
    assert {"0.weight", "1.running_mean"} <= changed(before, backbone.body)


def test_a_transfer_that_was_stopped_between_its_phases_ends_in_the_same_bits(pets):
    data = load(pets, quiet=True)
    torch.manual_seed(0)
    backbone, control = Backbone(), Control()
    begun = {k: v.clone() for k, v in backbone.state_dict().items()}
    transfer(
        data,
        backbone,
        image_size=16,
        batch_size=4,
        epochs=2,
        freeze_epochs=1,
        run_dir="t",
        control=control,
        callbacks=[at_step(3, control.stop)],
        quiet=True,
    )
    again = transfer(
        data,
        backbone,
        image_size=16,
        batch_size=4,
        epochs=2,
        freeze_epochs=1,
        run_dir="t",
        quiet=True,
    )
    twin = Backbone()
    twin.load_state_dict(begun)
    whole = transfer(
        data, twin, image_size=16, batch_size=4, epochs=2, freeze_epochs=1, run_dir="u", quiet=True
    )
    assert bits(again) == bits(whole)


def test_a_transfer_run_predicts_files_and_opens_with_its_network(pets):
    run = move(pets, Backbone())
    found = open_run("t", model=run.model).predict(pets / "cat" / "0.png")
    np.testing.assert_allclose(
        found.probabilities, run.predict(pets / "cat" / "0.png").probabilities, atol=1e-6
    )
    assert (
        run.evaluate("valid").count
        == run.data.counts["valid"]["cat"] + run.data.counts["valid"]["dog"]
    )


def test_transfer_trains_three_epochs_unless_told(pets):
    assert transfer(pets, Backbone(), image_size=16, quiet=True, run_dir="a").recipe.epochs == 3
    assert (
        transfer(
            pets, Backbone(), image_size=16, quiet=True, run_dir="b", recipe=Recipe(epochs=1)
        ).recipe.epochs
        == 1
    )


def test_a_small_net_with_a_layer_replaced_is_the_users_own():
    plain, altered = (nets.mlp(classes=3, inputs=192, hidden=(8,)) for _ in range(2))
    altered[2] = nn.Tanh()
    assert quietly(plain).record["model"]["made_by"] == plain.made_by
    run = quietly(altered)
    assert run.record["model"]["made_by"] is None and run.status == "finished"
    with pytest.raises(ModelError, match="trained a network of your own"):
        open_run(run.folder)


def test_torchs_optimizer_class_is_the_recipes_of_that_name():
    run = quietly(optimizer=torch.optim.SGD, epochs=1)
    assert (
        run.recipe.optimizer == "sgd"
        and run.choices["lr"] == (1e-2, "usual for sgd", "default")
        and run.choices["weight_decay"][0] == 0
    )
    assert quietly(optimizer="sgd", epochs=1).folder == run.folder


def test_an_optimizer_over_other_parameters_is_another_run():
    def over(part: Callable[[nn.Module], nn.Module]) -> Run:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Linear(8, 3))
        return quietly(model, optimizer=torch.optim.Adam(part(model).parameters()), epochs=1)

    assert over(lambda m: m).folder == over(lambda m: m).folder != over(lambda m: m[2]).folder


def test_a_network_with_another_activation_given_is_another_run():
    class Net(nn.Module):
        def __init__(self, act: Callable[[torch.Tensor], torch.Tensor]) -> None:
            super().__init__()
            self.fc, self.act = nn.Linear(192, 3), act

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.act(x.flatten(1)))  # type: ignore[no-any-return]

    assert (
        len(
            {
                quietly(lambda act=act: Net(act), epochs=1).folder
                for act in (torch.relu, torch.tanh, torch.relu)
            }
        )
        == 2
    )
