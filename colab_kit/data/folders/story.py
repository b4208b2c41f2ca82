"""What is said of a folder while it is read: how, what was left out, and what would help."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import DataError
from ...events import Note
from .tree import ARCHIVES, PictureFiles, Tree, some


@dataclass
class Story:
    """What is said of a folder while it is read.

    root : the folder given
    shown : how the user names it
    ask : whether a doubt about classes is an error
    lines : how it was read, a sentence each
    later : the folders of the splits after train: their names tell classes from videos
    """

    root: Path
    shown: str
    ask: bool = True
    lines: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    label_notes: list[Note] = field(default_factory=list)
    later: list[Tree] = field(default_factory=list)

    def path(self, tree: Tree) -> str:
        """Name a folder so that it can be pasted."""
        below = tree.path.relative_to(self.root).as_posix()
        top = self.shown if os.path.isdir(os.path.expanduser(self.shown)) else str(self.root)
        return top if below == "." else f"{top.rstrip('/')}/{below}"

    def name(self, tree: Tree) -> str:
        """Name a folder as it lies below the root."""
        below = tree.path.relative_to(self.root).as_posix()
        return tree.path.name if below == "." else below

    def leave_out(self, tree: Tree, top: Tree, why: str) -> None:
        """Say that a folder was left out."""
        many = f"{len(tree.pictures):,} pictures"
        self.lines.append(f"{self.name(tree)}/ ({many}) is left out: {why}.")

    def by_folder(self, level: int) -> str:
        """Give the line that takes the folder `level` above each picture as its class."""
        return self.labels("path.parent.name" if level == 1 else f"path.parts[-{level + 1}]")

    def labels(self, label: str, top: Tree | None = None) -> str:
        """Give the line that takes an expression of the path as its class, of a folder in it."""
        source = self.path(top) if top else self.shown
        return f"kit.load({source!r}, labels=lambda path: {label})"


def say_hidden(folder: Path) -> Note:
    """Say that a folder was left out, whose name begins with a dot."""
    line = f"import os; os.rename({str(folder)!r}, {str(folder.with_name(folder.name[1:]))!r})"
    text = f"{folder}/ holds pictures and is left out: a dot in front of a name hides a folder."
    return Note(f"{text} Is it a class? Rename it: {line}", "warn")


def say_packed(whole: Tree, splits: Mapping[str, PictureFiles], story: Story) -> None:
    """Warn of archives beside the pictures, unless a folder of the name lies unpacked there."""
    tops = {top for of in splits.values() for top in of.files.used_folders()}
    folders = {name for top in tops for name in Path(top).parts}
    packed = [
        path.name
        for path in whole.others
        if path.name.lower().endswith(ARCHIVES) and path.name.partition(".")[0] not in folders
    ]
    if packed:
        text = (
            f"{whole.path}: what is packed in {some(packed)} is not used. Unpack it there if its "
        )
        story.notes.append(Note(text + "pictures belong to the set.", "warn"))


def no_pictures(folder: Path, tree: Tree, *, trained: bool) -> DataError:
    what = f"{folder} holds no pictures to train on."
    others = [path.name for path in tree.others]
    packed = [path for path in tree.others if path.name.lower().endswith(ARCHIVES)]
    if packed:
        what = f"{folder} holds an archive and no pictures to train on."
        fix = f"load the archive itself: kit.load({str(packed[0])!r})"
        return DataError(what, f"{packed[0].name} is packed", fix)
    names = [name + "/" for name in tree.filled]
    if trained and names:
        return DataError(what, f"all are in {some(names)}", "put class folders into train/")
    contents = f"{len(others):,} other files ({some(others)})" if others else "nothing"
    arrays = [path for path in tree.others if path.suffix.lower() == ".npy"]
    if arrays and all(path.parent.parent == tree.path for path in arrays):
        each = f"for p in sorted(Path({str(folder)!r}).glob('*/*.npy'))"
        fix = "from pathlib import Path; import numpy as np; "
        fix += f"kit.load((np.stack([np.load(p) {each}]), [p.parent.name {each}]))"
        return DataError(f"There are no picture files in {folder}.", f"it holds {contents}", fix)
    return DataError(
        f"There are no pictures in {folder}.",
        f"it holds {contents}",
        "give a folder that has a folder of pictures for each class: .jpg, .png, .webp, .gif …",
    )
