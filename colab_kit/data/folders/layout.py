"""A folder's tree, understood: which folders are splits, which are classes, what is left out.

    flowers/                    one nested top folder is passed through
    ├── train/  rose/ *.jpg     any spelling with a split's word: Training, seg_train, train_images
    ├── valid/  rose/ *.jpg
    └── test/   *.jpg           a test folder without classes is for predict only

Where two readings are about as likely, the error shows a line for each.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from ...errors import DataError
from ...events import Note
from ..file_table import FileTable, joined
from . import words as folder_words
from .classes import Labelled, Story, class_folders
from .companions import without_companions
from .tree import ARCHIVES, TABLES, Listing, PictureFiles, Tree, counted, some, tree_of
from .words import PREDICT, SPLITS, is_plain_split, split_word

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
    trees = _splits(top, story)
    if not trees["train"].pictures:
        raise _no_pictures(folder, whole, trained=len(trees) > 1)
    return _listing(top.path, trees, whole, story)


def scan_split(folder: Path, shown: str = "", *, ask: bool = True) -> Listing:
    """Find the pictures of a folder that is one split: valid=, test=, or one of a dict."""
    whole = tree_of(Path(os.path.abspath(folder)))
    story = Story(whole.path, shown or str(folder), ask)
    tree = without_companions(whole, story.lines)
    if not tree.pictures:
        raise _no_pictures(folder, whole, trained=False)
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
            text = f"{counted(len(beside), 'picture')} left out beside {story.name(only)}/, which "
            text += f"holds the set ({some([path.name for path in beside])})."
            story.label_notes.append(Note(text, "warn"))
        tree = only
    return tree


def _only_folder(tree: Tree, story: Story) -> Tree | None:
    """Give the folder that holds all, or all but what a project has beside its data: docs/, a logo.

    Where labels come from elsewhere, they may be for the pictures beside it, too.
    """
    if len(tree.filled) == 1 and not tree.loose:
        return next(iter(tree.filled.values()))
    deep = [sub for sub in tree.filled.values() if len(sub.filled) > 1 and not sub.loose]
    if len(deep) != 1 or not story.ask or any(split_word(name) for name in tree.filled):
        return None
    few = len(tree.pictures) - len(deep[0].pictures) < HANDFUL * len(deep[0].pictures)
    splits = {split_word(name) for name in deep[0].filled} & {"train", "test"}
    named = folder_words.is_generic(deep[0].path.name) or len(splits) > 1
    alone = len(tree.filled) == 1 and len(tree.loose) < len(deep[0].filled)
    return deep[0] if few and (named or alone) else None


def _splits(top: Tree, story: Story) -> dict[str, Tree]:
    """Give the tree of each split; what is none of them is said and left out."""
    if turned := _turned(top):
        story.lines.append(_said_of_turned(turned))
        return turned
    claims: dict[str, list[Tree]] = {}
    for name, sub in top.filled.items():
        if split := split_word(name):
            claims.setdefault(split, []).append(sub)
    others = {name: sub for name, sub in top.filled.items() if not split_word(name)}
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
        _leave_beside(name, sub, trees, top, story)
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
        if not sub.filled and is_plain_split(name) and split_word(name) in ("valid", "test"):
            bare[str(split_word(name))] = sub
            continue
        inner = [(split_word(below) or "", name, each) for below, each in sub.filled.items()]
        if not inner and (both := folder_words.parted(name)):
            inner = [(*both, sub)]
        if not inner or sub.loose and sub.filled or any(each.filled for *_, each in inner):
            return {}
        found += inner
    splits = {split for split, *_ in found} | set(bare)
    trained = {label for split, label, _ in found if split == "train"}
    told_apart = len({(split, label) for split, label, _ in found}) == len(found)
    if top.loose or not told_apart or not {"train"} < splits <= {"train", "valid", "test"}:
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
    if len(subs) > 1 and len(with_classes) == 1:
        for sub in subs:
            if sub is not with_classes[0]:
                story.leave_out(sub, top, f"{with_classes[0].path.name}/ is the {split} split")
        return with_classes[0]
    if len(subs) > 1:
        first, second = (sub.path.name for sub in subs[:2])
        usual = {name: of[0] for name, of in claims.items() if name != PREDICT}
        lines = [_line_of_splits(usual | {split: sub}, story) for sub in subs]
        if split == PREDICT or usual["train"].path == top.path:  # no folder is train alone
            lines = []
        fix = "rename one of them, or move it away"
        raise DataError(
            f"{story.shown} holds both {first}/ and {second}/.",
            f"both names mean the {split} split",
            f"rename one of them, or name the one that is meant: {' or '.join(lines)}"
            if lines
            else fix,
        )
    return subs[0]


def _line_of_splits(trees: dict[str, Tree], story: Story) -> str:
    names = [split for split in ("train", "valid", "test") if split in trees]
    return f"kit.load({{{', '.join(f'{s!r}: {story.path(trees[s])!r}' for s in names)}}})"


def _leave_beside(name: str, sub: Tree, trees: dict[str, Tree], top: Tree, story: Story) -> None:
    """Say why a folder beside the splits is left out."""
    again = {split_word(inner) for inner in sub.filled} - {None}
    if again:
        story.leave_out(sub, top, "it holds the splits once more")
    elif folder_words.is_unlabelled(name):
        story.leave_out(sub, top, "its pictures have no label")
    elif not sub.filled and len(sub.pictures) < HANDFUL * len(trees["train"].pictures):
        story.leave_out(sub, top, "no split has that name, and its pictures have no classes")
    else:
        text = f"{name} beside {trees['train'].path.name}/ was left out: no split has that name."
        story.notes.append(Note(f"{top.path}: {text}", "warn"))


def _listing(root: Path, trees: dict[str, Tree], whole: Tree, story: Story) -> Listing:
    """List each split's pictures with their class folders; without these, none has a label."""
    splits: dict[str, PictureFiles] = {}
    classes: set[str] = set()
    for split in ("train", "valid", "test"):
        if split not in trees:
            continue
        tree = _below_wrappers(trees[split], story, through_splits=True)
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
    tables = tuple(path for path in whole.others if path.suffix.lower() in TABLES)
    _say_packed(whole, splits, story)
    notes, lines, others = tuple(story.notes), tuple(story.lines), tuple(whole.others)
    return Listing(root, splits, notes, tuple(story.label_notes), tables, lines, others)


def _say_packed(whole: Tree, splits: dict[str, PictureFiles], story: Story) -> None:
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


def _no_pictures(folder: Path, tree: Tree, *, trained: bool) -> DataError:
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
