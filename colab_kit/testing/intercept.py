"""Reach: while it is installed, this process's own file calls in a folder meet a plan of faults.

It can also lead paths elsewhere. It reaches open(), the calls of `os`, and all that is built on
them (pathlib, shutil, glob, tempfile, zipfile, tarfile, numpy, Pillow, pandas), torch.save and
torch.load, and safetensors. It does not reach

- C libraries that open files themselves (OpenCV, HDF5, SQLite, torch.jit), and imports;
- other processes: shells, `!` lines, subprocesses; but it reaches forked workers;
- files that were opened before, and names that lead into the folder by a link made elsewhere.

A C library may write to the number of a file that Python opened (numpy's tofile, Pillow's JPEG):
those bytes meet the plan when the file is closed. The FUSE mount reaches all of these.
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
from types import ModuleType
from typing import Any

from ..colab.health import pretence
from .calls import Call, calls
from .faults import Faults
from .watch import Watch, exempt, find, forget_closed, look_at, meet

__all__ = ["Reach", "exempt"]
PathLike = str | os.PathLike[str]
Pairs = list[tuple[Call, Call]]  # (the function that was there, ours)
_SUPPORTS = ("supports_dir_fd", "supports_fd", "supports_follow_symlinks", "supports_effective_ids")
_ROOMS = (f"{__package__}.{room}" for room in ("watch", "calls", "intercept"))
_SPARED = {"posix", "nt", "_io", *_ROOMS}  # modules that keep the functions that were there

# process state, which the last uninstall() empties
_lock = threading.RLock()
_installed: list[Reach] = []
_put: Pairs = []


class Reach:
    """The folders whose files meet a plan, and the paths that lead elsewhere.

    A context manager, which can be entered again.

    Parameters
    ----------
    folder : path, optional
        Watched with `faults`; `watch` adds more, before or after installing.
    faults : Faults, optional
        None: nothing is planned.
    readonly : bool
        Refuse every change: errno 30.
    redirects : dict of path to path, optional
        What begins with the key is looked for under the value: {"/content": tmp_path} where
        /content cannot be made.

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
        folder: PathLike | None = None,
        faults: Faults | None = None,
        *,
        readonly: bool = False,
        redirects: Mapping[str, PathLike] | None = None,
    ) -> None:
        self._watches: dict[str, Watch] = {}
        self._redirects = {prefix: os.fspath(to) for prefix, to in (redirects or {}).items()}
        self._depth = 0
        if folder is not None:
            self.watch(folder, faults, readonly=readonly)

    @property
    def installed(self) -> bool:
        return self._depth > 0

    def watch(
        self,
        folder: PathLike,
        faults: Faults | None = None,
        *,
        readonly: bool = False,
        is_mount: bool = False,
    ) -> None:
        """Let the files in `folder` meet this plan from now on, in place of an earlier one.

        is_mount : the folder looks like Drive's mountpoint: its files lie on another disk, so that
            os.path.ismount is true and os.rename refuses to cross; "My Drive" is MyDrive itself,
            which no listing shows twice
        """
        self.unwatch(folder)
        watch = Watch(os.fspath(folder), faults or Faults(), readonly, self.installed, is_mount)
        with _lock:
            self._watches[os.path.abspath(folder)] = watch
            _look()

    def unwatch(self, folder: PathLike) -> None:
        """Leave its files alone, open ones too."""
        with _lock:
            if watch := self._watches.pop(os.path.abspath(folder), None):
                watch.on = False
            _look()

    def redirect(self, prefix: PathLike, to: PathLike | None) -> None:
        """Lead paths that begin with `prefix` to `to`; None ends that."""
        with _lock:
            self._redirects.pop(os.fspath(prefix), None)
            if to is not None:
                self._redirects[os.fspath(prefix)] = os.fspath(to)
            _look()

    def leads(self, path: PathLike) -> Path:
        """Where a path truly lies, absolute, while this is installed.

        A process without the redirects would have to open that.
        """
        spot = find(path)
        return Path(spot.path if spot else os.path.abspath(path))

    def named(self, path: PathLike) -> Path:
        """The way back from `leads`: the name of this place for those who see the redirects."""
        with exempt():
            parent, name = os.path.split(os.path.abspath(path))
            # not the real path of the place itself: a mount may hang
            full = os.path.join(os.path.realpath(parent), name)
            for prefix, to in self._redirects.items():
                real = os.path.realpath(to)
                if full == real or full.startswith(real + os.sep):
                    return Path(os.path.abspath(prefix) + full[len(real) :])
        return Path(os.path.abspath(path))

    def install(self) -> Reach:
        """Begin. The first of all Reaches puts our functions in place of Python's."""
        with _lock:
            self._depth += 1
            if self._depth == 1:
                self._switch(True)
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
                self._switch(False)
                _installed.remove(self)
                if not _installed:
                    _take_out()
                _look()

    def _switch(self, on: bool) -> None:
        for watch in self._watches.values():
            watch.on = on

    def __enter__(self) -> Reach:
        return self.install()

    def __exit__(self, *error: object) -> None:
        self.uninstall()


def _look() -> None:
    watches = [watch for reach in _installed for watch in reach._watches.values()]
    moves = {prefix: to for reach in _installed for prefix, to in reach._redirects.items()}
    look_at(watches, moves)


def _put_in() -> None:
    for module, name, real, ours in calls():
        _put.append((real, ours))
        setattr(module, name, ours)
    for name in _SUPPORTS:
        functions = getattr(os, name)
        functions.update([ours for real, ours in _put if real in functions])
    for name, hook in _LATE.items():
        if module := sys.modules.get(name):
            _put.extend(hook(module))
    _sweep(dict(_put))
    pretence.announce_failures(exempt)
    sys.meta_path.insert(0, _late)


def _take_out() -> None:
    pretence.announce_failures(nullcontext)
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not _late]
    back = {ours: real for real, ours in _put}
    _sweep(back)
    for name in _SUPPORTS:
        getattr(os, name).difference_update(back)
    _put.clear()
    forget_closed()


def _sweep(instead: Mapping[Any, Any]) -> None:
    """Replace functions wherever a module holds them: `from os import rename`, IPython's open."""
    by_id = {id(old): new for old, new in instead.items()}
    for key, module in list(sys.modules.items()):
        if key not in _SPARED and isinstance(module, ModuleType):
            _replace(vars(module), by_id)  # not by setattr: some modules check what is set on them
    # it binds os.unlink as a default
    for call in list(vars(tempfile._TemporaryFileCloser).values()):  # type: ignore[attr-defined]
        if defaults := getattr(call, "__defaults__", None):
            call.__defaults__ = tuple(by_id.get(id(value), value) for value in defaults)
    # pathlib's, from Python 3.13 on
    for kind in ("_Globber", "_StringGlobber"):
        globber = getattr(sys.modules.get("glob"), kind, None)
        for name, value in list(vars(globber).items()) if globber else ():
            if isinstance(value, staticmethod) and id(value.__func__) in by_id:
                setattr(globber, name, staticmethod(by_id[id(value.__func__)]))


def _replace(names: dict[str, Any], by_id: Mapping[int, Any]) -> None:
    values = list(names.values())
    # at C's speed: 7 ms for the 1,200 modules that torch brings
    if by_id.keys().isdisjoint(map(id, values)):
        return
    for name, value in list(names.items()):
        if id(value) in by_id:
            names[name] = by_id[id(value)]


def _torch(module: Any) -> Pairs:
    def save(obj: Any, f: Any, *args: Any, **options: Any) -> Any:
        if isinstance(f, (str, os.PathLike)) and find(f) is not None:  # torch would open it in C++
            with open(f, "wb") as file:
                return real_save(obj, file, *args, **options)
        return real_save(obj, f, *args, **options)

    def load(f: Any, *args: Any, **options: Any) -> Any:
        if options.get("mmap") and isinstance(f, (str, os.PathLike)):
            f = _met(f)
        return real_load(f, *args, **options)  # without mmap it calls open()

    real_save, real_load = module.save, module.load
    pairs = ((real_save, save), (real_load, load))
    return [(real, functools.wraps(real)(ours)) for real, ours in pairs]


def _met(path: Any) -> Any:
    """Where a file truly lies that a library opens and reads by itself; the plan is asked first."""
    spot = find(path)
    if spot is None:
        return path
    meet("open", spot)
    meet("read", spot)
    return spot.path


def _safetensors(module: Any) -> Pairs:
    serialize, real_file, real_open = module.serialize, module.serialize_file, module.safe_open

    def serialize_file(tensor_dict: Any, filename: Any, metadata: Any = None) -> Any:
        if find(filename) is None:
            return real_file(tensor_dict, filename, metadata)
        with open(filename, "wb") as file:  # safetensors would open it in Rust
            file.write(serialize(tensor_dict, metadata))

    def safe_open(filename: Any, *args: Any, **options: Any) -> Any:
        return real_open(_met(filename), *args, **options)

    ours = functools.wraps(real_open, updated=())(safe_open)
    return [(real_file, serialize_file), (real_open, ours)]


_LATE = {"torch.serialization": _torch, "safetensors": _safetensors}


class _Late:
    """Replaces functions of torch and safetensors when they are imported after us."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _LATE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = self._after(spec.loader.exec_module)  # type: ignore
        return spec

    def _after(self, run: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def exec_module(module: ModuleType) -> None:
            run(module)
            with _lock:
                if _installed:
                    pairs = _LATE[module.__name__](module)
                    _put.extend(pairs)
                    _replace(vars(module), {id(real): ours for real, ours in pairs})

        return exec_module


_late = _Late()
