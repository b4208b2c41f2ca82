"""The folders of one split, understood as classes: at which level they lie, which is doubted."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from ...errors import DataError
from ...events import Note
from ..file_table import joined
from . import words as folder_words
from .comparing import alike, same_file, same_files, same_names
from .story import Story
from .tree import TABLES, Tree, counted, some, through_wrappers

SHARED = 0.6  # of the folders inside, so many have a name that comes again beside them

Labelled = list[tuple[str | None, Sequence[Path]]]


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
    if len(subs) > 1 and all(map(folder_words.says_whether_labelled, subs)):
        return [(None, tree.pictures)]
    if folder_words.are_storage(subs):
        story.lines.append(f"{some([n + '/' for n in subs])}: parts of one set, not classes.")
        return [(None, tree.pictures)]
    if _sort_by_name(tree):
        text = "their names are how those of the pictures begin"
        story.lines.append(f"{some([n + '/' for n in subs])} are no classes: {text}.")
        return [(None, tree.pictures)]
    out = _by_class(tree, subs, story, classes)
    out = _without_doubles(_without_copies(_without_unlabelled(out, story), story), story)
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
    return folder_words.is_generic(name) or folder_words.split_word(name) is not None


def _sort_by_name(tree: Tree) -> bool:
    """Tell whether folders in folders only part a big set: 0/a/7/0a7f3.jpg."""
    for path in tree.pictures:
        parts = path.relative_to(tree.path).parts[:-1]
        begin = "".join(parts).lower()
        if len(parts) < 2 or max(map(len, parts)) > 2 or not path.name.lower().startswith(begin):
            return False
    return True


def _by_class(tree: Tree, subs: dict[str, Tree], story: Story, classes: set[str]) -> Labelled:
    """Find the level at which the classes lie."""
    inside = {name: through_wrappers(sub) for name, sub in subs.items()}
    below = [inner for sub in subs.values() for inner in sub.filled]
    if below and all(_sorts(name, sub) for name, sub in subs.items()):
        story.lines.append(f"The folders {some(list(subs))} sort the classes inside by letter.")
        return _innermost(subs)
    doubted = {name: sub for name, sub in inside.items() if len(sub.filled) > 1 and not sub.loose}
    counts = Counter(inner for sub in doubted.values() for inner in sub.filled)
    again = {inner for inner, n in counts.items() if n > 1}
    for name, sub in inside.items():  # a person with pictures of one gesture only
        if doubted and len(sub.filled) == 1 and not sub.loose:
            if set(sub.filled) <= again or not all(map(folder_words.is_generic, sub.filled)):
                doubted[name] = sub
    if holders := [name for name, sub in doubted.items() if _holds_splits(sub)]:
        if len(holders) < len(subs):
            raise _versions(doubted, story, f"{holders[0]}/ holds splits of its own", holders)
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
    if _are_told_by_splits(doubted, counts, story):
        return _gathered(subs, list(counts), story)
    total = sum(len(sub.filled) for sub in doubted.values())
    shared = sum(len(set(sub.filled) & again) for sub in doubted.values())
    if len(doubted) > 1 and shared >= SHARED * total:
        return _shared(doubted, subs, story)
    return _nested(tree, subs, doubted, story)


def _holds_splits(tree: Tree) -> bool:
    return any(
        folder_words.split_word(n) == "train" and sub.filled for n, sub in tree.filled.items()
    )


def _are_told_by_splits(outers: Collection[str], inner: Collection[str], story: Story) -> bool:
    """Tell whether test has the outer folders of train, and in them others: videos, no classes."""
    for tree in story.later:
        below = {name for sub in tree.filled.values() for name in through_wrappers(sub).filled}
        if below and below.isdisjoint(inner) and tree.filled.keys() <= set(outers):
            return True
    return False


def _sorts(name: str, tree: Tree) -> bool:
    """Tell whether a folder is a letter, and all that lies in it begins so: b/barn, b/beach."""
    begin = [inner.casefold().startswith(name.casefold()) for inner in tree.filled]
    return len(name) == 1 and name.isalpha() and not tree.loose and all(begin)


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
                same_files(inner, flat[n]) or alike(inner, flat[n])
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
    if all(same_files(trees[0], other) for other in trees[1:]):
        for name, other in list(outers.items())[1:]:
            text = f"{name}/ ({len(other.pictures):,} pictures) is left out: it holds the same "
            story.lines.append(text + f"files as {trees[0].path.name}/.")
        return _outer(trees[0].filled)
    if all(alike(trees[0], other) for other in trees[1:]):
        low, high = name_at(list(trees[0].filled.values())), name_at(list(subs.values()))
        more = f"; or, if both are one set: {story.labels(low)} for the inner folders as classes, "
        more += f"{story.labels(high)} for the outer"
        raise _versions(outers, story, "their pictures have the same names", more=more)
    if folder_words.are_versions(outers):
        raise _versions(outers, story, "by their own names they are forms of one set")
    inner = {
        name: joined([tree.filled[name].pictures for tree in trees if name in tree.filled])
        for name in dict.fromkeys(name for tree in trees for name in tree.filled)
    }
    names, outer_names = list(inner), list(outers)
    count = folder_words.only_count({folder_words.copied(name) or name for name in outers})
    if not count and folder_words.are_sittings(names):
        return _gathered(subs, names, story)
    numbered = folder_words.are_numbers(names) and not all(map(str.isdecimal, names))
    few = len(names) <= 2 * len(outers)
    if story.ask and (numbered or not count and (few or same_names(*trees[:2]))):
        raise _two_levels(subs, outers, story, numbered=numbered)
    text = f"{some([n + '/' for n in outer_names])} hold folders of the same names: the "
    text += f"{len(inner)} classes are those inside ({some(names)}), brought together. Is each "
    text += f"outer folder a class? {story.labels(name_at(list(subs.values())))}"
    story.label_notes.append(Note(text, "warn"))
    return list(inner.items())


def _nested(tree: Tree, subs: dict[str, Tree], doubted: dict[str, Tree], story: Story) -> Labelled:
    """Read folders in folders, each with names of its own: kinds of a class, or classes."""
    names = [inner for sub in doubted.values() for inner in sub.filled]
    if not story.ask:
        return _outer(subs)
    # archery/v_archery_g01: numbered, but for the class
    bare = [inner.replace(name, "") for name, sub in doubted.items() for inner in sub.filled]
    if folder_words.are_numbers(bare) or all(map(folder_words.is_generic, names)):
        return _gathered(subs, names, story)
    raise _two_levels(subs, doubted, story)


def _gathered(subs: dict[str, Tree], names: list[str], story: Story) -> Labelled:
    """Take the outer folders as classes, and say so."""
    text = f"{some([n + '/' for n in subs])} are the classes; what lies in their folders "
    story.lines.append(f"{text}({some(names)}) is brought together.")
    return _outer(subs)


def _two_levels(
    subs: dict[str, Tree], outers: dict[str, Tree], story: Story, *, numbered: bool = False
) -> DataError:
    """Ask whether the outer or the inner folders are the classes, with a line for each.

    Parameters
    ----------
    subs : the outer folders
    outers : those of them that hold folders, wrappers passed through
    numbered : whether the inner ones are character01, character02: of each outer one others
    """
    inner = [sub for tree in outers.values() for sub in tree.filled.values()]
    names = list(dict.fromkeys(sub.path.name for sub in inner))
    low, high = name_at(inner), name_at([subs[name] for name in outers])
    ways = [f"for the inner: {story.labels(low)}", f"for the outer: {story.labels(high)}"]
    if len(names) < len(inner):
        both = story.labels(f"{high} + '/' + {low}")
        ways.insert(0 if numbered else 2, f"for each inner folder of each outer one: {both}")
    return DataError(
        f"{story.shown} has folders in folders: the classes could be the outer or the inner ones.",
        f"the outer are {some(list(outers))}; the inner are {some(names)}",
        " – ".join(ways),
    )


def _versions(
    outers: dict[str, Tree], story: Story, why: str, first: Collection[str] = (), more: str = ""
) -> DataError:
    """Ask which of several versions of one data set is meant.

    Those of `first` come first, then the ordinary one; `more` ends the fix.
    """
    names = sorted(
        outers,
        key=lambda n: (n not in first, _is_tiff(outers[n]), folder_words.plainness(n)),
    )
    lines = [f"kit.load({story.path(outers[name])!r})" for name in names]
    held = f"folders of the same names ({some(list(outers[names[0]].filled))})"
    if first:
        held = some(list(dict.fromkeys(inner for name in names for inner in outers[name].filled)))
    what = f"{len(names)} data sets: {', '.join(name + '/' for name in names)}"
    if len(names) == 1:
        what = f"a data set, {names[0]}/, beside other pictures"
    return DataError(
        f"{story.shown} holds {what}.",
        f"they hold {held}, and {why}",
        f"load one of them: {' or '.join(lines)}{more}",
    )


def _is_tiff(tree: Tree) -> bool:
    return tree.pictures[0].suffix.lower() in (".tif", ".tiff")


def name_at(trees: Sequence[Tree]) -> str:
    """Give the name of these folders as an expression of `path`, however deep pictures lie."""
    depths = {len(p.relative_to(tree.path).parts) for tree in trees for p in tree.pictures}
    if depths == {1}:
        return "path.parent.name"
    level = -depths.pop() - 1 if len(depths) == 1 else len(trees[0].path.parts) - 1
    return f"path.parts[{level}]"


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
        own = out.get(base, ())
        named = {path.name: path for path in own}
        fresh = [p for p in paths if p.name not in named or not same_file(p, named[p.name])]
        out[base] = joined([own, fresh])
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


def _without_doubles(labelled: Labelled, story: Story) -> Labelled:
    """Leave out files of one kind, where most pictures lie there as a.jpg and as a.png, and say so.

    They are masks, or the same again. Where names only count, they may be other pictures.
    """
    labelled_files = joined([of_label for label, of_label in labelled if label])
    if len(labelled_files.endings()) < 2:
        return labelled
    paths = list(labelled_files)
    stems = Counter(path.with_suffix("") for path in paths)
    twins = [path for path in paths if stems[path.with_suffix("")] > 1]
    kinds = Counter(path.suffix for path in twins)
    if len(twins) <= SHARED * len(paths) or len(kinds) < 2:
        return labelled
    last = min(kinds, key=lambda kind: (kind.lower() in (".jpg", ".jpeg"), kinds[kind], kind))
    text = f"{twins[0].name} and {twins[1].name}: {len(twins):,} pictures have names that differ in"
    text += f" the ending only, so those on {last} are masks, or the same again"
    if all(path.stem.isdecimal() for path in twins):
        text += ", or other pictures: none was left out. To leave them out: "
        text += story.labels(f"path.parent.name if path.suffix != {last!r} else None")
    else:
        doubled = {path for path in twins if path.suffix == last}
        labelled = [(label, [p for p in of if p not in doubled]) for label, of in labelled]
        text += f": {counted(len(doubled), 'picture')} left out. To take all: {story.by_folder(1)}"
    story.label_notes.append(Note(text, "warn"))
    return labelled
