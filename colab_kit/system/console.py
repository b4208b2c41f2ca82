"""What a person sees while a verb runs: calm lines, and one bar where the screen can move it."""

from __future__ import annotations

import functools
import html
import importlib.util
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

from .. import events
from ..errors import in_line, plain
from ..events import Callback, Callbacks, EpochDone, Event
from .hardware import shell

NO_FORMULAS = "tex2jax_ignore mathjax_ignore"  # of MathJax 2 (Colab) and 3 (JupyterLab)
FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
NUMBER = re.compile(r"-\d+(\.\d+)?([eE][+-]?\d+)?")
QUOTED = re.compile(r'[",;\t\r\n]')  # also what parts the cells elsewhere than here
REDRAW = 0.1  # seconds between two drawings of the bar
SILENT = 60.0  # seconds after which a log says how far it is, where no bar moves


class Console:
    """Print events. The bar is tqdm's plain text one: its notebook widget floods saved notebooks.

    Parameters
    ----------
    out : text file, optional
        Where to print; None: the current sys.stdout.
    moving : bool, optional
        Whether a line may be redrawn; None: in a terminal and in a notebook kernel.
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
        self._copying = ""  # what is being handed to Drive while someone waits for it
        self._task = "", 0, ""  # name, total and unit of what goes on
        self._drawn = self._epoch_at = self._printed = clock()

    def __call__(self, event: Event) -> None:
        match event:
            case events.Note(text=text, level=level):
                self.line(f"{'Warning: ' if level == 'warn' else ''}{text}")
            case events.FetchStarted(name=name, size=size):
                self.open_bar(name, size, "B")
            case events.FetchProgress(done=done):
                self.move_bar(done)
            case events.FetchDone(path=path, size=size):
                self.close_bar()
                self.line(f"Fetched {path} ({_mib(size)})")
            case events.CopyProgress(name=name, done=done, size=size):
                self._copy_progress(name, done, size)
            case events.LookProgress():
                self._look_progress(event)
            case events.RunStarted(done=done, steps=steps, epochs=epochs):
                self._epoch_at = self.clock()
                length = f"{_count(epochs, 'epoch')}, {_count(steps, 'step')}"
                if done:
                    length = f"going on from step {done} of {steps}"
                key = f"-{event.key}" if event.key else ""
                self.line(f"Run {event.name}{key}, {length} → {event.folder}")
                self.open_bar("training", steps, "step", done)
            case events.StepDone(step=step, loss=loss):
                self.move_bar(step, f"loss {loss:.4f}" if loss == loss else "features")
            case EpochDone():
                self.line(self._epoch_line(event))
            case events.RunEnded(status=status, reason=reason):
                self.close_bar()
                again = ". The same call goes on." if status == "stopped" else ""
                if status == "finished" and shell() is not None:
                    again = ". Next: run.evaluate(), run.plot(), run.predict(file), run.report()"
                self.line(f"Run {status}{': ' + reason if reason else ''}{again}")

    def _epoch_line(self, done: EpochDone) -> str:
        """Such as `epoch 3/5  train loss 0.512  valid loss 0.43 top1 0.85  lr 0.0009  2.1 s`."""
        parts = [f"epoch {done.epoch:g}/{done.total:g}"]
        for split in ("train/", "valid/"):
            figures = [
                f"{name.removeprefix(split)} {value:.4f}"
                for name, value in done.metrics.items()
                if name.startswith(split)
            ]
            if figures:
                parts.append(" ".join([split[:-1], *figures]))
        if "lr" in done.metrics:
            parts.append(f"lr {done.metrics['lr']:.2g}")
        started, self._epoch_at = self._epoch_at, self.clock()
        return "  ".join([*parts, f"{self._epoch_at - started:.1f} s"])

    def _copy_progress(self, name: str, done: int, size: int) -> None:
        """One line when the waiting begins, with a bar below it where the screen can move one."""
        if done >= size:
            self._copying = ""
            self.close_bar()
        elif name != self._copying:
            self._copying = name
            hint = "interrupt to leave the rest to the background"
            self.line(f"Handing {name} to Drive ({_mib(size)}) … {hint}")
            self.open_bar("to Drive", size, "B", done)
        else:
            self.move_bar(done)

    def _look_progress(self, look: events.LookProgress) -> None:
        """A bar, with the time that is left; where none moves, a line."""
        name = f"looking at {look.name}"
        if look.done >= look.total:
            self._task = "", 0, ""
            self.close_bar()
            return
        text = f"about {look.left:.0f} s left"
        if self._task[0] != name:
            self.open_bar(name, look.total, "picture", look.done)
            if self.bar is None:
                self.line(self._silent_line(look.done, text))
        self.move_bar(look.done, text)

    def line(self, text: str) -> None:
        if self.bar is not None:
            self.bar.clear()
        print(plain(text), file=self.out or sys.stdout, flush=True)
        self._printed = self.clock()
        if self.bar is not None:
            self.bar.refresh()

    def open_bar(self, name: str, total: int | None, unit: str, done: int = 0) -> None:
        self.close_bar()
        self._task = name, total or 0, unit
        if not self.moving:
            return
        from tqdm.std import tqdm

        how: dict[str, Any] = {
            "unit": unit,
            "unit_scale": unit == "B",
            "unit_divisor": 1024,
            "initial": done,
        }
        out = self.out or sys.stdout
        how |= {"desc": in_line(name), "total": total}
        self.bar = tqdm(leave=False, file=out, dynamic_ncols=True, **how)

    def move_bar(self, done: int, text: str = "") -> None:
        now = self.clock()
        if self.bar is None and now - self._printed >= SILENT:
            self.line(self._silent_line(done, text))
        if self.bar is None or now - self._drawn < REDRAW:
            return
        self._drawn = now
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.n = done
        self.bar.refresh()

    def _silent_line(self, done: int, text: str) -> str:
        """How far it is, such as `training: step 20 of 100 loss 0.5`."""
        name, total, unit = self._task
        if unit == "B":
            figures = " of ".join(_mib(size) for size in (done, total) if size)
        else:
            figures = f"{unit} {done}" + (f" of {total}" if total else "")
        return f"{name}: {figures} {text}".rstrip()

    def close_bar(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    @property
    def moving(self) -> bool:
        """Whether a line can be redrawn: in a terminal, and in a notebook that somebody looks at.

        A log file, a pipe, papermill and `colab run` cannot.
        """
        if self._moving is not None:
            return self._moving
        out = self.out or sys.stdout
        if getattr(out, "isatty", lambda: False)():
            return True
        return type(out).__module__.startswith("ipykernel") and looked_at()


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def with_console(
    callbacks: Iterable[Callback] | Callback | None = None, *, quiet: bool = False
) -> Callbacks:
    """Give the console and these callbacks, or one callback; with quiet=True no console."""
    console = [] if quiet else [Console()]
    if callable(callbacks):
        callbacks = [callbacks]
    return Callbacks([*console, *(callbacks or ())], quiet=quiet)


def looked_at() -> bool:
    """Whether a person's page sent the running cell.

    Whatever executes notebooks unseen says that nobody can answer input().
    """
    return bool(getattr(getattr(shell(), "kernel", None), "_allow_stdin", True))


def html_table(rows: Iterable[Iterable[object]], head: Iterable[object] = ()) -> str:
    """A table for a notebook's output, each cell escaped. `head`: the titles of the columns."""

    def row(cells: Iterable[object], tag: str) -> str:
        return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)

    titles = row(head, "th")
    lines = ([titles] if titles else []) + [row(cells, "td") for cells in rows]
    return without_formulas(f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>")


def escape(text: object) -> str:
    """A text from outside as a page shows it, also between quotes."""
    return html.escape(plain(text))


def without_formulas(content: str) -> str:
    """HTML in which a page draws no formula: a class may be called $5, and the next one $6."""
    return f'<div class="{NO_FORMULAS}">{content}</div>'


def csv_field(text: object, *, exact: bool = False) -> str:
    """A name as a field of a CSV file, quoted where it must be.

    One that begins as a formula (=, +, -, @) gets an apostrophe in front, as a person types it in a
    spreadsheet to see it as text; negative numbers and `exact` names do not. `from_csv_field` takes
    the apostrophe off again.
    """
    # a file's name may hold a byte that is no UTF-8: it stands as \udce9
    field = str(text).encode(errors="backslashreplace").decode()
    if not exact and FORMULA.match(field) and not NUMBER.fullmatch(field):
        field = f"'{field}"
    return '"' + field.replace('"', '""') + '"' if QUOTED.search(field) else field


def from_csv_field(field: str) -> str:
    """The name that a field of a CSV file stands for, once its quotes are off."""
    return field[1:] if field[:1] == "'" and FORMULA.match(field) else field


FONTS = (  # where systems keep theirs
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.fonts",
    "~/.local/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    "C:/Windows/Fonts",
)
FONT_ENDINGS = (".ttf", ".ttc", ".otf")
ODD_FONT = re.compile("bold|italic|oblique|mono|light|thin|black|condensed|narrow|serif", re.I)
NO_FONT = "No font here has some signs of the names. Fix: !apt-get install -y fonts-noto-cjk"


@functools.cache
def fonts_for(signs: frozenset[str]) -> tuple[tuple[str, ...], bool]:
    """Find font files that have these signs, and whether they have all of them.

    Parameters
    ----------
    signs : frozenset of str
        Single characters of text to be drawn: Chinese, Arabic, Cyrillic.
    """
    files, lacking = list[str](), signs
    for file in _font_files() if signs else ():
        drawn = {sign for sign in lacking if font_has(file, sign)}
        if drawn:
            files.append(file)
            lacking -= drawn
        if not lacking:
            break
    return tuple(files), not lacking


def rare_signs(texts: Iterable[str]) -> frozenset[str]:
    """Give the characters of texts that a plain font may lack."""
    return frozenset(sign for text in texts for sign in text if ord(sign) > 127 and sign.isalnum())


@functools.cache
def font_has(file: str, sign: str) -> bool:
    """Tell whether a font file draws a character as something else than one that no font has."""
    try:
        font = opened_font(file)
        return bytes(font.getmask(sign)) != bytes(font.getmask("\U0010fffe"))
    except OSError:
        return False


@functools.lru_cache(64)
def opened_font(file: str, size: int = 14) -> Any:
    """Open a font file for Pillow to draw with, `size` in pixels."""
    from PIL import ImageFont

    return ImageFont.truetype(file, size)


@functools.cache
def _font_files() -> tuple[str, ...]:
    """List the fonts of this machine, matplotlib's own first, then upright plain ones."""
    spec = importlib.util.find_spec("matplotlib")
    own = (
        Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if spec and spec.origin
        else None
    )
    places = [Path(os.path.expanduser(place)) for place in FONTS]
    files = [
        file for place in places for file in place.rglob("*") if file.suffix.lower() in FONT_ENDINGS
    ]
    files.sort(key=lambda file: (bool(ODD_FONT.search(file.name)), file.name, str(file)))
    return tuple(map(str, [*([own] if own and own.is_file() else []), *files]))
