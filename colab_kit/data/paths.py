"""A path, name or link, opened: a folder or archive, a format, a catalog name, a link.

Where nothing is there, the error says what is there instead.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ..colab.mounting import stand_in_path
from ..colab.reading import STUMBLES, cannot_read, is_folder, there
from ..colab.staging import stage, unpacked
from ..errors import DataError
from ..events import Control, Event
from ..fetching.fetch import fetch
from ..fetching.links.parse import parse_link
from ..system.files import home
from ..system.filetypes import is_archive, stem
from .arrays import of_listing
from .catalog import catalog
from .folders.layout import scan, scan_split
from .folders.tree import PICTURES, one_walk, tree_of
from .formats import (
    bands,
    cifar,
    idx,
    matlab,
    npy,
    npz,
    parquet,
    pixel_tables,
    stl10,
    tfrecord,
    webdataset,
)
from .groups import group_files
from .nested import open_nested
from .sources import Part, Parts
from .tables.matching import LabelRequest, label_files


class Format(Protocol):
    """A format of data on the disk: a module of formats/."""

    def sees(self, path: Path) -> bool: ...
    @property
    def read(self) -> Callable[..., Parts]: ...


COLUMNS = ("label_column", "file_column")
FORMATS: tuple[Format, ...] = (  # tried in this order, before class folders
    idx,
    cifar,
    stl10,
    npz,
    npy,
    matlab,
    pixel_tables,
    webdataset,
    parquet,
    tfrecord,
    bands,
)


@dataclass(frozen=True)
class Opener:
    """Open paths, names and links.

    emit : called with each event
    control : may stop it from another thread
    stand_in : callable(path), where the stand-in for Drive keeps what was typed as a path on
        Drive, or None
    """

    emit: Callable[[Event], None]
    control: Control | None = None
    stand_in: Callable[[str], Path | None] = stand_in_path

    def open(self, source: str | os.PathLike[str], request: LabelRequest) -> Parts:
        """Give the parts that lie at a path, under a catalog name or behind a link.

        Raises
        ------
        DataError
            Nothing is there, or neither a folder nor an archive; or it lies on Drive, and the
            fast disk has no room for it.
        FetchError
            A link did not give it.
        DriveError
            It could not be read from Drive.
        """
        text = os.fspath(source)
        path = Path(os.path.expanduser(text))
        if text and _exists(path):
            return self._open_folder(path, request)
        if isinstance(source, str) and (name := catalog.canonical(text)) is not None:
            _refuse(request, name, "labels", *COLUMNS)  # before anything is fetched
            return catalog.open_known(name, emit=self.emit, control=self.control)
        return self._open_folder(self._fetch(text, path), request)

    def open_split(self, source: str | os.PathLike[str], request: LabelRequest) -> Part:
        """Give the part of a folder that is one split: class folders, or pictures with labels."""
        text = os.fspath(source)
        path = Path(os.path.expanduser(text))
        path = path if _exists(path) else self._fetch(text, path)
        folder, _ = self._bring(path)
        if (form := _form(folder)) is not None:
            return _only(_read(form, folder, request), path)
        request, ask = _for_folder(request, path, folder), request.labels is None
        listing = label_files(scan_split(folder, _shown(path, request), ask=ask), request)
        return of_listing(group_files(listing, request.group, whole=False))["train"]

    def _open_folder(self, path: Path, request: LabelRequest) -> Parts:
        folder, name = self._bring(path)
        folder = Path(os.path.abspath(folder))
        with one_walk():
            form = _form(folder)
            tree = tree_of(folder) if form is None else None
        if tree is not None:
            opened = folder
            if any(is_archive(file.name) for file in tree.others):
                opened = open_nested(folder, name, self.emit, self.control)
            if opened != folder:
                folder, form, tree = opened, _form(opened), None
        if form is not None:
            _refuse(request, name, "labels")
            root = folder if folder.is_dir() else folder.parent
            return catalog.recognise(replace(_read(form, folder, request), name=name, root=root))
        request, ask = _for_folder(request, path, folder), request.labels is None
        listing = label_files(scan(folder, _shown(path, request), ask=ask, tree=tree), request)
        parts = of_listing(group_files(listing, request.group))
        return Parts(parts, name, listing.root, lines=listing.lines)

    def _fetch(self, text: str, path: Path) -> Path:
        """Give what a link gives, on the fast disk."""
        link = parse_link(text) if text and "\0" not in text else None
        if link is None or link.kind == "file" and not text.lower().startswith("file:"):
            raise _missing(text, path, self.stand_in(text))
        key = hashlib.sha256(link.identity.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        to = home() / "fetched" / key
        to = to / "files" if link.kind.endswith("-folder") else to
        callbacks, control = [self.emit], self.control
        return fetch(text, f"{to}{os.sep}", callbacks=callbacks, quiet=True, control=control).path

    def _bring(self, path: Path) -> tuple[Path, str]:
        """Give the folder to read, on a fast disk and unpacked, and what it is called."""
        name, emit, control = path.resolve().name, self.emit, self.control
        if _ask(is_folder, path):
            return stage(path, emit=emit, control=control), name
        if _form(path) is not None:
            return stage(path, emit=emit, control=control), name
        if not is_archive(name):
            raise _a_file(path)
        archive = stage(path, emit=emit, control=control)
        return unpacked(archive, emit=emit, control=control), stem(name)


def _form(path: Path) -> Format | None:
    """Give the format that a file or a folder is of."""
    return next((form for form in FORMATS if form.sees(path)), None)


def _read(form: Format, path: Path, request: LabelRequest) -> Parts:
    """Give what a format reads, of the columns that the user names."""
    columns = {word: getattr(request, word) for word in COLUMNS}
    named = {word: name for word, name in columns.items() if name is not None}
    known = inspect.signature(form.read).parameters
    if strange := [word for word in named if word not in known]:
        what = f"{strange[0]}= does not go with {path.name}."
        raise DataError(what, "it has no columns to choose from", f"leave {strange[0]}= out")
    return form.read(path, **named)


def _only(parts: Parts, path: Path) -> Part:
    """Give the part of what is one split."""
    if len(parts.splits) > 1:
        what = f"{path} holds {', '.join(parts.splits)}, and one split is needed here."
        raise DataError(what, "they are the publisher's", f"kit.load({str(path)!r})")
    return parts.splits["train"]


def _shown(path: Path, request: LabelRequest) -> str:
    """Name a source as the user did."""
    return os.fspath(path) if request.source is None else os.fspath(request.source)


def _exists(path: Path) -> bool:
    """Tell whether something is there; a Drive that stumbles is not an empty one."""
    try:
        return there(path)
    except OSError as err:
        if err.errno in STUMBLES:
            raise cannot_read(path, err) from err
        return False


def _ask(question: Callable[[Path], bool], path: Path) -> bool:
    try:
        return question(path)
    except OSError as err:
        raise cannot_read(path, err) from err


def _for_folder(request: LabelRequest, original: Path, folder: Path) -> LabelRequest:
    """Give what was said of files in `original` for these files now that they lie in `folder`."""
    labels = _moved(request.labels, original.absolute(), folder)
    group = request.group  # a text is a column's name, and no file
    if not isinstance(group, str):
        group = _moved(group, original.absolute(), folder)
    return replace(request, labels=labels, group=group)


def _moved(labels: Any, original: Path, folder: Path) -> Any:
    if folder == original or labels is None:
        return labels
    if callable(labels) and _ask(is_folder, original):
        return functools.wraps(labels)(lambda path: labels(original / path.relative_to(folder)))
    if isinstance(labels, Mapping):
        return {_below(name, original): label for name, label in labels.items()}
    if isinstance(labels, str | os.PathLike) and not _ask(there, Path(os.path.expanduser(labels))):
        beside = original.parent / labels
        return beside if _ask(there, beside) else labels
    return labels


def _below(name: Any, original: Path) -> Any:
    if isinstance(name, str | os.PathLike) and Path(name).is_relative_to(original):
        return Path(name).relative_to(original)
    return name


def _refuse(request: LabelRequest, name: str, *words: str) -> None:
    """Refuse words of a table of labels, where there is none."""
    for word in words:
        if getattr(request, word) is not None:
            what = f"{word}= does not go with {name}."
            raise DataError(what, "it brings its own labels", f"leave {word}= out")


def _a_file(path: Path) -> DataError:
    name, why = path.name.lower(), "a folder of pictures, arrays, or a dataset is expected"
    fix = "give the folder"
    if name.endswith((".csv", ".tsv")):
        why = "a table says labels, not where the pictures are"
        fix = f"if the pictures lie beside it: kit.load({str(path.parent)!r}, labels={path.name!r})"
    elif name.endswith(tuple(PICTURES)):
        why = "nothing can be learned from one picture"
        fix = f"load the folder above the class folders: kit.load({str(path.parent.parent)!r})"
    return DataError(f"{path} is a file.", why, fix)


def _missing(text: str, path: Path, stand_in: Path | None) -> DataError:
    if stand_in is not None:
        state = "nothing is there yet: copy the pictures to it"
        if os.path.exists(stand_in):
            state = "it is there"
        what = f"{text} is on Google Drive, and none is mounted here."
        why = f"its stand-in is {stand_in}, and {state}"
        return DataError(what, why, f"kit.load({str(stand_in)!r})")
    parent = next((p for p in path.absolute().parents if os.path.isdir(p)), Path("/"))
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        names = []
    missing_name = path.absolute().relative_to(parent).parts[0] if text else ""
    folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(missing_name.casefold(), folded, 1)
    catalog_name = None if os.sep in text else catalog.near(text)
    suggestions = [f"kit.load({catalog_name!r})"] if catalog_name else []
    suggestions += [f"kit.load({str(parent / folded[name])!r})" for name in near]
    fix = f"give a path that exists, or a name of the catalog: {', '.join(catalog.SETS)}"
    if suggestions:
        fix = f"did you mean {' or '.join(suggestions)}?"
    why = f"{parent} has no {missing_name!r}" if missing_name else "the path is empty"
    return DataError(f"There is no {text!r}.", why, fix)
