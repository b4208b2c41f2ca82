"""Names of files as tables write them, found among the files that are there.

A name may be whole or bare, with its ending or without, with folders above the root, of another
machine, behind a link, or with the prefix that an upload got. Where it could mean several files,
the one nearest to the table, of the table's split, or of train is meant.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .folders import HEIC, PICTURES

AMBIGUOUS = -1
SAMPLE = 300
ENDINGS = PICTURES | HEIC | frozenset((".dcm", ".svg", ".npy", ".xml", ".txt"))
UPLOAD = re.compile(r"[0-9a-f]{8}-")  # Label Studio puts it before a name
WORDS = {
    "train": "train training trn trainset trainval",
    "valid": "valid validation val dev validset valset",
    "test": "test testing tst testset",
}
SPLIT_OF = {word: split for split, words in WORDS.items() for word in words.split()}


def split_words(text: str) -> set[str]:
    """Give the splits that a name's words mean: trainLabels, test_list, val.txt."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text)
    return {SPLIT_OF[word.lower()] for word in words if word.lower() in SPLIT_OF}


def split_in(text: str) -> str | None:
    """Give the one split that a name means; that of train and valid together is train."""
    splits = split_words(text)
    if splits == {"train", "valid"}:
        return "train"
    return next(iter(splits)) if len(splits) == 1 else None


class FileNames:
    """The files that are there, by every name that a table may give them.

    paths : the files
    root : names are relative to it
    splits : the split that each lies in
    """

    def __init__(self, paths: Sequence[Path], root: Path, splits: Sequence[str]) -> None:
        self.paths, self.root, self.splits = paths, root, splits
        base = f"{root}{os.sep}"
        self.texts = [os.fspath(path) for path in paths]
        start = len(base)
        if not all(text.startswith(base) for text in self.texts):
            start = len(base := f"{os.path.commonpath(self.texts)}{os.sep}" if paths else base)
        self.base = base.rstrip(os.sep)
        self.whole = [text[start:].replace("\\", "/") for text in self.texts]
        self.many = len(set(splits)) > 1

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def bare(self) -> list[str]:
        return [name.rpartition("/")[2] for name in self.whole]

    @cached_property
    def stems(self) -> list[str]:
        return [name.rpartition(".")[0] or name for name in self.bare]

    @cached_property
    def forms(self) -> tuple[dict[str, int], ...]:
        """Give the row by each form of its name, the most telling first."""
        above = os.path.commonprefix(self.whole)  # a folder around all of them may go unsaid
        start = above.rfind("/") + 1
        inner = [name[start:] for name in self.whole] if start else []
        long = [name.rpartition(".")[0] or name for name in inner or self.whole]
        return tuple(_index(keys) for keys in (self.whole, self.bare, inner, long, self.stems))

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """Give all rows that a bare name or a stem may mean, in lower case too."""
        out = dict[str, list[int]]()
        for row, (name, stem) in enumerate(zip(self.bare, self.stems, strict=True)):
            for key in {name, stem, name.lower(), stem.lower()}:
                out.setdefault(key, []).append(row)
        return out

    def rows_of(self, cells: Sequence[Any], *, folder: str = "", hint: str | None = None) -> list:
        """Give the row that each cell names, None where it names none, AMBIGUOUS for several.

        Parameters
        ----------
        cells : names of files
        folder : where the table lies, below the root; its names may be relative to it
        hint : the split that the table is of
        """
        hint = hint if hint in self.splits else None
        prefix = f"{folder}/" if folder else ""
        sample = cells[:: max(1, len(cells) // SAMPLE)]
        # a form of names for the whole column: a dict's look-up a cell
        forms = [(mark, form) for mark in {prefix: 0, "": 0} for form in self.forms]
        forms = [one for one in forms if not one[0]] if not prefix else forms
        hits = [sum(_hit(form, f"{mark}{cell}") for cell in sample) for mark, form in forms]
        mark, form = forms[hits.index(max(hits))]
        named = (f"{mark}{cell}" for cell in cells) if mark else map(str, cells)
        rows = list(map(form.get, named))
        for number, row in enumerate(rows):
            if row is None or row == AMBIGUOUS or hint and self.splits[row] != hint:
                rows[number] = self.find(cells[number], folder=folder, hint=hint)
        return rows

    def find(self, name: Any, *, folder: str = "", hint: str | None = None) -> int | None:
        """Give the row of this name, AMBIGUOUS if several files have it, None if none has."""
        text = os.fspath(name) if isinstance(name, os.PathLike) else str(name)
        if "://" in text[:12]:
            text = unquote(urlsplit(text).path)
        text = text.strip().replace("\\", "/")
        parts = [part for part in text.split("/") if part not in (".", "")]
        exact = self.forms[0].get("/".join(parts))
        if exact is not None and (hint is None or self.splits[exact] == hint):
            return exact
        rows = self._rows(parts[-1]) if parts else []
        own = [row for row in rows if self._agrees(row, parts, hint)]
        if len(own) <= 1:
            return own[0] if own else None
        for rank in (
            lambda row: _shared_tail(self.texts[row], parts),
            lambda row: bool(folder) and self.whole[row].startswith(f"{folder}/"),
            lambda row: self.splits[row] == (hint or "train"),
        ):
            ranks = list(map(rank, own))
            own = [row for row, value in zip(own, ranks, strict=True) if value == max(ranks)]
            if len(own) == 1:
                return own[0]
        return AMBIGUOUS

    def _rows(self, last: str) -> list[int]:
        """Give the rows that the last part of a name may mean."""
        groups, (stem, ending) = self.groups, os.path.splitext(last)
        keys = [last, last.lower()]
        if ending.lower() in ENDINGS:
            keys += [stem, stem.lower()]
        if UPLOAD.match(last):
            keys += [last[9:], os.path.splitext(last)[0][9:]]
        if "%" in last:
            keys.append(unquote(last))
        return next((groups[key] for key in keys if key in groups), [])

    def _agrees(self, row: int, parts: Sequence[str], hint: str | None) -> bool:
        """Tell whether a name may mean a file of another split than its folders, or the table."""
        if not self.many:
            return True
        said = {SPLIT_OF[part.lower()] for part in parts[:-1] if part.lower() in SPLIT_OF}
        if said:
            return self.splits[row] in said
        return hint is None or self.splits[row] == hint


def _index(keys: Sequence[str]) -> dict[str, int]:
    out = dict(zip(keys, range(len(keys)), strict=True))
    if len(out) < len(keys):
        twice = {key for row, key in enumerate(keys) if out[key] != row}
        out.update(dict.fromkeys(twice, AMBIGUOUS))
    return out


def _hit(form: dict[str, int], cell: str) -> bool:
    return form.get(cell, AMBIGUOUS) != AMBIGUOUS


def _shared_tail(text: str, parts: Sequence[str]) -> int:
    """Count the folders that a path and a name share, from the end."""
    folders = text.replace("\\", "/").split("/")[:-1]
    count = 0
    for mine, theirs in zip(reversed(folders), reversed(parts[:-1]), strict=False):
        if mine != theirs:
            break
        count += 1
    return count
