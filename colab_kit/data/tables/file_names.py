"""Names of files as tables write them, found among the files that are there.

A name may be whole or bare, with its ending or without, with folders above the root, of another
machine, behind a link, or with the prefix that an upload got. Where it could mean several files,
the one nearest to the table, of the table's split, or of train is meant.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..file_table import FileTable
from ..folders.tree import HEIC, PICTURES
from ..folders.words import split_of, words

AMBIGUOUS = -1
SAMPLE = 300
FORMS = ("whole", "bare", "stems", "inner", "long", "numbers")
ENDINGS = PICTURES | HEIC | frozenset((".dcm", ".svg", ".npy", ".xml", ".txt"))
NUMBER = re.compile(r"0*(\d+)(?:\.0+)?(?:\.[A-Za-z]+)?$")
UPLOAD = re.compile(r"[0-9a-f]{8}-")  # Label Studio puts it before a name
GROUP_WORDS = frozenset(
    "patient patients patientid lesion lesions subject person participant video clip case study "
    "series session individual photographer user rater observer".split()
)


def split_words(text: str) -> set[str]:
    """Give the splits that a name's words mean: trainLabels, test_list, val.txt."""
    return {split for word in words(text) if (split := split_of(word))}


def other_words(text: str) -> list[str]:
    """Give a name's words and numbers but its split's."""
    return [word for word in words(text) if not split_of(word)]


def split_in(text: str) -> str | None:
    """Give the one split that a name means; that of train and valid together is train."""
    splits = split_words(text)
    if splits == {"train", "valid"}:
        return "train"
    return next(iter(splits)) if len(splits) == 1 else None


def is_of_both(text: str) -> bool:
    """Tell whether a name means several splits together: trainval, train_val_list."""
    return len(split_words(text)) > 1 or "trainval" in text.lower()


def only_store(folders: Sequence[str], stems: Sequence[str]) -> bool:
    """Tell whether folders seem to store: one a patient, a study or the like, or by a hash's start.

    Parameters
    ----------
    folders, stems : of each file
    """
    distinct = set(folders)
    words = [re.match(r"([a-z]+)[\W_]*\d", folder.lower()) for folder in distinct]
    groups = sum(found is not None and found[1] in GROUP_WORDS for found in words)
    if 10 * groups >= 9 * len(distinct) > 0:
        return True
    hashes = all(re.fullmatch(r"[0-9a-f]{1,3}", folder) for folder in distinct)
    pairs = zip(folders, stems, strict=True)
    return hashes and all(len(stem) >= 8 and stem.startswith(folder) for folder, stem in pairs)


class FileNames:
    """The files that are there, by every name that a table may give them.

    paths : the files
    root : names are relative to it
    splits : the split that each lies in

    Attributes
    ----------
    whole, text : the names below the folder of all, as a list and as one text
    """

    def __init__(self, paths: Sequence[Path], root: Path, splits: Sequence[str]) -> None:
        self.files, self.root, self.splits = FileTable.of(paths), root, splits
        self.base, tops = os.fspath(root), self.files.used_folders()
        if not all(f"{top}{os.sep}".startswith(f"{root}{os.sep}") for top in tops):
            self.base = os.path.commonpath(tops)
        self.whole = self.files.below(Path(self.base))
        self.text = "\0".join(self.whole)  # no name holds it
        if "\\" in self.text:
            self.text = self.text.replace("\\", "/")
            self.whole = self.text.split("\0")
        self._forms = dict[str, dict[str, int]]()
        self.many = len(set(splits)) > 1

    def __len__(self) -> int:
        return len(self.files)

    @property
    def paths(self) -> Sequence[Path]:
        return self.files

    @cached_property
    def texts(self) -> list[str]:
        return self.files.texts()

    @cached_property
    def bare(self) -> list[str]:
        return [name.rpartition("/")[2] for name in self.whole]

    @cached_property
    def stems(self) -> list[str]:
        return [name.rpartition(".")[0] or name for name in self.bare]

    @cached_property
    def inner(self) -> list[str]:
        """Give names below the folder that is around all of them: it may go unsaid."""
        start = os.path.commonprefix(self.whole).rfind("/") + 1
        return [name[start:] for name in self.whole] if start else self.whole

    def form(self, kind: str) -> dict[str, int]:
        """Give the row by one form of its name: whole, inner, bare, long or stems.

        `folded` is the bare name or the stem in lower case; `numbers` are stems without zeros.
        """
        if kind not in self._forms:
            if kind == "folded":
                forms = (_index([name.lower() for name in of]) for of in (self.stems, self.bare))
                self._forms[kind] = next(forms) | next(forms)
            elif kind == "numbers":
                digits = all(map(str.isdecimal, self.stems))  # a hash may be of digits by chance
                self._forms[kind] = _index(list(map(_without_zeros, self.stems))) if digits else {}
            elif kind == "long":
                keys = [name.rpartition(".")[0] or name for name in self.inner]
                self._forms[kind] = _index(keys)
            else:
                self._forms[kind] = _index(getattr(self, kind))
        return self._forms[kind]

    @cached_property
    def in_classes(self) -> bool:
        """Tell whether several folders hold the files, and are not there to store them alone."""
        folders = [name.rpartition("/")[0].rpartition("/")[2] for name in self.whole]
        return len(set(folders)) > 1 and not only_store(folders, self.stems)

    @cached_property
    def numbered(self) -> dict[str, int]:
        """Give the row by the last number in its name, if these count from 1 to the last file."""
        numbers = [found[-1] if (found := re.findall(r"\d+", stem)) else "" for stem in self.stems]
        rows = {str(int(number or 0)): row for row, number in enumerate(numbers)}
        return rows if rows.keys() == {str(n) for n in range(1, len(self) + 1)} else {}

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """Give all rows that a bare name or a stem may mean, in lower case or with its folder."""
        out = dict[str, list[int]]()
        for row, (name, stem) in enumerate(zip(self.bare, self.stems, strict=True)):
            folder = self.whole[row].rpartition("/")[0].rpartition("/")[2]
            keys = {name, stem, name.lower(), stem.lower(), _without_zeros(stem)}
            for key in keys | {f"{folder}/{name}", f"{folder}/{stem}"}:
                out.setdefault(key, []).append(row)
        return out

    def rows_of(
        self, cells: Sequence[Any], *, folder: str = "", hint: str | None = None
    ) -> list[int | None]:
        """Give the row that each cell names, None where it names none, AMBIGUOUS for several.

        Parameters
        ----------
        cells : names of files
        folder : where the table lies, below the root; its names may be relative to it
        hint : the split that the table is of
        """
        hint = hint if hint in self.splits else None
        mark, form = self._best_form(cells[:: max(1, len(cells) // SAMPLE)], folder)
        named: Iterable[Any] = cells
        if isinstance(mark, int):
            named = (cell.split("/", mark)[-1] for cell in map(str, cells))
        elif mark:
            named = (f"{mark}{cell}" for cell in cells)
        rows = list(map(form.get, named))  # one look-up a cell
        if hint is None and None not in rows and AMBIGUOUS not in rows:
            return rows
        for number, row in enumerate(rows):
            if row is None or row == AMBIGUOUS or hint and self.splits[row] != hint:
                rows[number] = self.find(cells[number], folder=folder, hint=hint)
        return rows

    def _best_form(self, sample: Sequence[Any], folder: str) -> tuple[str | int, dict[str, int]]:
        """Choose the form in which a column names files, and what to do with a cell before.

        A text is put before it; of a number of folders it is freed.
        """
        best = -1
        choice: tuple[str | int, dict[str, int]] = ("", {})
        for mark in dict.fromkeys((f"{folder}/" if folder else "", "")):
            for kind in FORMS:
                form = self.form(kind)
                hits = sum(form.get(f"{mark}{cell}", AMBIGUOUS) != AMBIGUOUS for cell in sample)
                if hits > best:
                    best, choice = hits, (mark, form)
                if hits == len(sample):
                    return choice
        deep = max(str(cell).count("/") for cell in sample) if sample else 0
        for folders, kind in product(range(1, min(deep, 6) + 1), ("whole", "long")):
            if best == len(sample):
                break
            form = self.form(kind)
            hits = sum(str(cell).split("/", folders)[-1] in form for cell in sample)
            if hits > best:
                best, choice = hits, (folders, form)
        return choice

    def find(
        self, name: Any, *, folder: str = "", hint: str | None = None, exact: bool = False
    ) -> int | None:
        """Give the row of this name, AMBIGUOUS if several files have it, None if none has.

        Parameters
        ----------
        exact : whether capitals matter
        """
        text = os.fspath(name) if isinstance(name, os.PathLike) else str(name)
        if "://" in text[:12]:
            text = unquote(urlsplit(text).path)
        text = text.strip().replace("\\", "/")
        parts = [part for part in text.split("/") if part not in (".", "")]
        whole = self.form("whole")
        for start in range(len(parts)):  # the table may name folders above the root
            row = whole.get("/".join(parts[start:]))
            if row is not None and row >= 0 and self._agrees(row, parts, hint):
                return row
        rows = self._rows(parts, exact) if parts else []
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

    def _rows(self, parts: Sequence[str], exact: bool) -> list[int]:
        """Give the rows that the last part of a name, or its last two, may mean."""
        last = parts[-1]
        stem, ending = os.path.splitext(last)
        keys = [last]
        if ending.lower() in ENDINGS:
            keys.append(stem)
        if UPLOAD.match(last):
            keys += [last[9:], os.path.splitext(last)[0][9:]]
        if "%" in last:
            keys.append(unquote(last))
        tried = [(key, kind) for key in keys for kind in ("bare", "stems")]
        tried += [(key.lower(), "folded") for key in keys if not exact]
        if (number := NUMBER.match(last)) and not exact:  # 1 or 1.0, as a sheet writes 0001
            tried.append((number[1], "numbers"))
        for key, kind in tried:  # a form is made when it is needed
            if (row := self.form(kind).get(key)) is not None:
                if row != AMBIGUOUS:
                    return [row]
                near = "/".join([*parts[-2:-1], key])
                return self.groups.get(near) or self.groups[key]
        return []

    def _agrees(self, row: int, parts: Sequence[str], hint: str | None) -> bool:
        """Tell whether a name may mean a file of another split than its folders, or the table."""
        if not self.many:
            return True
        said = {split for part in parts[:-1] if (split := split_of(part))}
        if said:
            return self.splits[row] in said
        return hint is None or self.splits[row] == hint


def _without_zeros(stem: str) -> str:
    return str(int(stem)) if stem.isdecimal() else stem


def _index(keys: Sequence[str]) -> dict[str, int]:
    out = dict(zip(keys, range(len(keys)), strict=True))
    if len(out) < len(keys):
        twice = {key for row, key in enumerate(keys) if out[key] != row}
        out.update(dict.fromkeys(twice, AMBIGUOUS))
    return out


def _shared_tail(text: str, parts: Sequence[str]) -> int:
    """Count the folders that a path and a name share, from the end."""
    folders = text.replace("\\", "/").split("/")[:-1]
    count = 0
    for mine, theirs in zip(reversed(folders), reversed(parts[:-1]), strict=False):
        if mine != theirs:
            break
        count += 1
    return count
