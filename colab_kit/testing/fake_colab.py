"""The stand-in for google.colab: a machine, a page and a Drive that answer as Colab's do."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..colab.health import pretence
from ..errors import DriveError
from ..system.files import home
from ..system.hardware import COLAB_VM
from . import install
from .faults import Faults
from .folder_drive import FolderBody
from .intercept import Reach
from .page import Answers, Page, PathLike, Reply, Secrets, Selection

if TYPE_CHECKING:
    from .fuse.mount import FuseBody

CONTENT = Path("/content")
DENIED = "Error: credential propagation was unsuccessful"  # the page's words


class StandIn(Page):
    """A google.colab that works anywhere; a context manager.

    Outside a notebook's kernel the real one cannot ask its page and raises AttributeError. This
    one answers there too, so that plain tests can use it (`kernel=False` imitates the real one).

    Parameters
    ----------
    body : FolderBody or FuseBody, optional
        The Drive. None: a folder under COLAB_KIT_HOME, which keeps its files between sessions.
    content : path
        The folder in /content's place. Only this Python sees another folder than /content itself;
        `!` lines do not.
    as_colab : bool
        The whole disguise: kernel's class, environment, /var/colab/hostname, working folder.
        kit.runtime() then says "colab".
    secrets : mapping, optional
        The secrets that userdata.get() finds; None as a value: this notebook has no access to it.
        The environment, if None.
    uploads : iterable
        The files of each files.upload(), in turn: (name, bytes), a path, a list of these, or None
        (cancelled).
    answers : mapping or callable, optional
        The values of eval_js(): by the whole script, else by a piece of it; an exception is what
        the script threw. Without one, proxyPort(5000) is http://localhost:5000/. Also
        "auth_user_ephemeral": False (sign-in fails), "unassign": the HTTP status, "get_ipynb": the
        notebook (by default the cells that have run), and what Google's services say:
        "generate_text" and "list_models" (google.colab.ai), "bigquery.run", "bigquery.validate".
    downloads : path, optional
        Where the browser saves files, after the cell or at deliver(). COLAB_KIT_HOME/downloads, if
        None.
    kernel, page, vm : bool
        False imitates a process that is no kernel, a client that shows no page (VS Code, `colab
        run`), another machine than Colab's.
    stop : bool
        Whether runtime.unassign() ends the program with SystemExit.
    sleep : callable
        Waits, when nobody answers.

    Attributes
    ----------
    calls : list of (name, arguments)
        The calls that have no lasting effect here: sign-in, viewer, areas, widgets.
    sheets : dict
        The tables of google.colab.sheets by title, url or sheet_id; DataFrames can be put there.
    unassigned : bool
        Whether runtime.unassign() was called.
    faults : Faults
        The Drive's plan of failures.

    Examples
    --------
    >>> with StandIn(content="/tmp/content"):  # doctest: +SKIP
    ...     from google.colab import drive
    ...     drive.mount("/content/drive")
    Mounted at /content/drive
    """

    def __init__(
        self,
        body: FolderBody | FuseBody | None = None,
        *,
        content: PathLike = CONTENT,
        as_colab: bool = False,
        secrets: Secrets | None = None,
        uploads: Iterable[Selection] = (),
        answers: Answers | None = None,
        downloads: PathLike | None = None,
        kernel: bool = True,
        page: bool = True,
        vm: bool = True,
        stop: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        # now: in disguise, a machine without COLAB_KIT_HOME would say /content/.colab-kit
        self.home = home().absolute()
        folder = Path(downloads if downloads is not None else self.home / "downloads")
        super().__init__(secrets, uploads, answers, folder, page, sleep)
        self.body = body if body is not None else FolderBody(self.home / "drive")
        self.content, self.as_colab = Path(content).absolute(), as_colab
        self.kernel, self.vm, self._stop = kernel, vm, stop
        self.callbacks: dict[str, Callable[..., Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.unassigned = self._mounted_here = False
        self._reach = Reach()
        if self.content != CONTENT:
            self._reach.redirect(CONTENT, self.content)
        self._points: list[Path] = []  # mountpoints made here
        self._undo: ExitStack | None = None

    @property
    def faults(self) -> Faults:
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
            if not undo.enter_context(install.content_folder(self.content)):
                raise DriveError(
                    f"{self.content} cannot be made on this machine.",
                    "only root can make it, on Linux, and nobody on macOS",
                    'name a folder to take its place: StandIn(content="some/folder")',
                )
            undo.callback(self._leave)
            undo.enter_context(install.registered())
            undo.enter_context(self._reach)
            if (point := self.body.mounted_at()) is not None:  # by an earlier process
                self._watch(point, self.body.readonly)
            for announce in (_module("_seam").install, pretence.announce_colab):
                announce(self)
                undo.callback(announce, None)
            _module("drive").mount._DEBUG = False
            self._dress(undo)
            self._undo = undo.pop_all()
        return self

    def _dress(self, undo: ExitStack) -> None:
        if self.as_colab:
            scratch = Path(undo.enter_context(tempfile.TemporaryDirectory()))
            (scratch / "hostname").write_text("colab-kit-stand-in", encoding="utf-8")
            self._reach.redirect(COLAB_VM, scratch / "hostname")
            undo.callback(self._reach.redirect, COLAB_VM, None)
            undo.enter_context(install.environment(self.home, scratch / "bin"))
            dressed = undo.enter_context(install.shell(_module("_shell").over))
            undo.enter_context(install.working_in(self.content, dressed))
        if (shell := install.running_shell()) is not None:
            undo.enter_context(install.magics(shell, _module("_system_commands")))
            undo.enter_context(install.comments_dropped(shell))
            shell.events.register("post_run_cell", self._after_cell)
            undo.callback(shell.events.unregister, "post_run_cell", self._after_cell)

    def _after_cell(self, *_: object) -> None:
        self.deliver()

    def uninstall(self) -> None:
        """Put modules, shell and environment back as they were; flush and unmount the Drive."""
        if self._undo is not None:
            self.deliver()
            undo, self._undo = self._undo, None
            undo.close()

    def _leave(self) -> None:
        if self._mounted_here and self.mounted():
            self.unmount()
        for point in self._points:
            install.remove_empty(point)

    def _watch(self, point: Path, readonly: bool) -> None:
        """Let the plan reach this process's own files there; a FUSE mount fails by itself."""
        if not self.faults.fuse:
            self._reach.watch(point, self.faults, readonly=readonly, is_mount=True)

    def _unwatch(self) -> None:
        if (point := self.body.mounted_at()) is not None:
            self._reach.unwatch(point)

    # what the modules of google_colab ask for, beside Page
    def environ(self) -> Mapping[str, str]:
        """The environment as google.colab sees it in a Colab VM's kernel."""
        is_whole = self.as_colab or not self.vm
        seen = os.environ if is_whole else {**install.ENVIRONMENT, **os.environ}
        is_stripped = "COLAB_RELEASE_TAG" not in seen
        return seen if is_stripped else {**install.SERVICES, **seen}

    def fails(self, *kinds: str) -> str | None:
        """The kind of the planned fault that strikes now; it is counted."""
        fault = self.faults.at_mount(*kinds)
        return None if fault is None else fault.kind

    def mounted(self) -> bool:
        """Whether its Drive is mounted anywhere."""
        return self.body.mounted_at() is not None

    def mount(self, mountpoint: str, readonly: bool) -> None:
        point = self._reach.leads(mountpoint)
        if not point.exists():
            self._points.append(point)
        self.body.mount(point, readonly=readonly)
        self._mounted_here = True
        self._watch(point, readonly)

    def unmount(self) -> None:
        """Send everything that was written, then unmount."""
        self._unwatch()
        self.body.unmount()

    def drop(self) -> None:
        """Kill DriveFS: what was not sent is lost."""
        self._unwatch()
        self.body.drop()

    def ask(self, request_type: str, request: Any, timeout_sec: float | None) -> Reply:
        if request_type == "request_auth" and request.get("authType") == "dfs_ephemeral":
            match self.fails("consent_denied", "consent_unanswered"):
                case "consent_denied":
                    return {"error": DENIED}
                case "consent_unanswered":
                    return self._stay_silent("drive.mount()", timeout_sec)
        return super().ask(request_type, request, timeout_sec)

    def notebook(self) -> dict[str, Any]:
        """The cells that this kernel has run, without their output; ColabError outside one."""
        shell = install.running_shell()
        return super().notebook() if shell is None else install.notebook(shell)

    def note(self, call: str, **how: Any) -> None:
        """Record a call, for a test to read."""
        self.calls.append((call, how))

    def stop(self) -> None:
        """Give the machine back."""
        self.unassigned = True
        if self._stop:
            raise SystemExit("runtime.unassign(): the machine was given back")

    # what colab/health.py asks for
    def mounted_at(self) -> Path | None:
        """The mountpoint as this Python's code names it: /content/drive, wherever that leads."""
        point = self.body.mounted_at()
        return None if point is None else self.named(point)

    def named(self, path: Path) -> Path:
        return self._reach.named(path)

    # what a test does in the browser's place
    def invoke(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a registered callback as JavaScript does: its arguments are JSON."""
        return _module("output")._invoke_function(name, json.dumps(args), json.dumps(kwargs))


def _module(name: str) -> Any:
    return importlib.import_module(f"{install.NAME}.{name}")


def current() -> StandIn | None:
    """The stand-in that is installed in this process."""
    return pretence.colab if isinstance(pretence.colab, StandIn) else None


_loaded: list[StandIn] = []  # process state: the stand-in of %load_ext, which %unload_ext takes out


def load_ipython_extension(ipython: Any) -> None:
    """%load_ext colab_kit.testing.fake_colab: from now on this kernel looks like Colab's."""
    if not _loaded:
        _loaded.append(StandIn(as_colab=True).install())


def unload_ipython_extension(ipython: Any) -> None:
    """%unload_ext colab_kit.testing.fake_colab: it looks like itself again."""
    while _loaded:
        _loaded.pop().uninstall()
