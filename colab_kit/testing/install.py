"""The package google.colab, put into sys.modules from drive/google_colab's files and taken away again without a trace."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

from ..errors import DriveError
from ..system.hardware import COLAB_VM

NAME = "google.colab"
FOLDER = str(Path(__file__).with_name("google_colab"))

_made: dict[
    str, tuple[ModuleType, dict[str, object]]
] = {}  # every module once a process, and what was in it when it was new
_first: tuple[
    str, ...
] = ()  # those that `import google.colab` brings; the others come when they are asked for


@contextmanager
def registered() -> Iterator[ModuleType]:
    """While it lasts, `import google.colab` gives the imitation. The namespace `google` and all else in it stay as they are.

    A module that was imported under an earlier stand-in is the same object under this one, as it was when new:
    what imported it then goes on working.

    Raises
    ------
    DriveError
        There is a real google.colab, or another stand-in's.
    """
    had_google = "google" in sys.modules
    refuse()
    google = _google()
    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        package = _enter(google)
        yield package
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _ours(name)]:
            del sys.modules[name]
        for module, content in _made.values():
            vars(module).clear()
            vars(module).update(content)
        if hasattr(google, "colab"):
            del google.colab
        sys.path_importer_cache.pop(FOLDER, None)
        _let_go(had_google)


def refuse() -> None:
    """Raise where a real google.colab, or another stand-in, would be shadowed."""
    if os.path.exists(COLAB_VM):
        raise DriveError(
            "This is a Colab machine, so its google.colab cannot be replaced by the stand-in.",
            f"{COLAB_VM} exists",
            "use google.colab as it is; keep the stand-in for other machines",
        )
    there = sys.modules.get(NAME)
    if getattr(there, "__colab_kit_mock__", False):
        raise DriveError(
            "A stand-in for google.colab is installed already.",
            "one process has one",
            "uninstall() the other one first",
        )
    if there is not None or (spec := _installed()) is not None:
        where = (
            getattr(there, "__file__", None) or repr(there)
            if there is not None
            else getattr(spec, "origin", None)
        )
        raise DriveError(
            "There is a google.colab here already, and the stand-in does not replace it.",
            f"it comes from {where}",
            "pip uninstall google-colab, or take out the line that puts an object into sys.modules",
        )


def _installed() -> ModuleSpec | None:
    had_google = "google" in sys.modules
    try:
        return importlib.util.find_spec(NAME)
    except (ModuleNotFoundError, ValueError):
        return None
    finally:
        _let_go(had_google)


def _let_go(had_google: bool) -> None:
    """Forget the namespace that we imported, unless something else of it is in use."""
    if not had_google and not any(name.startswith("google.") for name in sys.modules):
        sys.modules.pop("google", None)


def _google() -> ModuleType:
    """The namespace that google.auth and google.protobuf live in too; made up where nothing of Google's is installed."""
    with suppress(ModuleNotFoundError):
        return importlib.import_module("google")
    spec = ModuleSpec("google", None, is_package=True)
    google = importlib.util.module_from_spec(spec)
    google.__path__ = spec.submodule_search_locations = _Everywhere()
    sys.modules["google"] = google
    return google


class _Everywhere(list[str]):
    """The folders google/ on sys.path, looked up at each import: what pip installs later is found."""

    def __iter__(self) -> Iterator[str]:
        return iter(
            [
                folder
                for entry in sys.path
                if os.path.isdir(folder := os.path.join(entry or ".", "google"))
            ]
        )


def _enter(google: ModuleType) -> ModuleType:
    global _first
    if not _first:
        package = importlib.import_module(NAME)
        _first = tuple(name for name in sys.modules if _ours(name))
        return package
    for name in _first:
        sys.modules[name] = _made[name][0]
    package = sys.modules[NAME]
    google.colab = package  # type: ignore[attr-defined]
    return package


def _ours(name: str) -> bool:
    return name == NAME or name.startswith(NAME + ".")


class Finder(MetaPathFinder):
    """Finds google.colab and its modules in our folder by the usual means: their specs are those of source files."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == NAME:
            origin = os.path.join(FOLDER, "__init__.py")
            return importlib.util.spec_from_file_location(
                NAME, origin, loader=_Loader(NAME, origin), submodule_search_locations=[FOLDER]
            )
        spec = PathFinder.find_spec(fullname, [FOLDER]) if _ours(fullname) else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return _made[spec.name][0] if spec.name in _made else None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        if name not in _made:
            super().exec_module(module)
            _made[name] = module, dict(vars(module))
