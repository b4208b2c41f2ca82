"""How this process looks like Colab's kernel: google.colab, environment and shell."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import dropwhile
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from ..errors import DriveError
from ..system.hardware import COLAB_VM

NAME = "google.colab"
FOLDER = str(Path(__file__).with_name("google_colab"))
ENVIRONMENT = {  # of a CPU machine, as dumped from one
    "CLOUDSDK_CONFIG": "/content/.config",
    "USE_AUTH_EPHEM": "1",
    "COLAB_RELEASE_TAG": "release-colab_20250902-060114_RC00",
    "COLAB_BACKEND_VERSION": "next",
    "COLAB_GPU": "",
    "COLAB_TPU_1VM": "",
    "COLAB_NOTEBOOK_ID": "colab-kit-stand-in",
    "PYTHONUTF8": "1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "DEBIAN_FRONTEND": "noninteractive",
}
SERVICES = {  # google.colab alone sees these: others would wait for them, as kagglehub does
    "TBE_CREDS_ADDR": "172.28.0.1:8008",
    "TBE_EPHEM_CREDS_ADDR": "172.28.0.1:8009",
    "TBE_RUNTIME_ADDR": "172.28.0.1:8011",
}
PROGRAMS = {"python": "", "python3": "", "pip": " -m pip", "pip3": " -m pip"}

# process state: every module of ours is made once, and is reset to its first content
_modules: dict[str, tuple[ModuleType, dict[str, object]]] = {}


@contextmanager
def registered() -> Iterator[None]:
    """Let `import google.colab` give ours in the block; all else in the namespace `google` stays.

    A module that was imported under an earlier stand-in is the same object under this one, as it
    was when new: code that imported it then still works.

    Raises
    ------
    DriveError
        There is a real google.colab, or another stand-in's.
    """
    had_google = "google" in sys.modules
    refuse()
    google, finder = _google(), Finder()
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module(NAME)
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in filter(_is_ours, list(sys.modules)):
            del sys.modules[name]
        for module, content in _modules.values():
            vars(module).clear()
            vars(module).update(content)
        if hasattr(google, "colab"):
            del google.colab
        sys.path_importer_cache.pop(FOLDER, None)
        _forget_google(had_google)


def refuse() -> None:
    """Raise where a real google.colab, or another stand-in, would be replaced."""
    if os.path.exists(COLAB_VM):
        raise DriveError(
            "This is a Colab machine, so its google.colab cannot be replaced by the stand-in.",
            f"{COLAB_VM} exists",
            "use google.colab as it is; keep the stand-in for other machines",
        )
    module = sys.modules.get(NAME)
    if getattr(module, "__colab_kit_mock__", False):
        raise DriveError(
            "A stand-in for google.colab is installed already.",
            "one process has one",
            "uninstall() the other one first",
        )
    spec = _real_spec() if module is None else None
    if module is not None or spec is not None:
        where = getattr(module, "__file__", None) or getattr(spec, "origin", None) or repr(module)
        raise DriveError(
            "There is a google.colab here already, and the stand-in does not replace it.",
            f"it comes from {where}",
            "pip uninstall google-colab, or delete the line that puts an object into sys.modules",
        )


def _real_spec() -> ModuleSpec | None:
    had_google = "google" in sys.modules
    try:
        return importlib.util.find_spec(NAME)
    except (ModuleNotFoundError, ValueError):
        return None
    finally:
        _forget_google(had_google)


def _forget_google(had_google: bool) -> None:
    """Forget the namespace that we imported, unless something else of it is in use."""
    if not had_google and not any(name.startswith("google.") for name in sys.modules):
        sys.modules.pop("google", None)


def _google() -> ModuleType:
    """The namespace that google.auth and google.protobuf live in too.

    It is made where nothing of Google's is installed.
    """
    with suppress(ModuleNotFoundError):
        return importlib.import_module("google")
    spec = ModuleSpec("google", None, is_package=True)
    google = importlib.util.module_from_spec(spec)
    google.__path__ = spec.submodule_search_locations = _Everywhere()
    sys.modules["google"] = google
    return google


class _Everywhere(list[str]):
    """The folders google/ on sys.path, listed at each import: what pip installs later is found."""

    def __iter__(self) -> Iterator[str]:
        folders = [os.path.join(entry or ".", "google") for entry in sys.path]
        return filter(os.path.isdir, folders)


def _is_ours(name: str) -> bool:
    return name == NAME or name.startswith(NAME + ".")


class Finder(MetaPathFinder):
    """Finds google.colab and its modules in our folder: their specs are those of source files."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == NAME:
            origin = os.path.join(FOLDER, "__init__.py")
            return importlib.util.spec_from_file_location(
                NAME, origin, loader=_Loader(NAME, origin), submodule_search_locations=[FOLDER]
            )
        spec = PathFinder.find_spec(fullname, [FOLDER]) if _is_ours(fullname) else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return _modules[spec.name][0] if spec.name in _modules else None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        if name not in _modules:
            super().exec_module(module)
            _modules[name] = module, dict(vars(module))
        for part in list(vars(module).values()):  # what it imported comes with it again
            if isinstance(part, ModuleType) and _is_ours(part.__name__):
                sys.modules.setdefault(part.__name__, part)


# the disguise
def environment(home: Path, bin: Path) -> AbstractContextManager[Any]:
    """Set Colab's variables, and COLAB_KIT_HOME, in the block.

    `!python` and `!pip` are this Python's, as on Colab; where they are not, `bin` is made for
    them. Every other program is found in the user's order.
    """
    folder, path = os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)
    if folder not in path.split(os.pathsep):
        path += os.pathsep + folder
    if any(shutil.which(name, path=path) != os.path.join(folder, name) for name in PROGRAMS):
        path = f"{_programs(bin)}{os.pathsep}{path}"
    return patch.dict(os.environ, {**ENVIRONMENT, "PATH": path, "COLAB_KIT_HOME": str(home)})


def _programs(folder: Path) -> Path:
    folder.mkdir()
    for name, how in PROGRAMS.items():
        command = f'exec {shlex.quote(sys.executable)}{how} "$@"'
        (folder / name).write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def running_shell() -> Any:
    """IPython's shell, if one runs here; IPython is never imported for it."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython, "get_ipython", lambda: None)()


@contextmanager
def magics(shell: Any, module: Any) -> Iterator[None]:
    """Register Colab's own % and %% commands, those of `module`, for the block."""
    tables = shell.magics_manager.magics
    before = [(tables[kind], name, tables[kind].get(name)) for kind, name, _ in module.MAGICS]
    module._register_magics(shell)
    try:
        yield
    finally:
        for table, name, magic in before:
            table[name] = magic
            if magic is None:
                del table[name]


@contextmanager
def comments_dropped(shell: Any) -> Iterator[None]:
    """Let a cell's %%magic stand below comments in the block, as on Colab's page."""
    cleanings = shell.input_transformer_manager.cleanup_transforms
    cleanings.insert(0, _from_the_magic)
    try:
        yield
    finally:
        cleanings.remove(_from_the_magic)


def _from_the_magic(lines: list[str]) -> list[str]:
    rest = list(dropwhile(lambda line: line.lstrip()[:1] in ("", "#"), lines))
    return rest if rest and rest[0].startswith("%%") else lines


def notebook(shell: Any) -> dict[str, Any]:
    """The cells that this shell has run, as Colab's page sends its notebook."""
    cells = [
        {
            "cell_type": "code",
            "execution_count": number,
            "metadata": {},
            "outputs": [],
            "source": code.splitlines(keepends=True),
        }
        for number, code in enumerate(shell.history_manager.input_hist_raw)
        if number  # IPython counts from 1
    ]
    name = os.path.basename(os.environ.get("JPY_SESSION_NAME", "")) or "notebook.ipynb"
    metadata = {"colab": {"name": name}, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 0}


@contextmanager
def shell(over: Callable[[type], type]) -> Iterator[Any]:
    """Give the shell Colab's class for the block, in place; where none runs, start a plain one."""
    running = running_shell()
    if running is None:
        with plain_shell() as started, shell(over):
            yield started
        return
    before = type(running)
    running.__class__ = over(before)
    try:
        yield running
    finally:
        running.__class__ = before


@contextmanager
def working_in(folder: Path, shell: Any) -> Iterator[None]:
    """Work in this folder for the block; it is the first that `%cd -` and `%dhist` know of."""
    with chdir(folder):
        before, shell.user_ns["_dh"] = shell.user_ns.get("_dh"), [os.getcwd()]
        try:
            yield
        finally:
            shell.user_ns["_dh"] = before


@contextmanager
def plain_shell() -> Iterator[Any]:
    """A shell without history; at its end hooks and builtins are as before."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    names = ("__IPYTHON__", "display", "get_ipython")
    before = {name: vars(builtins)[name] for name in names if name in vars(builtins)}
    hooks = sys.displayhook, sys.excepthook
    config = Config({"HistoryManager": {"enabled": False}})
    main = sys.modules["__main__"]
    with tempfile.TemporaryDirectory() as place:
        try:
            yield InteractiveShell.instance(config=config, ipython_dir=place, user_module=main)
        finally:
            InteractiveShell.clear_instance()
            sys.displayhook, sys.excepthook = hooks
            for name in names:
                vars(builtins).pop(name, None)
            vars(builtins).update(before)


@contextmanager
def content_folder(path: Path) -> Iterator[bool]:
    """Make the folder if possible, and tell whether it is there; delete it empty at the end."""
    is_new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        is_new = False
    try:
        yield path.is_dir()
    finally:
        if is_new:
            remove_empty(path)


def remove_empty(path: Path) -> None:
    with suppress(OSError):  # not empty, or gone
        path.rmdir()
