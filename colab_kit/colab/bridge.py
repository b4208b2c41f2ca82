"""The one door to google.colab: an answer comes back through it, or an error of ours."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ColabError, ColabKitError, DriveError
from ..system.hardware import Host, host
from ..system.runtime import in_colab_kernel

TIMEOUT = 120.0  # s; google.colab waits so long for the consent, and 30 s more for the disk
FLUSH = 86_400.0  # s; its own limit for handing everything over
PAGE = 3.0  # s; a page that shows the notebook answers in a fraction of one
# "cli" under `colab run`: whoever starts it says so, since nothing else tells.
CLIENT = "COLAB_KIT_CLIENT"

Room = Callable[[str], Any]  # a module of google.colab by its name


def _room(name: str) -> Any:
    return importlib.import_module(f"google.colab.{name}")


def mount(
    mountpoint: str,
    timeout_s: float = TIMEOUT,
    *,
    readonly: bool = False,
    force: bool = False,
    room: Room = _room,
) -> None:
    """Call google.colab's drive.mount, once; it prints where it mounted.

    `force` ends every Drive that this machine has mounted, with what it had not sent yet.

    Raises
    ------
    DriveError
        Its fix is what a person can do about it, its `again` how often another try is worth it.
    """
    point, timeout = str(mountpoint), int(timeout_s * 1000)  # google.colab takes no Path
    try:
        room("drive").mount(point, force_remount=force, timeout_ms=timeout, readonly=readonly)
    except Exception as err:
        raise _translated(
            f"Google Drive could not be mounted at {mountpoint}.", err, point
        ) from err


def unmount(timeout_s: float = FLUSH, *, room: Room = _room) -> None:
    """Call google.colab's flush_and_unmount.

    It returns when all was sent to Google, and ends every mount of this machine.

    Raises
    ------
    DriveError
    """
    try:
        room("drive").flush_and_unmount(timeout_ms=int(timeout_s * 1000))
    except Exception as err:
        raise _translated(
            "Google Drive could not be flushed and unmounted.", err, "the mountpoint"
        ) from err


def bad_mountpoint(mountpoint: str) -> DriveError | None:
    """The error that google.colab would raise for this mountpoint; None if it may do.

    So it is known before anyone is asked for consent. The questions are not Path's: on a dead
    mount those raise errno 107.
    """
    if " " in mountpoint:
        fault = "must not contain a space"
    elif os.path.islink(mountpoint):
        fault = "must not be a symlink"
    elif os.path.isfile(mountpoint):
        fault = "must either be a directory or not exist"
    elif not os.path.isdir(Path(mountpoint).parent):
        fault = "must be in a directory that exists"
    else:
        return None
    what = f"Google Drive cannot be mounted at {mountpoint}."
    return _translated(what, ValueError(fault), mountpoint)


def page_answers(timeout_s: float = PAGE, *, room: Room = _room) -> bool | None:
    """Whether a page shows this notebook, by asking it what 1 is; None if that cannot be told.

    Silence is no proof (a page may be busy): newer VS Code can mount without answering this.
    """
    try:
        return bool(room("output").eval_js("1", timeout_sec=timeout_s) is not None)
    except Exception as err:
        if type(err).__name__ == "MessageError":  # the page's own complaint is an answer
            return True
        return False if _no_kernel(err) else None


def _no_kernel(err: Exception) -> bool:
    """Whether google.colab found no notebook's kernel."""
    return type(err).__name__ == "AttributeError" and "kernel" in str(err)


def has_page(machine: Host | None = None) -> bool:
    """Whether there may be a page to ask.

    There is one in Colab's kernel, unless `colab run` started it, and where our imitation is
    installed.
    """
    machine = machine or host()
    if getattr(sys.modules.get("google.colab"), "__colab_kit_mock__", False):
        return True
    return in_colab_kernel(machine) and machine.env.get(CLIENT) != "cli"


def secret(name: str) -> str | None:
    """Give a secret: the environment variable of that name, else Colab's, else None.

    Colab's secrets stand behind the key symbol at its left edge. An empty one counts as none.
    Where no page answers (VS Code, `colab run`, a script) only the environment counts. The value
    is printed nowhere and stands in no error.

    Raises
    ------
    ColabError
        No such name can exist, or this notebook may not read that secret.

    Examples
    --------
    >>> token = secret("HF_TOKEN")  # doctest: +SKIP
    """
    return find_secret(name)


def find_secret(
    name: str,
    *,
    environ: Mapping[str, str] | None = None,
    page: Callable[[], bool] = has_page,
    room: Room = _room,
) -> str | None:
    """secret() in a described world."""
    if not isinstance(name, str) or not name or any(sign.isspace() for sign in name):
        # The name is not quoted: it may be the secret itself.
        why = "a name is text without spaces, and not empty"
        raise ColabError("This cannot be a secret's name.", why, 'write secret("HF_TOKEN")')
    environ = os.environ if environ is None else environ
    if value := environ.get(name):
        return value
    if not page():
        return None
    try:
        return room("userdata").get(name) or None
    except Exception as err:
        kind = type(err).__name__
        if kind in ("SecretNotFoundError", "TimeoutException") or _no_kernel(err):
            return None
        if isinstance(err, ImportError):
            return None
        what, why = f"The secret {name} could not be read.", f"Colab answered with {kind}"
        fix = f"run the cell again, or set the environment variable {name}"
        if kind == "NotebookAccessError":
            what = f"This notebook may not read the secret {name}."
            why = "its notebook access is switched off"
            switch = f"switch on “Notebook access” for {name}, and run the cell again"
            fix = f"click the key symbol at the left edge, {switch}"
        raise ColabError(what, why, fix) from err


def upload(
    to: str | os.PathLike[str] | None = None,
    *,
    page: Callable[[], bool] = has_page,
    room: Room = _room,
) -> list[Path]:
    """Show Colab's chooser and wait; give the files where they were saved, none if cancelled.

    to : the folder, made if it is missing; None: the working folder. A name that is taken gets a
        number.

    Raises
    ------
    ColabError
        There is no page that could show a chooser, or the upload failed.
    """
    elsewhere = "give a path to what is on this machine already, such as load('cats.zip')"
    if not page():
        why = "only a notebook's page on Colab can show a chooser"
        raise ColabError("Files cannot be chosen here.", why, elsewhere)
    try:
        saved = room("files").upload(target_dir="" if to is None else os.path.expanduser(to))
    except Exception as err:
        why = f"{type(err).__name__}: {err}"
        fix = f"run the cell again in Colab's own page; elsewhere {elsewhere}"
        if isinstance(err, ColabKitError):  # the stand-in's
            why, fix = err.why or err.what, err.fix
        elif type(err).__name__ in ("AttributeError", "MessageError"):
            why = "no page answers"
        raise ColabError("The files could not be uploaded.", why, fix) from err
    return [Path(name).absolute() for name in saved]


_ANEW = "Runtime ▸ Disconnect and delete runtime, then start anew"
AGAIN = f"run the cell again; if that does not help: {_ANEW}"
CONSENT = (
    "run the cell again, choose the Google account this notebook is open in, tick every box, "
    "allow pop-ups and cookies for google.com"
)
ELSEWHERE = 'give a folder that does not exist yet, such as mount("/content/drive")'
_MOVE = "move it away (!mv {mp} {mp}-before), then run the cell again"
_LOCAL = "leave mock= out: a local folder stands in"
ENTERPRISE = (
    "Colab Enterprise does not offer Drive",
    "keep files in a Cloud Storage bucket, or use colab.research.google.com",
)
NO_PAGE = (
    "a script has no page to ask for consent in",
    "mount in a notebook cell first (kit.mount()); a script then finds Drive mounted",
)

_VALUE_ERRORS = (  # a piece of google.colab's message, why, fix, how often another try is worth it
    ("must not contain a space", "the mountpoint {mp!r} has a space in it", ELSEWHERE, 0),
    ("must not be a symlink", "{mp} is a link", ELSEWHERE, 0),
    (
        "must not already contain files",
        "something wrote into {mp} before Drive was there",
        f"{_MOVE}; nothing may write there before mount()",
        0,
    ),
    ("must either be a directory or not exist", "{mp} is a file", _MOVE, 0),
    ("must be in a directory that exists", "the folder above {mp} does not exist", ELSEWHERE, 0),
    (
        "must be a directory if present",
        "a file stands where Drive keeps its settings ({err})",
        "delete that file and run the cell again",
        0,
    ),
    (
        "domain policy",
        "the school or company that owns this account has switched Drive off here",
        "use a private account, or ask its administrator",
        0,
    ),
    (
        "timeout during initial read of root folder",
        "My Drive's top level holds too many files or folders to be read in time",
        "run the cell again (what was read is kept); if that does not help, move them into folders "
        "on drive.google.com",
        3,
    ),
    (
        "flush_and_unmount failed",  # before the next row, which is a part of it
        "Drive's program did not send everything in time",
        "keep this machine, look on drive.google.com whether the files are there, and run the cell "
        "again",
        1,
    ),
    (
        "mount failed",
        "the question for consent got no answer (VS Code and `colab run` show none), or Drive's "
        "program stopped",
        CONSENT,
        2,
    ),
)


def _translated(what: str, err: Exception, mountpoint: str) -> DriveError:
    why, fix, again = _sentences(err, mountpoint)
    error = DriveError(what, why, fix)
    error.again = again
    return error


def _sentences(err: Exception, mountpoint: str) -> tuple[str, str, int]:
    """Why, the fix, and how often another try is worth it.

    Errors go by their class's name: the classes exist only on Colab.
    """
    if isinstance(err, ColabKitError):  # the stand-in's
        return err.why or err.what, err.fix or AGAIN, 0
    words = str(err)
    match type(err).__name__:
        case "MessageError":
            return f"the consent was refused or lost ({words})", CONSENT, 1
        case "ValueError":
            for piece, why, fix, again in _VALUE_ERRORS:
                if piece in words:
                    return why.format(mp=mountpoint, err=words), fix.format(mp=mountpoint), again
        case "NotImplementedError" if "Enterprise" in words:
            return *ENTERPRISE, 0
        case "NotImplementedError":
            fix = f"connect to a hosted runtime, or {_LOCAL}"
            return "this is not one of Colab's hosted machines", fix, 0
        case "KeyError":
            fix = "mount in a notebook cell, not in a process with its own environment"
            return f"this process lacks the environment variable {words}", fix, 0
        case "TypeError":  # a Path, to google.colab, is no mountpoint
            fix = "give the mountpoint as text, such as '/content/drive'"
            return f"google.colab did not take what it was given ({words})", fix, 0
        case "TIMEOUT":  # pexpect's
            return "Drive's program did not answer in time", AGAIN, 3
        case "AttributeError" if "kernel" in words:
            return *NO_PAGE, 0
        case "ImportError" | "ModuleNotFoundError":
            return f"google.colab cannot be imported ({words})", _LOCAL, 0
    return f"{type(err).__name__}: {words}", AGAIN, 0
