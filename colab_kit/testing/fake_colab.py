"""The stand-in for google.colab: a machine, a page and a Drive that answer as Colab's do, and fail on cue."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..colab.health import pretence
from ..errors import DriveError
from ..system.files import home
from ..system.hardware import COLAB_VM
from . import disguise, install
from .folder_drive import Body, FolderBody
from .intercept import Reach
from .page import Answers, Chosen, Page, Reply

CONTENT = Path("/content")
DENIED = "Error: credential propagation was unsuccessful"  # the page's words


class StandIn(Page):
    """A google.colab that works anywhere; a context manager.

    Outside a notebook's kernel the real one cannot ask its page and raises AttributeError; this one answers there too,
    so that plain tests can use it (`kernel=False` imitates the real one).

    Parameters
    ----------
    body : Body, optional
        The Drive: a folder under COLAB_KIT_HOME, if None, which keeps what is written from one session to the next.
    content : path
        What takes the place of /content. Another folder than /content itself is seen by this Python only, not by `!` lines.
    as_colab : bool
        The whole disguise: kernel's class, environment, /var/colab/hostname, working folder. kit.runtime() then says "colab".
    secrets : mapping, optional
        What userdata.get() finds; None as a value: this notebook has no access to it. The environment, if None.
    uploads : iterable
        What is chosen at each files.upload(), in turn: (name, bytes), a path, a list of these, or None (cancelled).
    answers : mapping or callable, optional
        What eval_js() gives: by the whole script, else by a piece of it; an exception is what the script threw.
        Also "auth_user_ephemeral": False (sign-in fails) and "unassign": the HTTP status.
    downloads : path, optional
        Where the browser saves files: after the cell, or at deliver(). COLAB_KIT_HOME/downloads, if None.
    kernel, page, vm : bool
        False imitates a process that is no kernel, a client that shows no page (VS Code, `colab run`), another machine than Colab's.
    stop : bool
        runtime.unassign() ends the program with SystemExit.
    sleep : callable
        Waits, when nobody answers.

    Attributes
    ----------
    calls : list of (name, arguments) without lasting effect here: sign-in, viewer, areas, widgets
    unassigned : whether runtime.unassign() was called
    faults : the body's plan of failures

    Examples
    --------
    >>> with StandIn(content="/tmp/content"):  # doctest: +SKIP
    ...     from google.colab import drive
    ...     drive.mount("/content/drive")
    Mounted at /content/drive
    """

    def __init__(
        self,
        body: Body | None = None,
        *,
        content: str | os.PathLike[str] = CONTENT,
        as_colab: bool = False,
        secrets: Mapping[str, str | None] | None = None,
        uploads: Iterable[Chosen] = (),
        answers: Answers | None = None,
        downloads: str | os.PathLike[str] | None = None,
        kernel: bool = True,
        page: bool = True,
        vm: bool = True,
        stop: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.home = (
            home().absolute()
        )  # now: once disguised, a machine without COLAB_KIT_HOME would say /content/.colab-kit
        self.body: Body = body if body is not None else FolderBody(self.home / "drive")
        self.content, self.as_colab = Path(content).absolute(), as_colab
        super().__init__(
            secrets=secrets,
            uploads=uploads,
            answers=answers,
            shows=page,
            wait=sleep,
            downloads=Path(downloads) if downloads is not None else self.home / "downloads",
        )
        self.kernel, self.vm, self._stop = kernel, vm, stop
        self.callbacks: dict[str, Callable[..., Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.unassigned = False
        self._reach = Reach(
            redirects={} if self.content == CONTENT else {str(CONTENT): self.content}
        )
        self._points: list[Path] = []  # mountpoints made here
        self._mounted_here = False
        self._undo: ExitStack | None = None

    @property
    def faults(self) -> Any:
        return self.body.faults

    def __enter__(self) -> StandIn:
        return self.install()

    def __exit__(self, *exc: object) -> None:
        self.uninstall()

    def install(self) -> StandIn:
        """Put google.colab in place.

        Raises
        ------
        DriveError
            There is a real one, or /content can neither be found nor made.
        """
        with ExitStack() as undo:
            install.refuse()
            if not undo.enter_context(disguise.made(self.content)):
                raise DriveError(
                    f"{self.content} cannot be made on this machine.",
                    "only root may, on Linux, and nobody on macOS",
                    'name a folder to take its place: StandIn(content="some/folder")',
                )
            undo.callback(self._leave)
            undo.enter_context(install.registered())
            undo.enter_context(self._reach)
            if (point := self.body.mounted_at()) is not None:  # by an earlier process
                self._watch(point, self.body.readonly)
            seam = importlib.import_module("google.colab._seam")
            seam.installed = self  # type: ignore[attr-defined]
            undo.callback(setattr, seam, "installed", None)
            pretence.announce_colab(self)
            undo.callback(pretence.announce_colab, None)
            importlib.import_module("google.colab.drive").mount._DEBUG = False
            self._dress(undo)
            self._undo = undo.pop_all()
        return self

    def _dress(self, undo: ExitStack) -> None:
        if self.as_colab:
            there = Path(undo.enter_context(tempfile.TemporaryDirectory())) / "hostname"
            there.write_text("colab-kit-stand-in")
            self._reach.redirect(COLAB_VM, there)
            undo.callback(self._reach.redirect, COLAB_VM, None)
            undo.enter_context(disguise.environment({"COLAB_KIT_HOME": str(self.home)}))
            undo.enter_context(disguise.shell(importlib.import_module("google.colab._shell").over))
            undo.enter_context(disguise.folder(str(self.content)))
        if (shell := disguise.running()) is not None:
            undo.enter_context(
                disguise.magics(
                    shell, importlib.import_module("google.colab._system_commands")._register_magics
                )
            )
            shell.events.register("post_run_cell", self._after_cell)
            undo.callback(shell.events.unregister, "post_run_cell", self._after_cell)

    def uninstall(self) -> None:
        """Put everything back as it was: modules, shell, environment; the Drive is flushed and unmounted."""
        if self._undo is not None:
            self.deliver()
            undo, self._undo = self._undo, None
            undo.close()

    def _leave(self) -> None:
        if self._mounted_here and self.mounted():
            self.unmount()
        for point in self._points:
            disguise.remove_empty(point)

    def _watch(self, point: Path, readonly: bool) -> None:
        """Let the plan of faults reach this process's own files there; a FUSE body strikes by itself."""
        if not self.faults.fuse:
            self._reach.watch(point, self.faults, readonly=readonly)

    def _unwatch(self) -> None:
        if (point := self.body.mounted_at()) is not None:
            self._reach.unwatch(point)

    # what the imitation asks for: google_colab/_seam.py's World
    def environ(self) -> Mapping[str, str]:
        return (
            os.environ if self.as_colab or not self.vm else {**disguise.ENVIRONMENT, **os.environ}
        )

    def fails(self, *kinds: str) -> str | None:
        fault = self.body.faults.at_mount(*kinds)
        return None if fault is None else fault.kind

    def mounted(self) -> bool:
        return self.body.mounted_at() is not None

    # what drive/health.py asks
    def mounted_at(self) -> Path | None:
        """The mountpoint as this Python's code names it: /content/drive, wherever /content leads to."""
        point = self.body.mounted_at()
        return None if point is None else self.named(point)

    def named(self, path: Path) -> Path:
        return self._reach.named(path)

    def mount(self, mountpoint: str, readonly: bool) -> None:
        point = self._reach.leads(mountpoint)
        if not point.exists():
            self._points.append(point)
        self.body.mount(point, readonly=readonly)
        self._mounted_here = True
        self._watch(point, readonly)

    def unmount(self) -> None:
        self._unwatch()
        self.body.unmount()

    def drop(self) -> None:
        self._unwatch()
        self.body.drop()

    def ask(self, request_type: str, request: Any, timeout_sec: float | None) -> Reply:
        if request_type == "request_auth" and request.get("authType") == "dfs_ephemeral":
            match self.fails("consent_denied", "consent_unanswered"):
                case "consent_denied":
                    return {"error": DENIED}
                case "consent_unanswered":
                    return self._silence("drive.mount()", timeout_sec)
        return super().ask(request_type, request, timeout_sec)

    def note(self, call: str, **how: Any) -> None:
        self.calls.append((call, how))

    def stop(self) -> None:
        self.unassigned = True
        if self._stop:
            raise SystemExit("runtime.unassign(): the machine was given back")

    # what a test does in the browser's place
    def invoke(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a registered callback as JavaScript does: what goes in is JSON."""
        return importlib.import_module("google.colab.output")._invoke_function(
            name, json.dumps(args), json.dumps(kwargs)
        )

    def _after_cell(self, *_: object) -> None:
        self.deliver()


def installed() -> StandIn | None:
    """The one that is installed in this process."""
    colab = pretence.colab
    return colab if isinstance(colab, StandIn) else None


_loaded: StandIn | None = None


def load_ipython_extension(ipython: Any) -> None:
    """%load_ext colab_kit.testing.fake_colab: this kernel takes itself for Colab's from now on."""
    global _loaded
    if _loaded is None:
        _loaded = StandIn(as_colab=True).install()


def unload_ipython_extension(ipython: Any) -> None:
    """%unload_ext colab_kit.testing.fake_colab: and no longer."""
    global _loaded
    if _loaded is not None:
        _loaded.uninstall()
        _loaded = None
