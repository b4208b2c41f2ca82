"""Python files that were fetched, as modules.

Each is announced before it is executed, once for each content, and takes no other module's place.
Modules that were fetched beside one another can import each other at any time; what is installed
goes first.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import keyword
import linecache
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from ..errors import FetchError
from ..events import Callback, Note
from ..system.addresses import public

_MARK = "__fetched__"  # in a module of ours: (url, sha256 of what was executed)
_INIT = "__init__.py"


def as_module(
    path: Path,
    url: str,
    *,
    sha256: str | None = None,
    name: str | None = None,
    emit: Callback,
) -> ModuleType:
    """Import a Python file, or a folder with an __init__.py; sys.modules has it, too.

    The same content is not executed again. Changed content is executed in the same module object,
    so that whoever holds it sees the new code; if that fails the module is as it was.

    Parameters
    ----------
    sha256 : str, optional
        Of the file as it was fetched; the note says if the file was edited since.
    name : str, optional
        The module's name; None: the file's own.

    Raises
    ------
    FetchError
        It is no Python, or the name is taken by a module that was not made here. An error of the
        code itself is passed on, with a note of its address.
    """
    file = _python_file(path.absolute())
    name = _module_name(_top(file), name)
    source = _read(file)
    content = _digest(file, source)
    module = _module_of(name, file, url)
    if module is not None and getattr(module, _MARK, ("", ""))[1] == content:
        return module
    title, edited = f"{path.name}/{file.name}", ""
    if file == path.absolute():
        title = file.name
        if sha256 not in (None, content):
            edited = f", edited since it was fetched as {sha256}"
    emit(Note(f"Executing {title} from {url} (sha256 {content}{edited})"))
    loader = _SourceLoader(name, str(file))
    try:
        with _neighbours_of(file):
            return _execute(module, loader, source, (public(url), content))
    except BaseException as err:
        err.add_note(f"This is the code of {file}, which was fetched from {url}")
        raise


def _top(file: Path) -> Path:
    """Give the file itself, or the folder of a package."""
    return file.parent if file.name == _INIT else file


def _python_file(path: Path) -> Path:
    """Give the file to execute."""
    if path.is_dir():
        if (path / _INIT).is_file():
            return path / _INIT
        names = sorted(file.name for file in path.glob("*.py"))
        why = "it has no __init__.py"
        if names:
            why = f"{why}; it holds {', '.join(names[:5])}"
        example = f'(fetched / "{[*names, "helper.py"][0]}") is a path'
        fix = f"name the file: {example}; fetch that file itself, or .run() a script"
        raise FetchError(f"{path} is a folder and no Python package.", why, fix)
    if path.suffix.lower() != ".py":
        what, why = f"{path.name} is no Python file.", "only a .py can be imported"
        raise FetchError(what, why, "fetch the .py, or .run() a script")
    return path


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as err:
        raise FetchError(f"{file} cannot be read.", str(err), "fetch it again") from err


def _digest(file: Path, source: bytes) -> str:
    """Hash what will run; of a package, all its Python files with their names."""
    if file.name != _INIT:
        return hashlib.sha256(source).hexdigest()
    digest = hashlib.sha256()
    for path in sorted(file.parent.rglob("*.py")):
        data, name = _read(path), path.relative_to(file.parent).as_posix()
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def _module_name(path: Path, name: str | None) -> str:
    if name is None:
        name = re.sub(r"\W", "_", path.name.removesuffix(".py"), flags=re.A) or "_"
        if name[0].isdigit():
            name = f"_{name}"
        elif keyword.iskeyword(name):
            name = f"{name}_"
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        why = "a name is one word of letters, digits and _"
        raise FetchError(f"A module cannot be named {name!r}.", why, 'write name="helper"')
    return name


def _module_of(name: str, file: Path, url: str) -> ModuleType | None:
    """Give the module of this name if it is this file's; None if the name is free.

    Raises
    ------
    FetchError
        The name is another module's.
    """
    module = sys.modules.get(name)
    if module is not None:
        place, theirs = getattr(module, "__file__", None), getattr(module, _MARK, None)
        if (theirs and theirs[0] == public(url)) or _same(place, file):
            return module
        origin = f"fetched from {theirs[0]}" if theirs else f"at {place or 'Python itself'}"
        raise _taken(name, file, f"is imported already, {origin}")
    if name in sys.stdlib_module_names:
        raise _taken(name, file, "is one of Python's own modules")
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None or _same(spec.origin, file):
        return None
    places = [*(spec.submodule_search_locations or ())]
    # a folder without __init__.py that happens to lie in the working folder takes no name
    here = all(Path(place).absolute().parent == Path.cwd() for place in places)
    if spec.origin is None and here:
        return None
    raise _taken(name, file, f"is installed, at {[spec.origin or 'elsewhere', *places][-1]}")


def _taken(name: str, file: Path, why: str) -> FetchError:
    what = f"{file.name} would take the place of the module {name}."
    fix = f'choose another name: .as_module(name="{name}_fetched")'
    return FetchError(what, f"{name} {why}", fix)


def _same(place: str | None, file: Path) -> bool:
    try:
        return place is not None and Path(place).samefile(file)
    except OSError:
        return False


def _execute(
    known: ModuleType | None, loader: _SourceLoader, source: bytes, mark: tuple[str, str]
) -> ModuleType:
    """Execute in the known module, or in a new one.

    After a failure sys.modules and the module are as before.
    """
    code = loader.source_to_code(source, loader.path)
    name, folder = loader.name, Path(loader.path).parent
    inside = [str(folder)] if Path(loader.path).name == _INIT else None
    spec = importlib.util.spec_from_file_location(
        name, loader.path, loader=loader, submodule_search_locations=inside
    )
    assert spec is not None
    module = known or importlib.util.module_from_spec(spec)
    before = dict(module.__dict__)
    parts = _forget(name)
    for word in before:
        if not (word.startswith("__") and word.endswith("__")):
            del module.__dict__[word]
    module.__dict__.update(__spec__=spec, __file__=loader.path, __loader__=loader)
    linecache.checkcache(loader.path)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        _forget(name)
        if known is not None:
            known.__dict__.clear()
            known.__dict__.update(before)
            sys.modules.update(parts)
        raise
    module.__dict__[_MARK] = mark
    return sys.modules.get(name, module)  # a module may have put another in its own place


def _forget(name: str) -> dict[str, ModuleType]:
    """Take a module and what is in its package out of sys.modules, and give them."""
    parts = [part for part in sys.modules if part == name or part.startswith(f"{name}.")]
    return {part: sys.modules.pop(part) for part in parts}


class _SourceLoader(SourceFileLoader):
    """Loads from the source alone: no .pyc is read, and none is left beside what was fetched.

    digest : of what was executed
    """

    digest = ""

    def path_stats(self, path: Any) -> dict[str, Any]:
        raise OSError("no cached code")

    def source_to_code(  # type: ignore[override]
        self, data: Any, path: Any, *args: Any, **more: Any
    ) -> CodeType:
        self.digest = hashlib.sha256(data).hexdigest()
        return super().source_to_code(data, path, *args, **more)


class _NeighbourFinder:
    """In sys.meta_path: finds what lies beside the modules made here, if nobody else finds it.

    folders : where it looks, the newest first
    """

    def __init__(self) -> None:
        self.folders: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or name in sys.stdlib_module_names:
            return None
        spec = PathFinder.find_spec(name, self.folders)
        if spec is None or spec.origin is None or type(spec.loader) is not SourceFileLoader:
            return None
        others = (finder.find_spec(name, None) for finder in sys.meta_path if finder is not self)
        theirs = next((other for other in others if other is not None), None)
        if theirs is not None and not _same(theirs.origin, Path(spec.origin)):
            return None
        spec.loader = _SourceLoader(name, spec.origin)
        return spec


def _finder() -> _NeighbourFinder:
    """Give the finder of this process: sys.meta_path holds it, and nobody else does."""
    finders = (finder for finder in sys.meta_path if isinstance(finder, _NeighbourFinder))
    if (finder := next(finders, None)) is None:
        sys.meta_path.insert(0, finder := _NeighbourFinder())
    return finder


@contextmanager
def _neighbours_of(file: Path) -> Iterator[None]:
    """Let the file's neighbours be imported, from now on; while it is executed no .pyc is written.

    A neighbour that changed, or whose name another folder's module has, is executed when it is
    imported again.
    """
    folder, folders = _top(file).parent, _finder().folders
    folders[:] = [str(folder), *(other for other in folders if other != str(folder))]
    importlib.invalidate_caches()
    for name, module in list(sys.modules.items()):
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        if isinstance(loader, _SourceLoader) and not hasattr(module, _MARK):
            if _is_old(loader, folder):
                _forget(name)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _is_old(loader: _SourceLoader, folder: Path) -> bool:
    """Tell whether an import in `folder` now means another file than this neighbour's."""
    path = Path(loader.path)
    if _top(path).parent == folder:
        return not path.is_file() or hashlib.sha256(_read(path)).hexdigest() != loader.digest
    places = (folder / f"{loader.name}.py", folder / loader.name / _INIT)
    return any(place.is_file() for place in places)
