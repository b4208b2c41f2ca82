"""What can go wrong, in three sentences: what happened, why, and the fix.

    ColabKitError
    ├── FetchError(OSError)        the network or a download
    │   ├── LinkError(ValueError)  the link, or what is asked of it, cannot mean a file
    │   ├── Offline                no server could be reached
    │   ├── NotFound               there is no such file (any more)
    │   ├── Private                it is there, and not for everyone
    │   ├── QuotaExceeded          too many people have fetched it today
    │   ├── RateLimited            the server is busy, or has been asked too often
    │   ├── GotHtml                a web page came in place of the file
    │   ├── GotLfsPointer          Git LFS's note of where the file is came in its place
    │   ├── Truncated              less, or something else, came than was announced
    │   ├── HashMismatch           what came is not what the hash stands for
    │   ├── Stopped                a Control said stop; the next call continues
    │   ├── NoSpace(ValueError)    the disk has no room for it
    │   └── BadArchive(ValueError) a damaged or locked archive, or one that needs a program
    │       └── UnsafeArchive      it would write outside its folder, or fill the disk
    ├── DriveError(OSError)        Google Drive or its stand-in
    ├── DataError(ValueError)      pictures, arrays, labels, folders
    ├── RecipeError(ValueError)    how to train was said wrongly
    │   └── RecipeChanged          an existing run was made by another recipe
    ├── ModelError(ValueError)     the network, its loss or its optimizer
    ├── TrainError(RuntimeError)   training cannot go on
    ├── RunError(OSError)          a run's folder or checkpoint cannot be read or written
    │   └── RunInUse               another process or machine is writing that run
    ├── ColabError(RuntimeError)   Colab's secrets and uploads
    └── MissingExtra(ImportError)  an optional package is not installed

Each is also the built-in named in brackets, so a plain `except ValueError` catches what it should.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Where a word stands: {the word of an older version or of another library: ours}.
RENAMED: dict[str, dict[str, str]] = {
    "option": {
        "listen": "callbacks", "listener": "callbacks", "listeners": "callbacks",
        "out": "run_dir", "output_dir": "run_dir", "fresh": "restart",
        "head_epochs": "freeze_epochs", "clip": "max_grad_norm", "clip_norm": "max_grad_norm",
        "accumulate": "grad_accum_steps", "gradient_accumulation_steps": "grad_accum_steps",
        "schedule": "lr_schedule", "scheduler": "lr_schedule", "lr_scheduler": "lr_schedule",
        "warmup": "warmup_epochs", "ema": "ema_decay", "size": "image_size",
        "img_size": "image_size", "workers": "num_workers", "budget": "max_time",
        "save_every": "save_every_steps", "validate_every": "validate_every_steps",
        "limit": "max_per_class", "names": "class_names", "classes": "class_names",
        "edits": "label_edits", "learning_rate": "lr", "bs": "batch_size", "batch": "batch_size",
        "n_epochs": "epochs", "num_epochs": "epochs", "criterion": "loss", "wd": "weight_decay",
        "early_stopping": "patience",
    },
    "predict": {"views": "tta"},
    "task": {"classify": "classification", "regress": "regression"},
    "mode": {"both": "frozen_then_finetune"},
    "status": {"done": "finished"},
    "kind": {"local": "folder", "stand-in": "mock"},
    "metric": {"accuracy": "top1"},
    "split": {"val": "valid", "validation": "valid"},
    "Run": {"go_on": "resume", "wait": "wait_for_copies"},
    "Control": {"go_on": "resume"},
    "Evaluation": {"n": "count"},
    "StepDone": {"of": "total"},
    "EpochDone": {"of": "total"},
}  # fmt: skip


class ColabKitError(Exception):
    """Say what happened, why, and the fix; `str()` gives all three, a line each.

    Parameters
    ----------
    what : str
        One sentence in the user's words.
    why : str, optional
        The cause, if it is known.
    fix : str, optional
        What to do or type next.
    """

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.fix = what, why, fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"Why: {self.why}")
        if self.fix:
            lines.append(f"Fix: {self.fix}")
        return "\n".join(lines)


class FetchError(ColabKitError, OSError):
    """A link could not be turned into the right file."""

    tries: int = 1  # how often it is worth trying in all; 1: the next try would end as this one
    wait: float | None = None  # seconds the server asked for before the next one


class LinkError(FetchError, ValueError):
    """The link, or what is asked of it, cannot mean a file."""


class Offline(FetchError):
    """No server could be reached."""


class NotFound(FetchError):
    """There is no such file, or no longer."""


class Private(FetchError):
    """The file is there, and not for everyone."""


class QuotaExceeded(FetchError):
    """Too many people have fetched the file today."""


class RateLimited(FetchError):
    """The server is busy, or has been asked too often."""


class GotHtml(FetchError):
    """A web page, or a server's message, came in place of the file."""


class GotLfsPointer(FetchError):
    """Git LFS's note of where the file is came in its place."""


class Truncated(FetchError):
    """Less, or something else, came than was announced."""


class HashMismatch(FetchError):
    """What came is not what the hash stands for."""


class Stopped(FetchError):
    """A Control said stop; what was received stays, and the next call goes on from it."""


class DriveError(ColabKitError, OSError):
    """Drive cannot be mounted, read or written.

    again : how many more tries are worth it; 0 for what does not change by itself
    """

    again: int = 0


class DataError(ColabKitError, ValueError):
    """The pictures, arrays or labels do not fit together."""


class NoSpace(FetchError, DataError):
    """The disk has no room for it."""


class BadArchive(FetchError, DataError):
    """An archive is damaged, locked, or of a kind that cannot be read here."""


class UnsafeArchive(BadArchive):
    """An archive would write outside of its folder, or fill the disk."""


class RecipeError(ColabKitError, ValueError):
    """A training option is unknown or has a value that cannot work."""


class RecipeChanged(RecipeError):
    """The named output folder holds a run that another recipe, model or data made."""


class ModelError(ColabKitError, ValueError):
    """The network, its loss or its optimizer does not fit the data."""


class TrainError(ColabKitError, RuntimeError):
    """Training cannot go on."""


class RunError(ColabKitError, OSError):
    """A run's folder or checkpoint cannot be found, read or written."""


class RunInUse(RunError):
    """Another process, or a session on another machine, is writing the run."""


class ColabError(ColabKitError, RuntimeError):
    """Colab's page cannot give what was asked for: a secret, an upload."""


class MissingExtra(ColabKitError, ImportError):
    """An optional package is needed and not installed."""


def new_word(place: str, value: Any) -> str:
    """Give the fix for a value that is an old word: the right one; "" for any other value."""
    word = RENAMED[place].get(value) if isinstance(value, str) else None
    return "" if word is None else f"{value!r} is called {word!r} now: write {place}={word!r}"


def no_attribute(thing: Any, name: str) -> AttributeError:
    """The error for an attribute that is not there; of a renamed one it says the new name."""
    kind = type(thing).__name__
    word = RENAMED.get(kind, {}).get(name)
    return AttributeError(
        f"{kind} has no {name!r}" + (f": it is called {word!r} now" if word else ""),
        name=name,
        obj=thing,
    )


def renamed_option(verb: str, old: str, new: str) -> RecipeError:
    """The error for an option under its old name."""
    what = f"{verb}() has no option {old}=."
    return RecipeError(what, f"it is called {new}=", f"write {new}=…")


def new_words(verb: Callable[P, R]) -> Callable[P, R]:
    """Let the verb answer an option's old name with the new one."""
    code: Any = verb.__code__
    options = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    words = {
        old: new
        for place in ("option", verb.__name__)
        for old, new in RENAMED.get(place, {}).items()
    }

    @wraps(verb)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name in words and name not in options and words[name] in options:
                raise renamed_option(verb.__name__, name, words[name])
        return verb(*args, **kwargs)

    return checked
