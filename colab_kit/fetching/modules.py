"""Python files that were fetched, as modules: said before they are executed, once for each content, and never in another's place.

Modules fetched beside one another can import each other, at any time; what is installed goes first, as nothing is to be shadowed.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import keyword
import linecache
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from ..errors import FetchError
from ..events import Event, Note
from ..system.http import public

_MARK = "__fetched__"  # in a module of ours: (url, sha256 of what was executed)


def as_module(
    path: Path,
    url: str,
    *,
    sha256: str | None = None,
    name: str | None = None,
    emit: Callable[[Event], None],
) -> ModuleType:
    """Import a Python file, or a folder with an __init__.py, under its own name or `name`; sys.modules has it too.

    The same content is not executed again. Changed content is executed in the same module object, so whoever holds it sees the new
    code; if that fails the module is as it was.

    Parameters
    ----------
    sha256 : str, optional
        Of the file as it was fetched; a file that was edited since is said to be.

    Raises
    ------
    FetchError
        It is no Python, or the name is taken by a module that was not made here. What the code itself raises is passed on,
        with a note of its address.
    """
    file = _source(path.absolute())
    name = _named(file.parent if file.name == "__init__.py" else file, name)
    source = _read(file)
    content = _digest(file, source)
    known = _known(name, file, url)
    if known is not None and getattr(known, _MARK, ("", ""))[1] == content:
        return known
    edited = (
        f", edited since it was fetched as {sha256}"
        if sha256 not in (None, content) and file == path.absolute()
        else ""
    )
    emit(
        Note(
            f"Executing {file.name if file == path.absolute() else f'{path.name}/{file.name}'} from {url} (sha256 {content}{edited})"
        )
    )
    loader = _Source(name, str(file))
    try:
        with _beside(file):
            return _execute(known, loader, source, (public(url), content))
    except BaseException as err:
        err.add_note(f"This is the code of {file}, which was fetched from {url}")
        raise


def _source(path: Path) -> Path:
    """The file to execute."""
    if path.is_dir():
        if (path / "__init__.py").is_file():
            return path / "__init__.py"
        names = sorted(file.name for file in path.glob("*.py"))
        why = f"it has no __init__.py{'; it holds ' + ', '.join(names[:5]) if names else ''}"
        fix = f'name the file: (fetched / "{names[0] if names else "helper.py"}") is a path; fetch that file itself, or .run() a script'
        raise FetchError(f"{path} is a folder and no Python package.", why, fix)
    if path.suffix.lower() != ".py":
        raise FetchError(
            f"{path.name} is no Python file.",
            "only a .py can be imported",
            "fetch the .py, or .run() a script",
        )
    return path


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as err:
        raise FetchError(f"{file} cannot be read.", str(err), "fetch it again") from err


def _digest(file: Path, source: bytes) -> str:
    """sha256 of what will run: of a package, of all its Python files with their names."""
    if file.name != "__init__.py":
        return hashlib.sha256(source).hexdigest()
    whole = hashlib.sha256()
    for path in sorted(file.parent.rglob("*.py")):
        data = _read(path)
        whole.update(f"{path.relative_to(file.parent).as_posix()}\0{len(data)}\0".encode() + data)
    return whole.hexdigest()


def _named(file: Path, name: str | None) -> str:
    if name is None:
        name = re.sub(r"\W", "_", file.name.removesuffix(".py"), flags=re.A) or "_"
        name = f"_{name}" if name[0].isdigit() else f"{name}_" if keyword.iskeyword(name) else name
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise FetchError(
            f"A module cannot be named {name!r}.",
            "a name is one word of letters, digits and _",
            'write name="helper"',
        )
    return name


def _known(name: str, file: Path, url: str) -> ModuleType | None:
    """The module of this name that is this file's, to be executed again; None if the name is free.

    Raises
    ------
    FetchError
        The name is another module's.
    """
    fix = f'choose another name: .as_module(name="{name}_fetched")'
    if (known := sys.modules.get(name)) is not None:
        if getattr(known, _MARK, ("",))[0] == public(url) or _same(
            getattr(known, "__file__", None), file
        ):
            return known
        theirs = getattr(known, _MARK, None)
        of = (
            f"fetched from {theirs[0]}"
            if theirs
            else f"at {getattr(known, '__file__', None) or 'Python itself'}"
        )
        raise FetchError(
            f"{file.name} would take the place of the module {name}.",
            f"{name} is imported already, {of}",
            fix,
        )
    if name in sys.stdlib_module_names:
        raise FetchError(
            f"{file.name} would take the place of the module {name}.",
            f"{name} is one of Python's own modules",
            fix,
        )
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        found = None
    if found is None or _same(found.origin, file):
        return None
    if (
        found.origin is None
    ):  # a folder without __init__.py: anyone's that lies in the working folder may have this name
        places = [Path(place).absolute().parent for place in found.submodule_search_locations or ()]
        if all(place == Path.cwd() for place in places):
            return None
    at = found.origin or next(iter(found.submodule_search_locations or ()), "elsewhere")
    raise FetchError(
        f"{file.name} would take the place of the module {name}.",
        f"{name} is installed, at {at}",
        fix,
    )


def _same(one: str | None, file: Path) -> bool:
    try:
        return one is not None and Path(one).samefile(file)
    except OSError:
        return False


def _execute(
    known: ModuleType | None, loader: _Source, source: bytes, mark: tuple[str, str]
) -> ModuleType:
    """Execute in the module that is known, or in a new one; after a failure sys.modules and the module are as before."""
    code = loader.source_to_code(source, loader.path)
    name, folder = loader.name, Path(loader.path).parent
    inside = [str(folder)] if Path(loader.path).name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(
        name, loader.path, loader=loader, submodule_search_locations=inside
    )
    assert spec is not None
    module = importlib.util.module_from_spec(spec) if known is None else known
    before = dict(module.__dict__)
    parts = {
        part: sys.modules.pop(part) for part in list(sys.modules) if part.startswith(f"{name}.")
    }  # of a package that changed
    for gone in [word for word in before if not (word.startswith("__") and word.endswith("__"))]:
        del module.__dict__[gone]
    module.__dict__.update(__spec__=spec, __file__=loader.path, __loader__=loader)
    linecache.checkcache(loader.path)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        for part in [part for part in sys.modules if part == name or part.startswith(f"{name}.")]:
            del sys.modules[part]
        if known is not None:
            known.__dict__.clear()
            known.__dict__.update(before)
            sys.modules.update({name: known, **parts})
        raise
    module.__dict__[_MARK] = mark
    return sys.modules.get(name, module)  # a module may have put another in its own place


class _Source(SourceFileLoader):
    """Loads from the source alone: no .pyc is read, and none is left beside what was fetched."""

    digest = ""  # of what was executed

    def path_stats(self, path: Any) -> dict[str, Any]:
        raise OSError("no cached code")

    def source_to_code(self, data: Any, path: Any, *args: Any, **more: Any) -> CodeType:  # type: ignore[override]
        self.digest = hashlib.sha256(data).hexdigest()
        return super().source_to_code(data, path, *args, **more)


class _Beside:
    """In sys.meta_path: finds what lies beside the modules made here, where nobody else finds another."""

    def __init__(self) -> None:
        self.folders: list[str] = []  # the newest first

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or name in sys.stdlib_module_names:
            return None
        spec = PathFinder.find_spec(name, self.folders)
        if spec is None or spec.origin is None or type(spec.loader) is not SourceFileLoader:
            return None
        others = (finder.find_spec(name, None) for finder in sys.meta_path if finder is not self)
        theirs = next((found for found in others if found is not None), None)
        if theirs is not None and not _same(theirs.origin, Path(spec.origin)):
            return None
        spec.loader = _Source(name, spec.origin)
        return spec


_finder = next((finder for finder in sys.meta_path if isinstance(finder, _Beside)), _Beside())


@contextmanager
def _beside(file: Path) -> Iterator[None]:
    """Let the file's neighbours be imported, from now on; while it is executed no .pyc is written.

    A neighbour that changed, or whose name another folder's module has, is executed when it is imported again.
    """
    folder = file.parent.parent if file.name == "__init__.py" else file.parent
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.folders[:] = [
        str(folder),
        *(other for other in _finder.folders if other != str(folder)),
    ]
    importlib.invalidate_caches()
    for name, module in list(sys.modules.items()):
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        if isinstance(loader, _Source) and not hasattr(module, _MARK) and _is_old(loader, folder):
            for part in [
                part for part in sys.modules if part == name or part.startswith(f"{name}.")
            ]:
                del sys.modules[part]
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _is_old(loader: _Source, folder: Path) -> bool:
    """Whether the neighbour that this loader brought is not what an import in `folder` means now."""
    path = Path(loader.path)
    top = path.parent.parent if path.name == "__init__.py" else path.parent
    if top != folder:
        return (folder / f"{loader.name}.py").is_file() or (
            folder / loader.name / "__init__.py"
        ).is_file()
    return not path.is_file() or hashlib.sha256(_read(path)).hexdigest() != loader.digest
