"""Reach: while it is installed, this process's own file calls in a folder meet a plan of faults, and paths may be redirected.

It reaches open(), the calls of `os`, what is built on them (pathlib, shutil, glob, tempfile, zipfile, tarfile, numpy, Pillow, pandas),
torch.save and torch.load, and safetensors. It does not reach

- C libraries that open files themselves: OpenCV, HDF5, SQLite, torch.jit; nor the import of modules;
- other processes: shells, `!` lines, subprocesses, but forked workers are reached;
- files that were opened before it was installed, and names that lead into the folder by a link made elsewhere.

What a C library writes to the number of a file that Python opened (numpy's tofile, Pillow's JPEG) meets the plan when that is closed.
The FUSE body reaches all of these.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from ..colab.health import pretence
from .calls import Call, calls
from .faults import Faults
from .watch import Watch, exempt, find, forget_closed, look_at, meet

__all__ = ["Reach", "exempt"]
_SUPPORTS = ("supports_dir_fd", "supports_fd", "supports_follow_symlinks", "supports_effective_ids")
_SPARED = {
    "posix",
    "nt",
    "_io",
    *(f"{__package__}.{room}" for room in ("watch", "opened", "calls", "intercept")),
}
_lock = threading.RLock()
_installed: list[Reach] = []
_put: list[tuple[Call, Call]] = []  # (what was there, ours)


class Reach:
    """The folders whose files meet a plan, and the paths that lead elsewhere. A context manager; may be entered again.

    Parameters
    ----------
    folder : path, optional
        Watched with `faults`; `watch` adds more, before or after installing.
    faults : Faults, optional
        None: nothing is planned.
    readonly : bool
        Every change is refused: errno 30.
    redirects : dict of path to path, optional
        What begins with the key is looked for under the value: {"/content": tmp_path} where /content cannot be made.

    Examples
    --------
    >>> faults = Faults()
    >>> with Reach(folder, faults):
    ...     full = faults.full(after_bytes=10, on="*.txt")
    ...     (folder / "a.txt").write_text("more than ten letters")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: '.../a.txt'
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        faults: Faults | None = None,
        *,
        readonly: bool = False,
        redirects: Mapping[str, str | os.PathLike[str]] | None = None,
    ) -> None:
        self._watches: dict[str, Watch] = {}
        self._redirects = {
            os.fspath(prefix): os.fspath(to) for prefix, to in (redirects or {}).items()
        }
        self._depth = 0
        if folder is not None:
            self.watch(folder, faults, readonly=readonly)

    @property
    def installed(self) -> bool:
        return self._depth > 0

    def watch(
        self,
        folder: str | os.PathLike[str],
        faults: Faults | None = None,
        *,
        readonly: bool = False,
    ) -> None:
        """Let the files in `folder` meet a plan from now on; a folder watched already gets the new one."""
        self.unwatch(folder)
        with _lock:
            self._watches[os.path.abspath(folder)] = Watch(
                os.fspath(folder), faults or Faults(), readonly, on=self.installed
            )
            _look()

    def unwatch(self, folder: str | os.PathLike[str]) -> None:
        """Leave its files alone, open ones too."""
        with _lock:
            if watch := self._watches.pop(os.path.abspath(folder), None):
                watch.on = False
            _look()

    def redirect(self, prefix: str | os.PathLike[str], to: str | os.PathLike[str] | None) -> None:
        """Lead what begins with `prefix` to `to`; None ends that."""
        with _lock:
            self._redirects.pop(os.fspath(prefix), None)
            if to is not None:
                self._redirects[os.fspath(prefix)] = os.fspath(to)
            _look()

    def leads(self, path: str | os.PathLike[str]) -> Path:
        """Where a path truly lies, absolute: what another process, without these redirects, would have to open."""
        full = os.path.abspath(path)
        for prefix, to in sorted(self._redirects.items(), key=lambda item: -len(item[0])):
            if full == prefix or full.startswith(prefix.rstrip(os.sep) + os.sep):
                return Path(os.path.abspath(to) + full[len(prefix) :])
        return Path(full)

    def named(self, path: str | os.PathLike[str]) -> Path:
        """The way back from `leads`: what somebody who sees the redirects calls this place."""
        with exempt():
            parent, name = os.path.split(os.path.abspath(path))
            full = os.path.join(
                os.path.realpath(parent), name
            )  # not of the place itself: a mount may hang
            for prefix, to in self._redirects.items():
                if full == (there := os.path.realpath(to)) or full.startswith(there + os.sep):
                    return Path(os.path.abspath(prefix) + full[len(there) :])
        return Path(os.path.abspath(path))

    def install(self) -> Reach:
        """Begin. The first of all Reaches puts our functions in place of Python's."""
        with _lock:
            self._depth += 1
            if self._depth == 1:
                self._turn(True)
                _installed.append(self)
                _look()
                if len(_installed) == 1:
                    _put_in()
        return self

    def uninstall(self) -> None:
        """End. The last one puts every function back."""
        with _lock:
            self._depth = max(0, self._depth - 1)
            if self._depth == 0 and self in _installed:
                self._turn(False)
                _installed.remove(self)
                if not _installed:
                    _take_out()
                _look()

    def _turn(self, on: bool) -> None:
        for watch in self._watches.values():
            watch.on = on

    def __enter__(self) -> Reach:
        return self.install()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.uninstall()


def _look() -> None:
    watches = [watch for reach in _installed for watch in reach._watches.values()]
    look_at(
        watches, {prefix: to for reach in _installed for prefix, to in reach._redirects.items()}
    )


def _put_in() -> None:
    for module, name, real, ours in calls():
        _put.append((real, ours))
        setattr(module, name, ours)
    for name in _SUPPORTS:
        kinds = getattr(os, name)
        kinds.update([ours for real, ours in _put if real in kinds])
    for name, hook in _LATE.items():
        if module := sys.modules.get(name):
            _put.extend(hook(module))
    _sweep(dict(_put))
    pretence.announce_failures(exempt)
    sys.meta_path.insert(0, _late)


def _take_out() -> None:
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not _late]
    pretence.announce_failures(nullcontext)
    back = {ours: real for real, ours in _put}
    _sweep(back)
    for name in _SUPPORTS:
        getattr(os, name).difference_update(back)
    _put.clear()
    forget_closed()


def _sweep(instead: Mapping[Any, Any]) -> None:
    """Replace functions wherever a module holds them: `from os import rename`, IPython's own open, tarfile's."""
    by_id = {id(old): new for old, new in instead.items()}
    for key, module in list(sys.modules.items()):
        if key in _SPARED or not isinstance(module, ModuleType):
            continue
        names = vars(module)  # not setattr: some modules check what is set on them
        if by_id.keys().isdisjoint(
            map(id, list(names.values()))
        ):  # at C's speed: 7 ms for the 1,200 modules that torch brings
            continue
        for name, value in list(names.items()):
            if id(value) in by_id:
                names[name] = by_id[id(value)]
    for call in list(vars(tempfile._TemporaryFileCloser).values()):  # type: ignore[attr-defined]  # it binds os.unlink as a default
        if defaults := getattr(call, "__defaults__", None):
            call.__defaults__ = tuple(by_id.get(id(value), value) for value in defaults)
    glob = sys.modules.get("glob")
    for kind in (
        getattr(glob, "_Globber", None),
        getattr(glob, "_StringGlobber", None),
    ):  # pathlib's, from Python 3.13 on
        for name, value in list(vars(kind).items()) if kind else ():
            if isinstance(value, staticmethod) and id(value.__func__) in by_id:
                setattr(kind, name, staticmethod(by_id[id(value.__func__)]))


def _torch(module: Any) -> list[tuple[Call, Call]]:
    return [
        (real, functools.wraps(real)(wrap(real)))
        for real, wrap in ((module.save, _saves), (module.load, _loads))
    ]


def _saves(real: Call) -> Call:
    def save(obj: Any, f: Any, *args: Any, **options: Any) -> Any:
        if isinstance(f, (str, os.PathLike)) and find(f) is not None:  # torch would open it in C++
            with open(f, "wb") as file:
                return real(obj, file, *args, **options)
        return real(obj, f, *args, **options)

    return save


def _loads(real: Call) -> Call:
    def load(f: Any, *args: Any, **options: Any) -> Any:
        spot = find(f) if options.get("mmap") and isinstance(f, (str, os.PathLike)) else None
        if spot is None:
            return real(f, *args, **options)  # it calls open()
        meet("open", spot)
        meet("read", spot)
        return real(spot.path, *args, **options)

    return load


def _safetensors(module: Any) -> list[tuple[Call, Call]]:
    serialize, real_file, real_open = module.serialize, module.serialize_file, module.safe_open

    def serialize_file(tensor_dict: Any, filename: Any, metadata: Any = None) -> Any:
        if find(filename) is None:
            return real_file(tensor_dict, filename, metadata)
        with open(filename, "wb") as file:  # it would be opened in Rust
            file.write(serialize(tensor_dict, metadata))

    def safe_open(filename: Any, *args: Any, **options: Any) -> Any:
        spot = find(filename)
        if spot is None:
            return real_open(filename, *args, **options)
        meet("open", spot)
        meet("read", spot)
        return real_open(spot.path, *args, **options)

    return [
        (real_file, serialize_file),
        (real_open, functools.wraps(real_open, updated=())(safe_open)),
    ]


_LATE: dict[str, Callable[[Any], list[tuple[Call, Call]]]] = {
    "torch.serialization": _torch,
    "safetensors": _safetensors,
}


class _Late:
    """Meets torch and safetensors when they are imported after us."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _LATE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = self._after(spec.loader.exec_module)  # type: ignore[method-assign, assignment]
        return spec

    def _after(self, run: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def exec_module(module: ModuleType) -> None:
            run(module)
            with _lock:
                if _installed:
                    pairs = _LATE[module.__name__](module)
                    _put.extend(pairs)
                    ours = {id(real): call for real, call in pairs}
                    vars(module).update(
                        {
                            name: ours[id(value)]
                            for name, value in vars(module).items()
                            if id(value) in ours
                        }
                    )

        return exec_module


_late = _Late()
