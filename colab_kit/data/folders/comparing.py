"""Two folders beside each other: whether they hold the same pictures, by their names or bytes."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..file_table import joined
from .tree import Tree

COMPARED = 16  # pictures of two folders that are compared, where all have the same names
COUNTER = re.compile(r"(.*?)(\d{1,9})\)?", re.ASCII)
TWINS = 0.6  # of the pictures of two folders, so many are named alike: two versions of one thing


def merged(trees: Sequence[Tree], path: Path) -> Tree:
    """Give several folders as one at `path`; those of one name inside are brought together."""
    folders = dict[str, Tree]()
    for name in dict.fromkeys(name for tree in trees for name in tree.folders):
        same = [tree.folders[name] for tree in trees if name in tree.folders]
        folders[name] = merged(same, path) if len(same) > 1 else same[0]
    beside = [os.path.relpath(tree.path / name, path) for tree in trees for name in tree.beside]
    return Tree(path, joined([tree.loose for tree in trees]), beside, folders)


def alike(one: Tree, other: Tree) -> bool:
    """Tell whether most pictures of two folders have the same names, and so are the same things.

    Names that only count say so only where the endings differ: 1.jpg and 1.tif.
    """
    endings = [{path.suffix.lower() for path in tree.pictures} for tree in (one, other)]
    said = not only_numbered(one) or endings[0].isdisjoint(endings[1])
    return said and same_names(one, other)


def same_names(one: Tree, other: Tree) -> bool:
    """Tell whether most pictures of two folders have the same names, be they only counted."""
    first, second = _names(one), _names(other)
    return len(first & second) >= TWINS * min(len(first), len(second))


def overlap(one: Tree, other: Tree) -> bool:
    """Tell whether two folders have pictures in common: by their names, or by what is in them."""
    first, second = (
        {path.relative_to(tree.path).as_posix(): path for path in tree.pictures}
        for tree in (one, other)
    )
    both = sorted(first.keys() & second.keys())
    sample = both[:: max(1, len(both) // COMPARED)]
    return alike(one, other) or any(same_file(first[name], second[name]) for name in sample)


def _names(tree: Tree) -> set[str]:
    return {path.relative_to(tree.path).with_suffix("").as_posix() for path in tree.pictures}


def only_numbered(tree: Tree) -> bool:
    """Tell whether names count from a small number on, behind one text in each folder: 7, IMG_7,
    frame (7). They come alike in any folder.
    """
    found = [(path.parent, COUNTER.fullmatch(path.stem)) for path in tree.pictures]
    begins = {(folder, match[1]) for folder, match in found if match}
    count = all(match and int(match[2]) <= 10 * len(found) for _, match in found)
    return count and len(begins) == len({folder for folder, _ in found})


def same_files(one: Tree, other: Tree) -> bool:
    """Tell whether two folders hold the same files: by name, and a few by what is in them."""
    first, second = (
        {path.relative_to(tree.path).as_posix(): path for path in tree.pictures}
        for tree in (one, other)
    )
    if first.keys() != second.keys():
        return False
    step = max(1, len(first) // COMPARED)
    return all(same_file(first[name], second[name]) for name in sorted(first)[::step])


def same_file(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:  # a link that leads nowhere
        return False
