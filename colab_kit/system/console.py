"""What a person sees while a verb runs: calm lines everywhere, and one moving bar where the screen can move it."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from ..events import (
    Callback,
    Callbacks,
    CheckpointSaved,
    CopyProgress,
    EpochDone,
    Event,
    FetchDone,
    FetchProgress,
    FetchStarted,
    Note,
    RunEnded,
    RunStarted,
    StepDone,
)

REDRAW = 0.1  # seconds between two drawings of the bar
SILENT = 60.0  # seconds after which a log says how far it is, where no bar moves


class Console:
    """Print events. The bar is tqdm's plain text one: its notebook widget floods saved notebooks.

    Parameters
    ----------
    out : where to print; the current sys.stdout if None
    moving : whether a line may be redrawn; None: a terminal or a notebook kernel may
    """

    def __init__(
        self,
        out: TextIO | None = None,
        *,
        moving: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.out, self._moving, self.clock = out, moving, clock
        self.bar: Any = None
        self.copying = ""  # what is being handed to Drive while someone waits for it
        self._doing = "", 0, ""  # name, total and unit of what goes on
        self._drawn = self._epoch_at = self._said = clock()

    def __call__(self, event: Event) -> None:
        match event:
            case Note(text=text, level=level):
                self.line(f"{'Warning: ' if level == 'warn' else ''}{text}")
            case FetchStarted(name=name, size=size):
                self.open_bar(name, size, "B")
            case FetchProgress(done=done):
                self.move_bar(done)
            case FetchDone(path=path, size=size):
                self.close_bar()
                self.line(f"Fetched {path} ({size / 2**20:.1f} MiB)")
            case CopyProgress(name=name, done=done, size=size):
                self.handing_over(name, done, size)
            case RunStarted() as start:
                self._epoch_at = self.clock()
                epochs, steps = (
                    f"{n} {word}{'s' * (n != 1)}"
                    for n, word in ((start.epochs, "epoch"), (start.steps, "step"))
                )
                again = (
                    f", going on from step {start.done} of {start.steps}"
                    if start.done
                    else f", {epochs}, {steps}"
                )
                self.line(f"Run {start.name}{again} → {start.folder}")
                self.open_bar("training", start.steps, "step", start.done)
            case StepDone(step=step, loss=loss):
                self.move_bar(step, f"loss {loss:.4f}" if loss == loss else "features")
            case EpochDone() as done:
                self.line(self.epoch_line(done))
            case CheckpointSaved():
                pass  # each few seconds: not worth a line
            case RunEnded(status=status, reason=reason):
                self.close_bar()
                again = ". The same call goes on." if status == "stopped" else ""
                self.line(f"Run {status}{': ' + reason if reason else ''}{again}")

    def epoch_line(self, done: EpochDone) -> str:
        """One line for a validation: `epoch 3/5  train loss 0.512 top1 0.81  valid loss 0.43 top1 0.85  lr 0.0009  2.1 s`."""
        parts = [f"epoch {done.epoch:g}/{done.total:g}"]
        for split in ("train", "valid"):
            found = {
                name.partition("/")[2]: v
                for name, v in done.metrics.items()
                if name.startswith(split + "/")
            }
            if found:
                parts.append(
                    split + " " + " ".join(f"{name} {value:.4f}" for name, value in found.items())
                )
        if "lr" in done.metrics:
            parts.append(f"lr {done.metrics['lr']:.2g}")
        now, self._epoch_at = self.clock() - self._epoch_at, self.clock()
        return "  ".join([*parts, f"{now:.1f} s"])

    def handing_over(self, name: str, done: int, size: int) -> None:
        """One line when the waiting begins, with a bar below it where the screen can move one."""
        if done >= size:
            self.copying = ""
            self.close_bar()
        elif name != self.copying:
            self.copying = name
            self.line(
                f"Handing {name} to Drive ({size / 2**20:.1f} MiB) … interrupt to leave the rest to the background"
            )
            self.open_bar("to Drive", size, "B", done)
        else:
            self.move_bar(done)

    def line(self, text: str) -> None:
        out = self.out or sys.stdout
        if self.bar is not None:
            self.bar.clear()
        print(text, file=out, flush=True)
        self._said = self.clock()
        if self.bar is not None:
            self.bar.refresh()

    def open_bar(self, name: str, total: int | None, unit: str, done: int = 0) -> None:
        self.close_bar()
        self._doing = name, total or 0, unit
        if self.moving:
            from tqdm.std import tqdm

            self.bar = tqdm(
                desc=name,
                total=total,
                initial=done,
                unit=unit,
                unit_scale=unit == "B",
                unit_divisor=1024,
                leave=False,
                file=self.out or sys.stdout,
                dynamic_ncols=True,
            )

    def move_bar(self, done: int, text: str = "") -> None:
        now = self.clock()
        if self.bar is None and now - self._said >= SILENT:
            name, total, unit = self._doing
            parts = [
                f"{n / 2**20:.1f} MiB" if unit == "B" else f"{unit} {n}" for n in (done, total) if n
            ]
            self.line(
                " ".join(
                    [f"{name}:", " of ".join(parts).replace(f"of {unit} ", "of "), text]
                ).rstrip()
            )
        if self.bar is None or now - self._drawn < REDRAW:
            return
        self._drawn = now
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.n = done
        self.bar.refresh()

    def close_bar(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    @property
    def moving(self) -> bool:
        """A terminal redraws a line, and so does a notebook that is looked at; a log file, a pipe, papermill and `colab run` do not."""
        if self._moving is not None:
            return self._moving
        out = self.out or sys.stdout
        return (
            bool(getattr(out, "isatty", lambda: False)())
            or type(out).__module__.startswith("ipykernel")
            and looked_at()
        )


def with_console(callbacks: Iterable[Callback] | None = None, *, quiet: bool = False) -> Callbacks:
    """The console and these callbacks beside it; with quiet=True the callbacks alone."""
    return Callbacks([*([] if quiet else [Console()]), *(callbacks or ())])


def looked_at() -> bool:
    """Whether a front end has sent the cell that runs: what executes notebooks unseen says that nobody can answer input()."""
    ipython = sys.modules.get("IPython")
    shell = (
        ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    )
    return bool(getattr(getattr(shell, "kernel", None), "_allow_stdin", True))


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as HTML for a notebook; every cell is escaped."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
