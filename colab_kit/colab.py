"""The one door to google.colab: what comes back through it is an answer or a DriveError in three sentences."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .errors import DriveError

TIMEOUT = 120.0  # s; google.colab waits this long for the consent, and up to 30 s more for the disk


def _import_drive() -> Any:
    return importlib.import_module("google.colab.drive")


def mount(mountpoint: str, timeout_s: float = TIMEOUT, readonly: bool = False, *, import_drive: Callable[[], Any] = _import_drive) -> None:
    """Call google.colab's drive.mount, once; it prints where it mounted.

    Raises
    ------
    DriveError
        Whatever went wrong there: its fix is what a person can do about it.
    """
    try:
        # str only: google.colab looks for a space with `in`, which a Path does not have
        import_drive().mount(str(mountpoint), timeout_ms=int(timeout_s * 1000), readonly=readonly)
    except Exception as err:
        raise DriveError(f"Google Drive could not be mounted at {mountpoint}.", *_sentences(err, str(mountpoint))) from err


AGAIN = "run the cell again; if that does not help: Runtime ▸ Disconnect and delete runtime, then start anew"
CONSENT = "run the cell again, choose the Google account this notebook is open in, tick every box, allow pop-ups and cookies for google.com"
ELSEWHERE = 'give a folder that does not exist yet, such as mount("/content/drive")'

_VALUE_ERRORS = (  # a piece of google.colab's message, why, fix
    ("must not contain a space", "the mountpoint {mp!r} has a space in it", ELSEWHERE),
    ("must not be a symlink", "{mp} is a link", ELSEWHERE),
    (
        "must not already contain files",
        "something wrote into {mp} before Drive was there",
        "move it away (!mv {mp} {mp}-before), then run the cell again; nothing may write there before mount()",
    ),
    ("must either be a directory or not exist", "{mp} is a file", "move it away (!mv {mp} {mp}-before), then run the cell again"),
    ("must be in a directory that exists", "the folder above {mp} does not exist", ELSEWHERE),
    ("must be a directory if present", "a file stands where Drive keeps its settings ({err})", "delete that file and run the cell again"),
    (
        "domain policy",
        "the school or company that owns this account has switched Drive off here",
        "use a private account, or ask its administrator",
    ),
    (
        "timeout during initial read of root folder",
        "My Drive's top level holds too many files or folders to be read in time",
        "run the cell again (what was read is kept); if it stays so, move them into folders on drive.google.com",
    ),
    ("mount failed", "the question for consent got no answer (VS Code and `colab run` show none), or Drive's program stopped", CONSENT),
)


def _sentences(err: Exception, mountpoint: str) -> tuple[str, str]:
    """Why, and the fix. Errors go by their class's name: the classes live in packages that only Colab has."""
    said = str(err)
    match type(err).__name__:
        case "MessageError":
            return f"the consent was refused or lost ({said})", CONSENT
        case "ValueError":
            for piece, why, fix in _VALUE_ERRORS:
                if piece in said:
                    return why.format(mp=mountpoint, err=said), fix.format(mp=mountpoint)
        case "NotImplementedError" if "Enterprise" in said:
            return "Colab Enterprise does not offer Drive", "keep files in a Cloud Storage bucket, or use colab.research.google.com"
        case "NotImplementedError":
            return "this is not one of Colab's hosted machines", "connect to a hosted runtime, or leave mock= out: a local folder stands in"
        case "KeyError":
            return (
                f"this process lacks the environment variable {said}",
                "mount in a notebook cell, not in a process with its own environment",
            )
        case "TIMEOUT":  # pexpect's
            return "Drive's program did not answer in time", AGAIN
        case "AttributeError" if "kernel" in said:
            return "a script has no page to ask for consent in", "mount in a notebook cell first; a script then finds Drive mounted"
        case "ImportError" | "ModuleNotFoundError":
            return f"google.colab cannot be imported ({said})", "leave mock= out: a local folder stands in"
    return f"{type(err).__name__}: {said}", AGAIN
