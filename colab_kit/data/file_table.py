"""Many files as one text and a few numbers each: of a million, no object stays for each."""

from __future__ import annotations

import os
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy import ndarray

UNKNOWN = -1  # the size of a file that the disk does not give


class FileTable(Sequence[Path]):
    """Files, in a fixed order: a sequence of Path, each made when it is asked for.

    Parameters
    ----------
    folders : sequence of str
        The folders that files lie in.
    folder : int32, (n,)
        The number of each file's folder.
    names : sequence of str
        The files' names without folders.
    sizes : int64, (n,), optional
        In bytes, UNKNOWN for a file that cannot be reached; the disk is asked, if None.
    """

    def __init__(
        self,
        folders: Sequence[str],
        folder: ndarray,
        names: Sequence[str],
        sizes: ndarray | None = None,
    ) -> None:
        self.folders, self.folder = tuple(folders), folder.astype(np.int32)
        self._text = "\0".join(names)  # no name holds it
        lengths = np.fromiter(map(len, names), np.int64, len(names))
        self._ends = np.cumsum(lengths + 1)
        if sizes is not None:
            self.sizes = sizes

    @classmethod
    def of(cls, paths: Iterable[str | os.PathLike[str]]) -> FileTable:
        """Give a table of any paths; a table as it is."""
        if isinstance(paths, FileTable):
            return paths
        numbers = dict[str, int]()
        pairs = [os.path.split(path) for path in paths]
        folder = [numbers.setdefault(os.fspath(top), len(numbers)) for top, _ in pairs]
        return cls(list(numbers), np.array(folder, np.int32), [str(name) for _, name in pairs])

    def __len__(self) -> int:
        return len(self.folder)

    @overload
    def __getitem__(self, row: int) -> Path: ...
    @overload
    def __getitem__(self, row: slice) -> FileTable: ...
    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        return Path(self.folders[self.folder[row]], self.name(row))

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self.texts())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def name(self, row: int) -> str:
        """Give the name of one file, without its folder."""
        row = range(len(self))[row]
        return self._text[int(self._ends[row - 1]) if row else 0 : int(self._ends[row]) - 1]

    def names(self) -> list[str]:
        """Give the names of all files, without their folders."""
        return self._text.split("\0") if len(self) else []

    def stems(self) -> list[str]:
        """Give the names of all files without their endings."""
        return [name.rpartition(".")[0] or name for name in self.names()]

    def endings(self) -> set[str]:
        """Give the endings that occur, in lower case: .jpg."""
        return {end.lower() for end in {name[name.rfind(".") :] for name in self.names()}}

    def used_folders(self) -> list[str]:
        """List the folders that the files lie in, each once."""
        return [self.folders[number] for number in np.unique(self.folder).tolist()]

    def texts(self) -> list[str]:
        """Give all paths as text."""
        tops = [os.path.join(folder, "") for folder in self.folders]
        pairs = zip(self.folder.tolist(), self.names(), strict=True)
        return [tops[number] + name for number, name in pairs]

    def take(self, rows: Any) -> FileTable:
        """Give some of the files, by row or by a mask, in the order of `rows`."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        if len(rows) == len(self) and (rows == np.arange(len(self))).all():
            return self
        names, known = self.names(), self.__dict__.get("sizes")
        sizes = None if known is None else known[rows]
        return FileTable(
            self.folders, self.folder[rows], [names[row] for row in rows.tolist()], sizes
        )

    @cached_property
    def sizes(self) -> ndarray:
        """int64, (n,), in bytes; UNKNOWN for a file that cannot be reached."""
        return np.fromiter(map(_size, self.texts()), np.int64, len(self))

    @cached_property
    def keys(self) -> ndarray:
        """Give each file a number by its own name and its size: uint64, (n,).

        It is the same on each machine and in each folder; two files of one name and size share it.
        """
        names = unicodedata.normalize("NFC", self._text).encode("utf-8", "surrogateescape")
        each = names.split(b"\0") if len(self) else []
        sums = np.fromiter(map(zlib.crc32, each), np.uint64, len(self))
        return sums | (self.sizes.astype(np.uint64) << np.uint64(32))

    def below(self, root: Path) -> list[str]:
        """Name all files below a folder, with / between folders."""
        tops = [os.path.relpath(folder, root).replace(os.sep, "/") for folder in self.folders]
        tops = ["" if top == "." else f"{top}/" for top in tops]
        pairs = zip(self.folder.tolist(), self.names(), strict=True)
        return [tops[number] + name for number, name in pairs]


def joined(tables: Sequence[Sequence[Path]]) -> FileTable:
    """Give the files of several tables as one, in their order."""
    each = [FileTable.of(table) for table in tables]
    if len(each) == 1:
        return each[0]
    numbers = dict[str, int]()
    folder = [np.empty(0, np.int32)]
    for table in each:
        own = [numbers.setdefault(top, len(numbers)) for top in table.folders]
        folder.append(np.array(own, np.int32)[table.folder] if len(table) else folder[0])
    names = list(chain.from_iterable(table.names() for table in each))
    sizes = None
    if all(not len(table) or "sizes" in table.__dict__ for table in each):
        sizes = np.concatenate([np.empty(0, np.int64), *(table.sizes for table in each)])
    return FileTable(list(numbers), np.concatenate(folder), names, sizes)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return UNKNOWN
