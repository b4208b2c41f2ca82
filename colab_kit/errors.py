"""What can go wrong, in three sentences: what happened, why, and the fix.

    ColabKitError
    ├── FetchError(OSError)        the network or a download
    │   ├── LinkError(ValueError)  the link, or an option of the call, cannot mean a file
    │   ├── Offline                no server answers
    │   ├── NotFound               the file does not exist, or no longer exists
    │   ├── Private                the file exists, but not for everyone
    │   ├── QuotaExceeded          too many people fetched the file today
    │   ├── RateLimited            the server is busy, or had too many requests
    │   ├── GotHtml                a web page came instead of the file
    │   ├── GotLfsPointer          a Git LFS pointer came instead of the file
    │   ├── Truncated              the server sent less than it announced, or other bytes
    │   ├── HashMismatch           the file has another hash than the expected one
    │   ├── Stopped                a Control said stop; the next call goes on from here
    │   ├── NoSpace(ValueError)    the disk has no room for the file
    │   └── BadArchive(ValueError) an archive is damaged, locked, or of a kind we cannot read
    │       └── UnsafeArchive      an archive would write outside its folder, or fill the disk
    ├── DriveError(OSError)        Google Drive, or the mock of it
    ├── DataError(ValueError)      pictures, arrays, labels, folders
    ├── RecipeError(ValueError)    a training option is unknown or has a wrong value
    │   └── RecipeChanged          the folder holds a run that another recipe made
    ├── ModelError(ValueError)     the network, its loss or its optimizer
    ├── TrainError(RuntimeError)   training cannot go on
    ├── RunError(OSError)          a run's folder or checkpoint cannot be read or written
    │   └── RunInUse               another process or machine writes that run
    ├── ColabError(RuntimeError)   Colab's secrets and uploads
    └── MissingExtra(ImportError)  an optional package is not installed

Each is also the built-in named in brackets, so a plain `except ValueError` catches what it should.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def _pairs(text: str) -> dict[str, str]:
    """Read "old=new old=new"."""
    return dict(pair.split("=") for pair in text.split())


RENAMED: dict[str, dict[str, str]] = {  # where a word stands: {old or foreign word: our word}
    "option": _pairs(
        """
        listen=callbacks listener=callbacks listeners=callbacks out=run_dir output_dir=run_dir
        fresh=restart head_epochs=freeze_epochs clip=max_grad_norm clip_norm=max_grad_norm
        accumulate=grad_accum_steps gradient_accumulation_steps=grad_accum_steps
        schedule=lr_schedule scheduler=lr_schedule lr_scheduler=lr_schedule warmup=warmup_epochs
        ema=ema_decay size=image_size img_size=image_size workers=num_workers budget=max_time
        save_every=save_every_steps validate_every=validate_every_steps limit=max_per_class
        names=class_names classes=class_names edits=label_edits groups=group learning_rate=lr
        bs=batch_size batch=batch_size n_epochs=epochs num_epochs=epochs criterion=loss
        wd=weight_decay early_stopping=patience
        """
    ),
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
}


# signs that steer a terminal, or turn the direction of writing, and what UTF-8 cannot write
_STEERING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def plain(text: object) -> str:
    """A text with names from outside as it is shown: what steers a terminal stands as `\\x1b`."""
    return _STEERING.sub(lambda sign: ascii(sign[0])[1:-1], str(text))


def in_line(name: object) -> str:
    """A name as it is shown in one line: the end of a line in it stands as `\\n`."""
    return plain(name).replace("\n", r"\n")


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
        return plain("\n".join(lines))


class FetchError(ColabKitError, OSError):
    """The link did not give the right file."""

    tries: int = 1  # how many tries make sense in all; 1: the next one would fail in the same way
    wait: float | None = None  # seconds the server asked for before the next one
    code: str = ""  # the server's own word for it, as in the header X-Error-Code


class LinkError(FetchError, ValueError):
    """The link, or an option of the call, cannot mean a file."""


class Offline(FetchError):
    """No server answers."""


class NotFound(FetchError):
    """The file does not exist, or no longer exists."""


class Private(FetchError):
    """The file exists, but not for everyone."""


class QuotaExceeded(FetchError):
    """Too many people fetched the file today."""


class RateLimited(FetchError):
    """The server is busy, or had too many requests."""


class GotHtml(FetchError):
    """A web page, or a server's message, came instead of the file."""


class GotLfsPointer(FetchError):
    """A Git LFS pointer came instead of the file."""


class Truncated(FetchError):
    """The server sent less than it announced, or other bytes."""


class HashMismatch(FetchError):
    """The file has another hash than the expected one."""


class Stopped(FetchError):
    """A Control said stop. The received bytes stay; the next call goes on from them."""


class DriveError(ColabKitError, OSError):
    """Drive cannot be mounted, read or written."""

    again: int = 0  # how many more tries make sense; 0: the next one would fail in the same way


class DataError(ColabKitError, ValueError):
    """The pictures, arrays or labels do not fit together."""


class NoSpace(FetchError, DataError):
    """The disk has no room for the file."""


class BadArchive(FetchError, DataError):
    """An archive is damaged, locked, or of a kind we cannot read."""


class UnsafeArchive(BadArchive):
    """An archive would write outside its folder, or fill the disk."""


class RecipeError(ColabKitError, ValueError):
    """A training option is unknown or has a value that cannot work."""


class RecipeChanged(RecipeError):
    """The folder holds a run that another recipe, model or data set made."""


class ModelError(ColabKitError, ValueError):
    """The network, its loss or its optimizer does not fit the data."""


class TrainError(ColabKitError, RuntimeError):
    """Training cannot go on."""


class RunError(ColabKitError, OSError):
    """A run's folder or checkpoint cannot be found, read or written."""


class RunInUse(RunError):
    """Another process, or a session on another machine, writes the run."""


class ColabError(ColabKitError, RuntimeError):
    """Colab's page cannot give the secret or the upload."""


class MissingExtra(ColabKitError, ImportError):
    """The call needs an optional package that is not installed."""


def new_word(place: str, value: Any) -> str:
    """Return the fix for a renamed value: the new word; "" for any other value."""
    word = RENAMED[place].get(value) if isinstance(value, str) else None
    return "" if word is None else f"{value!r} is called {word!r} now: write {place}={word!r}"


def no_attribute(thing: Any, name: str) -> AttributeError:
    """Return the error for a missing attribute; for a renamed one it says the new name."""
    kind = type(thing).__name__
    word = RENAMED.get(kind, {}).get(name)
    hint = f": it is called {word!r} now" if word else ""
    return AttributeError(f"{kind} has no {name!r}{hint}", name=name, obj=thing)


def renamed_option(verb: str, old: str, new: str) -> RecipeError:
    """Return the error for an option under its old name."""
    return RecipeError(f"{verb}() has no option {old}=.", f"it is called {new}=", f"write {new}=…")


def new_words(verb: Callable[P, R]) -> Callable[P, R]:
    """Make the verb refuse an option under its old name, and say the new name."""
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
