"""A folder's tree, understood: which folders are splits, which are classes, what is left out.

flowers/                    one nested top folder is passed through
├── train/  rose/ *.jpg     any spelling with a split's word: Training, seg_train, train_images
├── valid/  rose/ *.jpg
└── test/   *.jpg           a test folder without classes is for predict only
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import replace
from pathlib import Path

from ...errors import DataError
from ...events import Note
from ..file_table import FileTable, joined
from . import words as folder_words
from .classes import Labelled, class_folders, name_at
from .companions import without_companions
from .comparing import merged, overlap
from .story import Story, no_pictures, say_hidden, say_packed
from .tree import TABLES, Listing, PictureFiles, Tree, counted, some, through_wrappers, tree_of
from .words import PIECES, PREDICT, SPLITS, TOLD, is_plain_split, split_word, told_apart

HANDFUL = 0.5  # a folder beside the splits with fewer pictures than this share of train's


def scan(folder: Path, shown: str = "", *, ask: bool = True, tree: Tree | None = None) -> Listing:
    """Find the pictures of a folder, their splits and classes.

    Parameters
    ----------
    folder : Path
    shown : how the user names it; lines in errors name it so
    ask : whether a doubt about classes is an error; False where labels come from elsewhere
    tree : what lies in the folder, where somebody has looked

    Raises
    ------
    DataError
        There are no pictures, two folders claim to be one split, or classes could be read in two
        ways.
    """
    whole = tree or tree_of(Path(os.path.abspath(folder)))
    story = Story(whole.path, shown or str(folder), ask)
    top = _below_wrappers(without_companions(whole, story.lines), story)
    trees = _splits(_with_inner_splits(top, story), story)
    if not trees["train"].pictures:
        raise no_pictures(folder, whole, trained=len(trees) > 1)
    return _listing(top.path, trees, whole, story)


def scan_split(folder: Path, shown: str = "", *, ask: bool = True) -> Listing:
    """Find the pictures of a folder that is one split: valid=, test=, or one of a dict."""
    whole = tree_of(Path(os.path.abspath(folder)))
    story = Story(whole.path, shown or str(folder), ask)
    tree = without_companions(whole, story.lines)
    if not tree.pictures:
        raise no_pictures(folder, whole, trained=False)
    tree = _below_wrappers(tree, story, through_splits=True)
    return _listing(tree.path, {"train": tree}, whole, story)


def _below_wrappers(tree: Tree, story: Story, *, through_splits: bool = False) -> Tree:
    """Pass through folders that hold one folder and no picture, as archives leave them."""
    while only := _only_folder(tree, story):
        inside = any(split_word(name) for name in only.filled)
        is_split = only.path.name.lower() in SPLITS and not inside
        if not only.filled or only.loose or is_split and not through_splits:
            return tree
        if beside := [path for path in tree.pictures if not path.is_relative_to(only.path)]:
            names = some([path.relative_to(story.root).as_posix() for path in beside])
            text = f"{counted(len(beside), 'picture')} left out beside {story.name(only)}/, which "
            text += f"holds the set ({names})."
            story.label_notes.append(Note(text, "warn"))
        tree = only
    return tree


def _only_folder(tree: Tree, story: Story) -> Tree | None:
    """Give the folder that holds all, or all but what a project has beside its data: docs/, a logo.

    Where labels come from elsewhere, they may be for the pictures beside it, too.
    """
    if len(tree.filled) == 1 and not tree.loose:
        return next(iter(tree.filled.values()))
    inside = map(through_wrappers, tree.filled.values())
    deep = [sub for sub in inside if len(sub.filled) > 1 and not sub.loose]
    if len(deep) != 1 or not story.ask or any(split_word(name) for name in tree.filled):
        return None
    few = len(tree.pictures) - len(deep[0].pictures) < HANDFUL * len(deep[0].pictures)
    splits = {split_word(name) for name in deep[0].filled} & {"train", "test"}
    top = deep[0].path.relative_to(tree.path).parts[0]
    named = folder_words.is_generic(top) or len(splits) > 1
    alone = len(tree.filled) == 1 and len(tree.loose) < len(deep[0].filled)
    beside = [name for name in tree.filled if name != top]
    unlabelled = beside and not tree.loose and all(map(folder_words.is_unlabelled, beside))
    return deep[0] if unlabelled or few and (named or alone) else None


def _with_inner_splits(top: Tree, story: Story) -> Tree:
    """Bring the splits of the one other folder beside test/ to it: set/set/train, test/."""
    beside = {name: str(split_word(name)) for name in top.filled if split_word(name)}
    others = [name for name in top.filled if name not in beside]
    if len(others) != 1 or not beside or "train" in beside.values():
        return top
    inner = top.filled[others[0]]
    while len(inner.filled) == 1 and not any(map(split_word, inner.filled)):
        inner = next(iter(inner.filled.values()))
    inside = {split_word(name) for name, sub in inner.filled.items() if sub.filled}
    if "train" not in inside:
        return top
    kept = {name: top.filled[name] for name, split in beside.items() if split not in inside}
    for name in beside.keys() - kept.keys():
        story.leave_out(top.filled[name], top, f"{story.name(inner)}/ holds that split")
    if kept:
        names = some([name + "/" for name in kept])
        story.lines.append(f"{names} and the splits in {story.name(inner)}/ are one set.")
    return replace(top, folders=inner.folders | kept)


def _splits(top: Tree, story: Story) -> dict[str, Tree]:
    """Give the tree of each split; what is none of them is said and left out."""
    if turned := _turned(top):
        story.lines.append(_said_of_turned(turned))
        return turned
    claims: dict[str, list[Tree]] = {}
    means = told_apart({name: split_word(name) for name in top.filled})
    for name, split in means.items():
        if split:
            claims.setdefault(split, []).append(top.filled[name])
    others = {name: sub for name, sub in top.filled.items() if not means[name]}
    if not _are_splits(claims, others):
        return {"train": top}
    if "train" not in claims and others:
        names = [sub.path.name for subs in claims.values() for sub in subs]
        claims["train"], others = [top.but(*names)], {}
    claims.setdefault("train", [Tree(top.path, top.loose, top.beside, {})])
    for name, sub in top.folders.items():
        if name not in top.filled and is_plain_split(name):
            story.notes.append(Note(f"{top.path}: no pictures in {sub.path.name}.", "warn"))
    trees = {split: _one(split, claims, top, story) for split in claims}
    if PREDICT in trees:
        tree = trees.pop(PREDICT)
        if "test" in trees:
            story.leave_out(tree, top, "its pictures have no classes: they are for predict")
        else:
            trees["test"] = tree
    for split, tree in trees.items():
        if tree.path != top.path and tree.path.name.lower() not in SPLITS:
            story.lines.append(f"{story.name(tree)}/ is the {split} split.")
    if top.loose and not any(tree.loose == top.loose for tree in trees.values()):
        text = f"{top.path}: {counted(len(top.loose), 'picture')} left out beside the splits"
        story.notes.append(Note(f"{text} ({some([path.name for path in top.loose])}).", "warn"))
    for name, sub in others.items():
        if not _is_doubted(name, sub, trees, top):
            _leave_beside(name, sub, trees, top, story)
        elif story.ask:
            raise _class_beside(name, sub, trees, top, story)
        else:
            beside = Tree(top.path, joined([]), [], {name: sub})
            trees["train"] = merged([trees["train"], beside], top.path)
            story.lines.append(f"{story.name(sub)}/ is brought to train.")
    return trees


def _are_splits(claims: dict[str, list[Tree]], others: dict[str, Tree]) -> bool:
    """Tell whether folders with a split's word are splits, and not classes of that name."""
    subs = [sub for each in claims.values() for sub in each]
    common = folder_words.common_words(sub.path.name for sub in subs)
    plain = {split for split, each in claims.items() if _any_plain(each, common)}
    if not others and "train" not in claims:
        return len(claims) > 1 or len(subs) == 1  # test_positive and test_negative are classes
    if "train" in claims:
        if any(_holds_classes(sub) for sub in claims["train"]):
            return "train" in plain or len(claims) > 1 or not others
        return bool(plain) and (not others or len(claims) > 1 and "train" in plain)
    inner = {name for sub in others.values() for name in sub.filled} | set(others)
    if any(_holds_classes(sub) and set(sub.filled) & inner for sub in subs):
        return True
    if len(others) == 1 and all(len(sub.filled) > 1 for sub in others.values()):
        return bool(plain)
    # test/ without classes beside class folders; control/ and test/ are two classes
    several = len(others) > 1 or any(len(sub.filled) > 1 for sub in others.values())
    return several and bool(plain & {"test", PREDICT})


def _any_plain(subs: list[Tree], common: set[str]) -> bool:
    return any(is_plain_split(sub.path.name, common) for sub in subs)


def _holds_classes(tree: Tree) -> bool:
    """Tell whether folders with pictures lie in it."""
    return bool(tree.filled)


def _turned(top: Tree) -> dict[str, Tree]:
    """Give the splits of a folder whose class folders hold them (cat/train/), or whose folders are
    called by both (train_cat); {} for any other.
    """
    found, bare = list[tuple[str, str, Tree]](), dict[str, Tree]()
    for name, sub in top.filled.items():
        both = folder_words.parted(name)
        paired = both and any(folder_words.parted(n) == ("train", both[1]) for n in top.filled)
        plain = is_plain_split(name) and split_word(name) in ("valid", "test")
        if not sub.filled and plain and not paired:
            bare[str(split_word(name))] = sub
            continue
        inner = [(split_word(below) or "", name, each) for below, each in sub.filled.items()]
        if not inner and both:
            inner = [(*both, sub)]
        if not inner or sub.loose and sub.filled or any(each.filled for *_, each in inner):
            return {}
        found += inner
    splits = {split for split, *_ in found} | set(bare)
    trained = {label for split, label, _ in found if split == "train"}
    distinct = len({(split, label) for split, label, _ in found}) == len(found)
    if top.loose or not distinct or not {"train"} < splits <= {"train", "valid", "test"}:
        return {}
    if len(trained) < 2 or any(split_word(label) for label in trained):
        return {}
    if not all(label in trained for _, label, _ in found):
        return {}
    if any(split in bare for split, *_ in found):
        return {}
    turned = dict[str, dict[str, Tree]]()
    for split, label, each in found:
        turned.setdefault(split, {})[label] = each
    empty = FileTable.of(())
    return bare | {split: Tree(top.path, empty, [], trees) for split, trees in turned.items()}


def _said_of_turned(trees: dict[str, Tree]) -> str:
    shown = {split: tree.pictures[0].parent for split, tree in trees.items()}
    root = trees["train"].path
    names = [f"{path.relative_to(root).as_posix()}/ is {split}" for split, path in shown.items()]
    return f"Each class has a folder for each split: {', '.join(names)} …"


def _one(split: str, claims: dict[str, list[Tree]], top: Tree, story: Story) -> Tree:
    """Choose the folder of a split: that with classes, where the others have none."""
    subs = claims[split]
    with_classes = [sub for sub in subs if _holds_classes(sub)]
    whole = [sub for sub in with_classes if PIECES.isdisjoint(folder_words.words(sub.path.name))]
    chosen = with_classes if len(with_classes) == 1 else whole
    if len(subs) > 1 and len(chosen) == 1:
        for sub in subs:
            if sub is not chosen[0]:
                story.leave_out(sub, top, f"{chosen[0].path.name}/ is the {split} split")
        return chosen[0]
    if len(subs) > 1 and (one := _together(subs, split, top, story)):
        return one
    if len(subs) > 1:
        first, second = (sub.path.name for sub in subs[:2])
        usual = {name: of[0] for name, of in claims.items() if name != PREDICT}
        lines = [_line_of_splits(usual | {split: sub}, story) for sub in subs]
        if split == PREDICT or usual["train"].path == top.path:  # no folder is train alone
            lines = []
        elif len(with_classes) == len(subs) and not _overlapping(subs):
            classes = [kind for sub in subs for kind in through_wrappers(sub).filled.values()]
            both = f"{story.labels(name_at(classes), top)} takes all of them"
            lines.insert(0 if split == "train" else len(lines), both)
        fix = "rename one of them, or move it away"
        raise DataError(
            f"{story.shown} holds both {first}/ and {second}/.",
            f"both names mean the {split} split",
            f"rename one of them, or name the one that is meant: {' or '.join(lines)}"
            if lines
            else fix,
        )
    return subs[0]


def _together(subs: list[Tree], split: str, top: Tree, story: Story) -> Tree | None:
    """Bring folders of one split together that have no picture in common: train_1, train_2.

    None where their names do not only count, unless labels come from elsewhere.
    """
    names = [sub.path.name for sub in subs]
    if story.ask and not folder_words.are_shards(names) or _overlapping(subs):
        return None
    text = f"{some([name + '/' for name in names])} are the {split} split together: no picture "
    story.lines.append(text + "lies in two of them.")
    return merged(list(map(through_wrappers, subs)), top.path)


def _overlapping(subs: list[Tree]) -> bool:
    inner = list(map(through_wrappers, subs))
    return any(overlap(one, other) for n, one in enumerate(inner) for other in inner[:n])


def _line_of_splits(trees: dict[str, Tree], story: Story) -> str:
    names = [split for split in TOLD if split in trees]
    return f"kit.load({{{', '.join(f'{s!r}: {story.path(trees[s])!r}' for s in names)}}})"


def _leave_beside(name: str, sub: Tree, trees: dict[str, Tree], top: Tree, story: Story) -> None:
    """Say why a folder beside the splits is left out."""
    again = {split_word(inner) for inner in sub.filled} - {None}
    if again:
        story.leave_out(sub, top, "it holds the splits once more")
    elif folder_words.is_unlabelled(name):
        story.leave_out(sub, top, "its pictures have no label")
    elif not sub.filled and _are_few(sub, trees["train"]):
        story.leave_out(sub, top, "no split has that name, and its pictures have no classes")
    else:
        text = f"{name}/ beside {trees['train'].path.name}/ was left out: no split has that name."
        story.notes.append(Note(f"{top.path}: {text}", "warn"))


def _is_doubted(name: str, sub: Tree, trees: dict[str, Tree], top: Tree) -> bool:
    """Tell whether a folder beside the splits may be a class of train: of no folders, not few."""
    classes = through_wrappers(trees["train"]).filled
    if sub.filled or not classes or name in classes or trees["train"].path == top.path:
        return False
    if _are_few(sub, trees["train"]):
        return False
    return not (folder_words.is_generic(name) or folder_words.is_unlabelled(name))


def _class_beside(
    name: str, sub: Tree, trees: dict[str, Tree], top: Tree, story: Story
) -> DataError:
    classes = [*through_wrappers(trees["train"]).filled.values(), sub]
    without, line = _line_of_splits(trees, story), story.labels(name_at(classes), top)
    return DataError(
        f"{story.path(top)} holds {name}/ beside its splits.",
        "no split has that name: it could be a class of train, or something else",
        f"without it: {without} – as a class: {line}",
    )


def _are_few(tree: Tree, train: Tree) -> bool:
    """Tell whether pictures are too few for a class beside those of train, or for a split."""
    fewest = min((len(sub.pictures) for sub in train.filled.values()), default=len(train.pictures))
    generic = folder_words.is_generic(tree.path.name)
    most = len(train.pictures) if generic else fewest
    return len(tree.pictures) < HANDFUL * most


def _listing(root: Path, trees: dict[str, Tree], whole: Tree, story: Story) -> Listing:
    """List each split's pictures with their class folders; without these, none has a label."""
    splits: dict[str, PictureFiles] = {}
    classes: set[str] = set()
    inner = {
        split: _below_wrappers(trees[split], story, through_splits=True)
        for split in TOLD
        if split in trees
    }
    story.later = [tree for split, tree in inner.items() if split != "train"]
    for split, tree in inner.items():
        labelled = class_folders(tree, story, split, classes)
        labelled = _called_as_in_train(labelled, classes, split, story)
        names = [folder_words.readable(label) if label else None for label, _ in labelled]
        if split == "train":
            classes = {
                name for name, (_, paths) in zip(names, labelled, strict=True) if name and paths
            }
        many = [len(paths) for _, paths in labelled]
        labels = [name for name, n in zip(names, many, strict=True) for _ in range(n)]
        splits[split] = PictureFiles(joined([paths for _, paths in labelled]), labels)
    story.notes += map(say_hidden, whole.hidden)
    tables = tuple(path for path in whole.others if path.suffix.lower() in TABLES)
    say_packed(whole, splits, story)
    notes, lines, others = tuple(story.notes), tuple(story.lines), tuple(whole.others)
    return Listing(root, splits, notes, tuple(story.label_notes), tables, lines, others)


def _called_as_in_train(
    labelled: Labelled, classes: set[str], split: str, story: Story
) -> Labelled:
    """Give a class that train writes in another case, or with other blanks, its name in train."""
    own = {unicodedata.normalize("NFC", label) for label, _ in labelled if label}
    by_fold: dict[str, list[str]] = {}
    for name in classes:
        by_fold.setdefault(folder_words.folded(name), []).append(name)
    names = dict[str, str]()
    for label in own - classes:
        near = by_fold.get(folder_words.folded(label), [])
        if len(near) == 1 and near[0] not in own:
            names[label] = near[0]
    if names:
        said = some([f"{label!r} is {name!r}" for label, name in sorted(names.items())])
        text = f"Classes of {split} are written as in train: {said}."
        story.label_notes.append(Note(text, "warn"))
    return [
        (names.get(unicodedata.normalize("NFC", label), label) if label else label, paths)
        for label, paths in labelled
    ]
