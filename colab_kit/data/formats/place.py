"""Where the files of a format lie, and what is said of one that is damaged."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import DataError
from ...system.filetypes import HEAD, contradicts
from ..folders.tree import listed, walk
from ..folders.words import TOLD, words

WRAPPERS = 3  # folders in each other that hold one folder, as archives leave them


def files(path: Path, own: Callable[[Path], bool]) -> list[Path]:
    """List the files of a format, by name: of the first folder that has any.

    Parameters
    ----------
    path : a file, which is listed alone; or a folder, whose only folder is looked into after it
    own : callable(file) -> whether it is of the format

    Notes
    -----
    It never raises: a folder that cannot be listed has no files.
    """
    if path.is_file():
        return [path] if own(path) else []
    for _ in range(1 + WRAPPERS):
        try:
            here = listed(path)
        except DataError:
            return []
        lying = [path / name for name in sorted(here.beside)]
        if found := [file for file in lying if own(file) and file.is_file()]:
            return found
        if len(here.folders) != 1:
            return []
        path = path / here.folders[0]
    return []


def pictures_in(folder: Path, most: int = 0) -> bool:
    """Tell whether picture files are what a folder is for.

    Up to `most` that lie loose in the folder itself illustrate it, and do not count.
    """
    return any(len(here.loose) > most * (top == folder) for top, here in walk(folder))


def words_of(name: str) -> list[str]:
    """Give the words of a name in lower case: `x_trainData-2` has x, train, data and 2.

    A size as 32x32 is no word, and MNIST's t10k is called test.
    """
    return words(re.sub(r"\d+x\d+", " ", re.sub("t10k", "test", name, flags=re.I)))


def line(source: str | dict[str, str]) -> str:
    """Give the call that loads an expression, or one for each split."""
    if isinstance(source, str):
        return f"kit.load({source})"
    if set(source) == {"train"}:
        return f"kit.load({source['train']})"
    splits = [split for split in TOLD if split in source]
    return f"kit.load({{{', '.join(f'{split!r}: {source[split]}' for split in splits)}}})"


def one_of(lines: Sequence[str]) -> str:
    """Give a fix of several lines, each of which runs."""
    return "say what is meant:\n" + "\nor\n".join(lines)


def check_kind(path: Path, *, text: bool = False) -> None:
    """Refuse a file of another kind under this name, or one of bytes where text should be.

    Raises
    ------
    DataError
        It is empty, a web page, another kind of file, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as err:
        raise unreadable(path, err) from err
    if why := contradicts(path.name, head):
        raise damaged(path, why)
    if text and b"\0" in head:
        raise damaged(path, f"it is no text: it begins with {head[:4].hex()}")


def damaged(path: Path, why: str) -> DataError:
    """Say that a file is damaged."""
    return DataError(f"{path} is damaged.", why, f"delete {path.name} and get it again")


def unreadable(path: Path, err: OSError) -> DataError:
    """Say that the disk does not give a file."""
    fix = "see whether the disk is still there, then try again"
    return DataError(f"{path} cannot be read.", err.strerror or str(err), fix)
