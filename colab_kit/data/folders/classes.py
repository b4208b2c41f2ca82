"""The folders of one split, understood as classes: at which level they lie, which is doubted."""

from __future__ import annotations

import filecmp
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import DataError
from ...events import Note
from ..file_table import joined
from . import words as folder_words
from .tree import TABLES, Tree, counted, some

SHARED = 0.6  # of the folders inside, so many have a name that comes again beside them
COMPARED = 16  # pictures of two folders that are compared, where all have the same names
TWINS = 0.6  # of the pictures of two folders, so many are named alike: two versions of one thing

Labelled = list[tuple[str | None, Sequence[Path]]]


@dataclass
class Story:
    """What is said of a folder while it is read.

    root : the folder given
    shown : how the user names it
    ask : whether a doubt about classes is an error
    lines : how it was read, a sentence each
    """

    root: Path
    shown: str
    ask: bool = True
    lines: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    label_notes: list[Note] = field(default_factory=list)

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
        label = "path.parent.name" if level == 1 else f"path.parts[-{level + 1}]"
        return f"kit.load({self.shown!r}, labels=lambda path: {label})"


def class_folders(tree: Tree, story: Story, split: str, classes: set[str]) -> Labelled:
    """Give the pictures of a split by class; None for those without.

    Parameters
    ----------
    tree : the split's folder, wrappers passed through
    story : gets what is to be said
    split : train, valid or test
    classes : those of train, where another split is read

    Raises
    ------
    DataError
        The classes could be the outer folders or the inner ones, or there are several versions.
    """
    subs = dict(tree.filled)
    if not subs:
        return [(None, tree.pictures)]
    if _says_nothing(tree, subs, split, classes, story):
        return [(None, tree.pictures)]
    if folder_words.are_storage(subs):
        story.lines.append(f"{some([n + '/' for n in subs])}: parts of one set, not classes.")
        return [(None, tree.pictures)]
    out = _by_class(tree, subs, story, classes)
    out = _without_copies(_without_unlabelled(out, story), story)
    _doubt(out, story)
    if tree.loose:
        text = f"{tree.path}: {counted(len(tree.loose), 'picture')} found beside the class folders"
        names = some([path.name for path in tree.loose])
        story.label_notes.append(Note(f"{text} without a label ({names}).", "warn"))
        out.append((None, tree.loose))
    if empty := [n for n, sub in tree.folders.items() if n not in subs and not _has_tables(sub)]:
        if not all(folder_words.is_companion(n) or n.lower() in folder_words.SPLITS for n in empty):
            story.notes.append(Note(f"{tree.path}: no pictures in {some(empty)}.", "warn"))
    for label, paths in out:
        if label and split == "train" and folder_words.is_plain_split(label):
            text = f"{label}/ is read as a class of {len(paths):,} pictures, though splits are "
            text += "often called so: no class folders lie in it, and other classes lie beside it."
            story.label_notes.append(Note(text, "warn"))
    return out


def _has_tables(tree: Tree) -> bool:
    """Tell whether a folder holds files that go with pictures, and none of a kind not known."""
    return bool(tree.others) and all(path.suffix.lower() in TABLES for path in tree.others)


def _says_nothing(
    tree: Tree, subs: dict[str, Tree], split: str, classes: set[str], story: Story
) -> bool:
    """Tell whether the only folder is no class: `images/`, or in a test split one of no class."""
    if len(subs) > 1 or any(sub.filled for sub in subs.values()):
        return False
    (name, sub), *_ = subs.items()
    if len(tree.loose) >= len(sub.pictures):
        return True
    if (
        split == "test"
        and classes
        and folder_words.folded(name) not in map(folder_words.folded, classes)
    ):
        text = f"{story.name(sub)}/ is no class of train: its pictures have no labels, and are for "
        story.notes.append(Note(text + "predict only."))
        return True
    return folder_words.is_generic(name)


def _by_class(tree: Tree, subs: dict[str, Tree], story: Story, classes: set[str]) -> Labelled:
    """Find the level at which the classes lie."""
    inside = {name: _below(sub) for name, sub in subs.items()}
    below = [inner for sub in subs.values() for inner in sub.filled]
    if below and all(_sorts(name, sub) for name, sub in subs.items()):
        story.lines.append(f"The folders {some(list(subs))} sort the classes inside by letter.")
        return _innermost(subs)
    doubted = {name: sub for name, sub in inside.items() if len(sub.filled) > 1 and not sub.loose}
    counts = Counter(inner for sub in doubted.values() for inner in sub.filled)
    again = {inner for inner, n in counts.items() if n > 1}
    for name, sub in inside.items():  # a person with pictures of one gesture only
        if len(sub.filled) == 1 and set(sub.filled) <= again:
            doubted[name] = sub
    known = {folder_words.folded(name) for name in classes}
    strange = [name for name in doubted if folder_words.folded(name) not in known]
    if not doubted or not strange and known:
        return _outer(subs)
    flat = {name: sub for name, sub in subs.items() if name not in doubted}
    if flat:
        return _mixed(subs, flat, doubted, story)
    if all(folder_words.split_word(inner) for inner in counts):
        if any(each.filled for sub in doubted.values() for each in sub.filled.values()):
            raise _versions(doubted, story, "each holds splits of its own")
        text = f"{some([name + '/' for name in doubted])} hold folders that are called as splits "
        text += f"({some(list(counts))}): all of a folder are brought together as one class."
        story.label_notes.append(Note(text, "warn"))
        return _outer(subs)
    total = sum(len(sub.filled) for sub in doubted.values())
    shared = sum(len(set(sub.filled) & again) for sub in doubted.values())
    if len(doubted) > 1 and shared >= SHARED * total:
        return _shared(doubted, subs, story)
    return _nested(tree, subs, doubted, story)


def _sorts(name: str, tree: Tree) -> bool:
    """Tell whether a folder is a letter, and all that lies in it begins so: b/barn, b/beach."""
    begin = [inner.casefold().startswith(name.casefold()) for inner in tree.filled]
    return len(name) == 1 and name.isalpha() and not tree.loose and all(begin)


def _below(tree: Tree) -> Tree:
    """Pass through folders that hold one folder alone, as long as folders lie in it."""
    while len(tree.filled) == 1 and not tree.loose:
        only = next(iter(tree.filled.values()))
        if not only.filled:
            return tree
        tree = only
    return tree


def _outer(subs: dict[str, Tree]) -> Labelled:
    return [(name, sub.pictures) for name, sub in subs.items()]


def _innermost(subs: dict[str, Tree]) -> Labelled:
    """Take each folder that holds pictures as a class, by its path: `balcony/exterior`."""
    out: dict[str, list[Path]] = {}
    for sub in subs.values():
        for path in sub.pictures:
            out.setdefault(path.parent.relative_to(sub.path).as_posix(), []).append(path)
    return list(out.items())


def _mixed(
    subs: dict[str, Tree], flat: dict[str, Tree], doubted: dict[str, Tree], story: Story
) -> Labelled:
    """Read class folders, one of which holds folders: a copy of the rest, or parts of a class."""
    out = dict(subs)
    for name, sub in doubted.items():
        if set(sub.filled) <= set(flat):
            twins = all(
                _same_files(inner, flat[n]) or _alike(inner, flat[n])
                for n, inner in sub.filled.items()
            )
            why = "it holds the same folders once more" if twins else "its folders are classes too"
            many = f"{len(sub.pictures):,} pictures"
            story.lines.append(f"{story.name(subs[name])}/ ({many}) is left out: {why}.")
            if not twins:
                text = f"{name}/ ({many}) was left out: it holds other pictures of the classes."
                story.label_notes.append(Note(text, "warn"))
            del out[name]
        else:
            text = f"{name}/ holds folders ({some(list(sub.filled))}): all are the class {name}."
            story.label_notes.append(Note(text, "warn"))
    return _outer(out)


def _shared(outers: dict[str, Tree], subs: dict[str, Tree], story: Story) -> Labelled:
    """Read outer folders that share the names of their inner ones."""
    trees = list(outers.values())
    if all(_same_files(trees[0], other) for other in trees[1:]):
        for name, other in list(outers.items())[1:]:
            text = f"{name}/ ({len(other.pictures):,} pictures) is left out: it holds the same "
            story.lines.append(text + f"files as {trees[0].path.name}/.")
        return _outer(trees[0].filled)
    if all(_alike(trees[0], other) for other in trees[1:]):
        raise _versions(outers, story, "their pictures have the same names")
    if folder_words.are_versions(outers):
        raise _versions(outers, story, "by their own names they are forms of one set")
    inner = {
        name: joined([tree.filled[name].pictures for tree in trees if name in tree.filled])
        for name in dict.fromkeys(name for tree in trees for name in tree.filled)
    }
    names, outer_names = list(inner), list(outers)
    if folder_words.are_numbers(names) and not all(name.isdecimal() for name in names):
        if story.ask:
            raise _two_levels(outer_names, names, story, [_both_levels(story), story.by_folder(1)])
    text = f"{some([n + '/' for n in outer_names])} hold folders of the same names: the "
    text += f"{len(inner)} classes are those inside ({some(names)}), brought together. Is each "
    text += f"outer folder a class? {_by_outer(subs, story)}"
    story.label_notes.append(Note(text, "warn"))
    return list(inner.items())


def _nested(tree: Tree, subs: dict[str, Tree], doubted: dict[str, Tree], story: Story) -> Labelled:
    """Read folders in folders, each with names of its own: kinds of a class, or classes."""
    names = [inner for sub in doubted.values() for inner in sub.filled]
    if not story.ask:
        return _outer(subs)
    if folder_words.are_numbers(names) or all(folder_words.is_generic(name) for name in names):
        text = f"{some([n + '/' for n in subs])} are the classes; what lies in their folders "
        text += f"({some(names)}) is brought together."
        story.lines.append(text)
        return _outer(subs)
    lines = [story.by_folder(1), _by_outer(subs, story)]
    raise _two_levels(list(subs), names, story, lines)


def _two_levels(outer: list[str], inner: list[str], story: Story, lines: list[str]) -> DataError:
    return DataError(
        f"{story.shown} has folders in folders: the classes could be the outer or the inner ones.",
        f"the outer are {some(outer)}; the inner are {some(inner)}",
        f"for the inner: {lines[0]} – for the outer: {lines[1]}"
        if "parent.parent" not in lines[0]
        else f"for each inner folder of each outer one: {lines[0]} – for the inner names, brought "
        f"together: {lines[1]}",
    )


def _both_levels(story: Story) -> str:
    label = "path.parent.parent.name + '/' + path.parent.name"
    return f"kit.load({story.shown!r}, labels=lambda path: {label})"


def _versions(outers: dict[str, Tree], story: Story, why: str) -> DataError:
    """Ask which of several versions of one data set is meant; the ordinary one comes first."""
    names = sorted(outers, key=lambda name: (_is_tiff(outers[name]), folder_words.plainness(name)))
    lines = [f"kit.load({story.path(outers[name])!r})" for name in names]
    return DataError(
        f"{story.shown} holds {len(names)} data sets: {', '.join(name + '/' for name in names)}.",
        f"they hold folders of the same names ({some(list(outers[names[0]].filled))}), and {why}",
        f"load one of them: {' or '.join(lines)}",
    )


def _is_tiff(tree: Tree) -> bool:
    return tree.pictures[0].suffix.lower() in (".tif", ".tiff")


def _alike(one: Tree, other: Tree) -> bool:
    """Tell whether most pictures of two folders have the same names, below the folder."""
    first, second = _names(one), _names(other)
    small = min(len(first), len(second))
    return len(first & second) >= TWINS * small and not _only_numbered(one)


def _names(tree: Tree) -> set[str]:
    return {path.relative_to(tree.path).with_suffix("").as_posix() for path in tree.pictures}


def _only_numbered(tree: Tree) -> bool:
    """Tell whether names count from a small number on: they come alike in any folder."""
    stems = [path.stem for path in tree.pictures]
    return all(stem.isdecimal() and int(stem) <= 10 * len(stems) for stem in stems)


def _same_files(one: Tree, other: Tree) -> bool:
    """Tell whether two folders hold the same files: by name, and a few by what is in them."""
    first, second = (
        {path.relative_to(tree.path).as_posix(): path for path in tree.pictures}
        for tree in (one, other)
    )
    if first.keys() != second.keys():
        return False
    step = max(1, len(first) // COMPARED)
    return all(_same_file(first[name], second[name]) for name in sorted(first)[::step])


def _same_file(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:  # a link that leads nowhere
        return False


def _by_outer(subs: dict[str, Tree], story: Story) -> str:
    """Give the line that takes the outer folders as classes, however deep pictures lie in them."""
    depths = {len(p.relative_to(sub.path).parts) for sub in subs.values() for p in sub.pictures}
    if len(depths) == 1:
        return story.by_folder(depths.pop())
    level = len(next(iter(subs.values())).path.parts) - 1
    return f"kit.load({story.shown!r}, labels=lambda path: path.parts[{level}])"


def _without_unlabelled(labelled: Labelled, story: Story) -> Labelled:
    """Give pictures of folders as no_label no label, and say so."""
    out: Labelled = []
    for label, paths in labelled:
        if label and len(labelled) > 2 and folder_words.is_unlabelled(label):
            text = f"{label}/ ({len(paths):,} pictures) is read as pictures without a label. Is it "
            text += f"a class? {story.by_folder(1)}"
            story.label_notes.append(Note(text, "warn"))
            label = None
        out.append((label, paths))
    return out


def _without_copies(labelled: Labelled, story: Story) -> Labelled:
    """Bring `cat (1)` and `cat - Copy` to the class `cat` that lies beside, and say so."""
    names = [label for label, _ in labelled if label]
    out: dict[str | None, Sequence[Path]] = {}
    for label, paths in labelled:
        base = folder_words.copied(label) if label else None
        if base not in names:
            out[label] = joined([out.get(label, ()), paths])
            continue
        named = {path.name: path for path in out.get(base, ())}
        fresh = [p for p in paths if p.name not in named or not _same_file(p, named[p.name])]
        out[base] = joined([out.get(base, ()), fresh])
        text = f"{label}/ is taken as a copy of {base}/: {counted(len(fresh), 'picture')} added to "
        text += f"that class, and {len(paths) - len(fresh):,} left out that lie in both."
        story.label_notes.append(Note(text, "warn"))
    return list(out.items())


def _doubt(labelled: Labelled, story: Story) -> None:
    """Say which class names look like a slip, and which pictures like masks of others."""
    alike: dict[str, list[str]] = {}
    for label, _ in labelled:
        if label and len(label) > 1 and not label.isdecimal():
            alike.setdefault(folder_words.folded(label), []).append(label)
        if label and re.match(r"(new|untitled)[ _]?folder\b", label, re.IGNORECASE):
            text = f"{label}/ is read as a class: its name says nothing of its pictures."
            story.label_notes.append(Note(text, "warn"))
    for names in alike.values():
        if len({unicodedata.normalize("NFC", name) for name in names}) > 1:
            text = f"{' and '.join(map(repr, names))} are read as classes of their own, though they"
            text += " are written alike. Are they one? Give both folders one name."
            story.label_notes.append(Note(text, "warn"))
    labelled_files = joined([of_label for label, of_label in labelled if label])
    if len(labelled_files.endings()) < 2:
        return
    paths = list(labelled_files)
    stems = Counter(path.with_suffix("") for path in paths)
    twins = [path for path in paths if stems[path.with_suffix("")] > 1]
    kinds = Counter(path.suffix for path in twins)
    if len(twins) > SHARED * len(paths) and len(kinds) > 1:
        last = min(kinds, key=lambda kind: (kind.lower() in (".jpg", ".jpeg"), kinds[kind], kind))
        text = f"{twins[0].name} and {twins[1].name}: {len(twins):,} pictures have names that "
        text += (
            f"differ in the ending only. Are those on {last} masks, or the same again? kit.load("
        )
        text += f"{story.shown!r}, labels=lambda path: path.parent.name if path.suffix != {last!r} "
        story.label_notes.append(Note(text + "else None)", "warn"))
