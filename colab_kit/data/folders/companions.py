"""Files and folders that accompany pictures: masks, boxes, thumbnails. They are no pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..file_table import FileTable, joined
from . import words as folder_words
from .tree import Tree, some

SHARED = 0.5  # of a folder's pictures, so many are named as pictures beside it


def without_companions(tree: Tree, lines: list[str]) -> Tree:
    """Give the tree without masks and the like, and say what was left out.

    A folder goes only if its name says nothing else, and its pictures are named as pictures beside
    it, or the pictures beside it lie in `images/` and the like. So a class `mask` beside a class
    `no_mask` stays.
    """
    folders, files = list[Path](), list[Path]()
    out = _strip(tree, folders, files, frozenset())
    if folders:
        names = sorted({path.name + "/" for path in folders})
        many = f" ({len(folders):,} folders)" if len(folders) > len(names) else ""
        lines.append(f"{some(names)}{many} left out: what lies there goes with pictures beside it.")
    if files:
        shown = some([path.name for path in files])
        lines.append(f"{len(files):,} files left out that go with a picture of the name: {shown}.")
    return out


def _strip(tree: Tree, folders: list[Path], files: list[Path], outside: frozenset[str]) -> Tree:
    """`outside`: stems of pictures that lie beside a folder above."""
    kept = dict(tree.folders)
    for name, sub in tree.filled.items():
        beside = [other for other in tree.filled.values() if other is not sub]
        if folder_words.is_companion(name) and _accompanies(sub, beside, tree.loose, outside):
            folders.append(sub.path)
            del kept[name]
    stems = tree.loose.stems()
    own = set(stems)
    is_mask = np.array([folder_words.companion_of(stem) in own for stem in stems], bool)
    files += sorted(tree.loose.take(is_mask))
    clean = {
        name: _strip(sub, folders, files, outside | _stems(tree.loose))
        for name, sub in kept.items()
    }
    return replace(tree, loose=tree.loose.take(~is_mask), folders=clean)


def _accompanies(sub: Tree, beside: list[Tree], loose: FileTable, outside: frozenset[str]) -> bool:
    if not (beside or loose or outside):
        return False
    classes = [tree for tree in beside if not folder_words.is_companion(tree.path.name)]
    if classes and all(_holds_pictures(tree.path.name) for tree in classes):
        return True  # images/ and masks/: whatever lies there is called, neither is a class
    own = _stems(sub.pictures)
    others = _stems(joined([tree.pictures for tree in beside])) | _stems(loose) | outside
    if len(own & others) < SHARED * len(own):
        bare = _bare(own)
        return len(bare & _bare(_stems(loose) | outside)) >= SHARED * len(bare)
    if loose or outside or any(tree.filled or _says_no_class(tree.path.name) for tree in classes):
        return True
    # flat folders beside it: numbered names fit everywhere, and `mask` may be a class
    stems = [_stems(tree.pictures) for tree in classes]
    return len(classes) > 1 and sum(map(len, stems)) < 1.5 * len(frozenset().union(*stems))


def _holds_pictures(name: str) -> bool:
    return folder_words.is_generic(name) and not folder_words.is_unlabelled(name)


def _bare(stems: Iterable[str]) -> set[str]:
    return {folder_words.bare(stem) for stem in stems}


def _says_no_class(name: str) -> bool:
    return folder_words.is_generic(name) or folder_words.is_plain_split(name)


def _stems(pictures: FileTable) -> frozenset[str]:
    """Give the stems of pictures, that of `a_mask` as `a`."""
    return frozenset(folder_words.companion_of(stem) or stem for stem in pictures.stems())
