"""Groups: pictures of one patient, lesion, person or video, which no draw may part.

A picture whose group is None (or blank) belongs to no other: it is a group of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ..errors import DataError
from ..events import Note
from .file_table import joined
from .folders.tree import Listing, PictureFiles, some
from .sources import Part, Pictures
from .targets import object_array

AS_DICT = "group={'img1.jpg': 'patient 7', …}"
AS_FUNCTION = "group=lambda path: path.parent.name"


def group_files(listing: Listing, group: Any, *, whole: bool = True) -> Listing:
    """Give the listing with the groups that a dict or a function says; None: as it is.

    The name of a column (str) is filled by matching.label_files, which reads the table.
    Where the listing is not the `whole` source, a dict's names mean its files only if they begin
    with its folder, and those that no file has are not said.

    Raises
    ------
    DataError
        The function failed, a name means several files, or `group` is none of these.
    """
    if group is None or isinstance(group, str):
        return listing
    each = {name: PictureFiles.of(split) for name, split in listing.splits.items()}
    paths = joined([split.files for split in each.values()])
    values, notes = _of_paths(paths, listing.root, group, whole)
    splits, rest = dict[str, PictureFiles](), iter(values)
    for name, split in each.items():
        splits[name] = replace(split, groups=list(islice(rest, len(split))))
    return replace(listing, splits=splits, notes=(*listing.notes, *(notes if whole else ())))


def group_parts(parts: Mapping[str, Part], group: Any) -> dict[str, Part]:
    """Give the parts with the groups of the training rows, where their files did not bring them.

    Parameters
    ----------
    parts : by split; "train" is among them
    group : as `load` takes it; N groups in the order of the rows, for arrays and datasets

    Raises
    ------
    DataError
        There is not one group a row, or no picture has any.
    """
    out = {
        name: _grouped(part, group) if name == "train" or callable(group) else part
        for name, part in parts.items()
    }
    groups = out["train"].groups
    if groups is None or all(value is None for value in groups):
        what = f"group= gives none of {len(out['train']):,} pictures a group."
        why = "it is None for each of them"
        if isinstance(group, Mapping):
            why = f"it names {some([str(name) for name in group]) or 'nothing'}, and no file here"
        raise DataError(what, why, f"give {AS_DICT}, or {AS_FUNCTION}")
    return out


def _grouped(part: Part, group: Any) -> Part:
    if part.groups is not None:
        return part
    source, notes = part.make(np.zeros(len(part), np.int64)), list[Note]()
    if isinstance(group, str):
        what = f"Nothing here has a column {group!r} that group= could mean."
        why = "a column is looked for in the table that gives the labels"
        raise DataError(what, why, f"give {AS_DICT}, or {AS_FUNCTION}")
    if not callable(group) and not isinstance(group, Mapping):
        values = _of_rows(group, len(part))
    elif isinstance(source, Pictures):
        values, notes = _of_paths(source.paths, source.root, group)
    else:
        what = f"group= is a {type(group).__name__}, and these pictures are no files."
        fix = f"pass a list of {len(part):,} groups, one a row, in the order of the rows"
        raise DataError(what, "they have no names to look at", fix)
    return replace(part, groups=object_array(values), notes=(*part.notes, *notes))


def group_numbers(groups: Iterable[Any]) -> ndarray:
    """Number groups in the order of their first rows, int64, (N,); each None has its own number."""
    numbers = dict[tuple[bool, Any], int]()
    keys = ((value is None, row if value is None else value) for row, value in enumerate(groups))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _of_rows(group: Any, rows: int) -> list[Any]:
    if hasattr(group, "detach"):
        group = group.detach().cpu().numpy()
    if not isinstance(group, Iterable):
        what = f"group={group!r} is no group a picture."
        raise DataError(what, "N pictures belong to N groups", f"pass a list, or {AS_FUNCTION}")
    values = [_value(value) for value in (group.tolist() if hasattr(group, "tolist") else group)]
    if len(values) != rows:
        what = f"{rows:,} pictures came with {len(values):,} groups."
        raise DataError(what, "each belongs to one", "pass X, y and group= of one length")
    return values


def _of_paths(
    paths: Sequence[Path], root: Path, group: Any, whole: bool = True
) -> tuple[list[Any], list[Note]]:
    if callable(group):
        return [_called(group, path) for path in paths], []
    if isinstance(group, Mapping):
        return _looked_up(paths, root, group, whole)
    raise DataError(
        f"group= is a {type(group).__name__}, and the source is a folder.",
        "the order of the files in a folder is not known to you",
        f"give {AS_DICT}, or {AS_FUNCTION}",
    )


def _called(group: Callable[[Path], Any], path: Path) -> Any:
    try:
        value = group(path)
    except Exception as err:
        name = getattr(group, "__name__", "group")
        why = f"{name} raised {type(err).__name__}: {err}"
        fix = "let it return None for files that belong to no group"
        raise DataError(f"group= failed on {path}.", why, fix) from err
    return _value(value)


def _looked_up(
    paths: Sequence[Path], root: Path, group: Mapping[Any, Any], whole: bool
) -> tuple[list[Any], list[Note]]:
    """Give each path the group of its longest end that is named, with the file's ending or without.

    A name may have the folders above the root too.
    """
    named = {_parts(name): name for name in group}
    owner, out = dict[Any, Path](), list[Any]()
    for path in paths:
        folders = len(path.parts) - 1 if whole else len(root.parts) - 1
        name = _named(path, named, folders)
        if name is not None and owner.setdefault(name, path) != path:
            what = f"group= names {name}, which means several files."
            why = f"in {root} several files have this name"
            raise DataError(what, why, "write its folder too")
        out.append(None if name is None else _value(group[name]))
    strangers = [str(name) for name in group if name not in owner]
    text = f"Files that group= names and {root} does not hold: {some(strangers)}."
    return out, [Note(text, "warn")] if strangers else []


def _parts(name: Any) -> str:
    text = os.fspath(name) if isinstance(name, os.PathLike) else str(name)
    parts = text.strip().replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in (".", ""))


def _named(path: Path, named: Mapping[str, Any], folders: int) -> Any:
    parts = path.parts[1:]
    for start in range(folders):
        end = "/".join(parts[start:])
        for text in (end, os.path.splitext(end)[0]):
            if text in named:
                return named[text]
    return None


def _value(value: Any) -> Any:
    """Give a group that can be told from others; None where a table has a blank or nan."""
    if value is None or value == "" or isinstance(value, float) and value != value:
        return None
    try:
        hash(value)
    except TypeError as err:
        what, why = f"A group is {value!r}.", "a group is a name or a number"
        raise DataError(what, why, "give its name: str(group)") from err
    return value
