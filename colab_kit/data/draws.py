"""On which side of a draw each picture is: a function of the seed and its own name and size."""

from __future__ import annotations

import os
import unicodedata
import zlib
from dataclasses import replace

import numpy as np
from numpy import ndarray

from .dataset import Split
from .file_table import FileTable
from .keyed_random import SPLIT, hashes, permutation, uniforms
from .sources import Part, Pictures
from .targets import UNLABELLED, strata, unlabelled

# the purpose of a draw that is not the validation split's: part of its key
LIMIT, TEST, GROUPS = 1, 2, 3


def by_draw(labels: ndarray, draws: ndarray, share: float) -> tuple[ndarray, ndarray]:
    """Divide row numbers into (rest, drawn): what draws less than `share` is drawn.

    The least of a class is always drawn and the greatest never, so both sides have each class of
    two or more. No row's side depends on another row, but for these two.

    Parameters
    ----------
    labels : int64, (N,), or float32, (N, K): see targets.strata; numbers are one class
    draws : float64, (N,), from [0, 1): a function of each row alone
    share : from 0 to 1

    Returns
    -------
    rest, drawn : int64, each sorted
    """
    classes, chosen = _classes(labels), draws < share
    order = np.lexsort((draws, classes))
    ends = np.flatnonzero(np.diff(classes[order]))
    first, last = order[np.r_[0, ends + 1]], order[np.r_[ends, len(order) - 1]]
    chosen[first] = True
    chosen[last] = False  # also where it is the only one
    chosen &= classes != UNLABELLED
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def whole_groups(
    labels: ndarray, groups: ndarray, draws: ndarray, share: float
) -> tuple[ndarray, ndarray]:
    """Divide row numbers into (rest, drawn), groups whole: what draws less than `share` is drawn.

    A class that got none gets the group of its least draw. The last group of a class is never
    drawn.

    Parameters
    ----------
    labels : int64, (N,), or float32, (N, K): see targets.strata; numbers are one class
    groups : int64, (N,), a number for each group
    draws : float64, (N,), from [0, 1): a function of each row's group alone
    share : from 0 to 1

    Returns
    -------
    rest, drawn : int64, each sorted
    """
    classes, class_of = np.unique(_classes(labels), return_inverse=True)
    names, first_row, group_of = np.unique(groups, return_index=True, return_inverse=True)
    pairs = np.unique(group_of * len(classes) + class_of)
    holds: list[list[int]] = [[] for _ in names]  # the classes of each group
    for pair in pairs.tolist():
        holds[pair // len(classes)].append(pair % len(classes))
    left: list[int] = np.bincount(pairs % len(classes), minlength=len(classes)).tolist()
    taken, have = set[int](), set[int]()
    order, of_group = np.argsort(draws[first_row], kind="stable"), draws[first_row]

    def take(group: int) -> None:
        if group not in taken and all(left[one] > 1 for one in holds[group]):
            taken.add(group)
            have.update(holds[group])
            for one in holds[group]:
                left[one] -= 1

    for group in order.tolist():
        if of_group[group] < share or not have.issuperset(holds[group]):
            take(group)
    chosen = np.isin(group_of, sorted(taken))
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _classes(labels: ndarray) -> ndarray:
    """Give each row the class that both sides shall have, int64, (N,): numbers are one class."""
    if labels.ndim == 2 and not np.isin(labels[~unlabelled(labels)], (0, 1)).all():
        return np.where(unlabelled(labels), UNLABELLED, 0)
    return strata(labels)


def draws_of(split: Split, part: Part, seed: int, purpose: int) -> ndarray | None:
    """Draw a number for each row of a split: of its group, else of its file's name and size.

    None where rows are neither.
    """
    source, keys = split.source, None
    if isinstance(source, Pictures):
        keys = _file_keys(FileTable.of(source.paths), split)
    if part.groups is not None:
        groups = part.groups[split.rows]
        names = [_number_of(str(group)) for group in groups]
        alone = np.array([group is None for group in groups], bool)
        keys = np.where(alone, split.rows if keys is None else keys, np.array(names))
    return None if keys is None else uniforms(keys.astype(np.uint64), seed, SPLIT, purpose)


def limited(split: Split, limit: int, seed: int) -> Split:
    """Leave at most `limit` rows of each class: those whose files draw least, groups apart.

    So more files take the place of a few others. Of arrays, which have no names, it goes by row.
    """
    source, chosen, groups = split.source, [], strata(split.labels)
    keys = None
    if isinstance(source, Pictures):
        keys = _file_keys(FileTable.of(source.paths), split)
    for label in np.unique(groups):
        rows = np.flatnonzero(groups == label)
        if keys is None:
            order = permutation(len(rows), seed, SPLIT, int(label), LIMIT)
        else:
            order = np.argsort(uniforms(keys[rows], seed, SPLIT, LIMIT), kind="stable")
        chosen.append(split.rows[rows[order[:limit]]])
    return replace(split, rows=np.sort(np.concatenate(chosen)))


def _file_keys(files: FileTable, split: Split) -> ndarray:
    """Give each file a number by its name and size.

    Where most files of a class share both (p01/scan.bmp, p02/scan.bmp), the folder's name counts
    too.
    """
    keys: ndarray = files.keys[split.rows]
    if 2 * len(np.unique(keys ^ hashes(0, _classes(split.labels)))) >= len(keys):
        return keys
    tops = [_number_of(os.path.basename(folder)) for folder in files.folders]
    return np.asarray(keys ^ hashes(0, np.array(tops)[files.folder[split.rows]]))


def _number_of(name: str) -> int:
    return zlib.crc32(unicodedata.normalize("NFC", name).encode(errors="surrogateescape"))
