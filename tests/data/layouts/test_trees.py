"""Random trees of splits, classes, wrappers, junk and masks: each is read right, or its error's own
fix leads there.

A tree is a function of its number, so one that failed is run again by it:
`COLAB_KIT_LONG=1 pytest "tests/data/layouts/test_trees.py::test_a_tree_is_read_right[1234]"`.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from tests.support.layouts import (
    DRAWN,
    MASK,
    Bare,
    Layout,
    Want,
    judge,
    junk,
    lines,
    packed,
    picture,
)

N = 2000 if os.environ.get("COLAB_KIT_LONG") else 40
MOST = 48  # pictures of a class in the pool: no tree takes more, so none is in a tree twice

CLASSES = (
    ("bird", "cat", "dog", "fish"),
    ("Cat", "Dog"),
    ("0", "1", "2", "3"),
    ("n01440764", "n01443537", "n02102040"),
    ("Äpfel", "Birnen", "猫"),
    ("Black-grass", "Common Chickweed", "Small-flowered Cranesbill"),
    ("Apple___Apple_scab", "Pepper,_bell___healthy", "Corn_(maize)___rust_"),
    ("001.Albatross", "002.Auklet", "010.Bunting"),
    ("with_mask", "without_mask"),
    ("no", "yes"),
    ("normal", "pneumonia", "other findings"),
    ("A", "B", "del", "space"),
)
WORDS = (
    *[("train", "val", "test")] * 3,
    ("train", "valid", "test"),
    ("Train", "Val", "Test"),
    ("TRAIN", "VALID", "TEST"),
    ("training", "validation", "testing"),
    ("Training", "Validation", "Testing"),
    ("training_set", "validation_set", "test_set"),
    ("train_set", "val_set", "test_set"),
    ("TrainSet", "ValSet", "TestSet"),
    ("seg_train", "seg_val", "seg_test"),
    ("train_images", "val_images", "test_images"),
    ("Train Images", "Validation Images", "Test Images"),
    ("train-images", "valid-images", "test-images"),
    ("images_train", "images_val", "images_test"),
    ("Final_Training", "Final_Validation", "Final_Test"),
    ("train_data", "val_data", "test_data"),
    ("pets_train", "pets_valid", "pets_test"),
    ("train2017", "val2017", "test2017"),
)
WRAPPERS = (
    "data",
    "dataset",
    "archive",
    "pets-master",
    "Pets Dataset",
    "images",
    "pets",
    "content",
)
NAMES = (
    "{i}",
    "{kind}_{i}",
    "{kind} ({i})",
    "IMG_{i:04d}",
    "{kind}.{split}.{i}",
    "0a{i:02d}f-{n}c",
)
MASKS = ("folder", "sibling", "ending", "defect")


# --- the tree ---


@dataclass(frozen=True)
class Tree:
    """What number draws: everything that the tree is made of."""

    number: int
    classes: tuple[str, ...]
    splits: dict[str, str]  # split: its folder's name; none: one level of classes
    counts: dict[str, tuple[int, ...]]  # split: pictures of each class
    bare: int  # pictures of a test split without class folders; 0: it has them
    wrappers: tuple[str, ...]
    doubled: bool  # train/train/
    inner: str  # a folder inside each split or above the classes: "images"
    name: str
    ending: str
    masks: str  # "": none
    junk: tuple[str, ...]
    twin: bool  # all of it once more, inside itself
    packed: str  # "": a folder

    @classmethod
    def of(cls, number: int) -> "Tree":
        draw = Random(number)
        of = draw.choice(CLASSES)
        classes = tuple(sorted(draw.sample(of, draw.randint(2, len(of)))))
        words = dict(zip(("train", "valid", "test"), draw.choice(WORDS), strict=True))
        kept = draw.choice(((), *[("train", "test")] * 2, ("train", "valid"), tuple(words)))
        splits = {split: words[split] for split in kept}
        counts = {
            split: tuple(
                draw.randint(2, 5) if split == "train" else draw.randint(1, 2) for _ in classes
            )
            for split in kept or ("train",)
        }
        masked = draw.random() < 0.25 and "with_mask" not in classes
        inner = draw.choice(("", "", "", "images", "Images"))
        return cls(
            number=number,
            classes=classes,
            splits=splits,
            counts=counts,
            bare=draw.randint(2, 4) if "test" in splits and draw.random() < 0.2 else 0,
            wrappers=tuple(draw.sample(WRAPPERS, draw.choice((0, 0, 1, 1, 2)))),
            doubled=bool(splits) and draw.random() < 0.15,
            inner=inner if splits else "",
            name=draw.choice(NAMES),
            ending=draw.choice((".png", ".png", ".PNG", ".jpg", ".JPEG")),
            masks=draw.choice(MASKS) if masked else "",
            junk=tuple(draw.sample(sorted(JUNK), draw.choice((0, 0, 1, 2, 3)))),
            twin=draw.random() < 0.05,
            packed=draw.choice(("", "", "", "", "zip", "gztar")),
        )

    @property
    def want(self) -> Want:
        test = Bare(self.bare) if self.bare else self.counts.get("test")
        return Want(self.classes, self.counts["train"], self.counts.get("valid", DRAWN), test)

    @property
    def file(self) -> str:
        return "pets" + {"": "", "zip": ".zip", "gztar": ".tar.gz"}[self.packed]


def _checkpoint(folder: Path, pool: "Pool") -> None:
    pool.put(MASK, folder / ".ipynb_checkpoints" / "0-checkpoint.png")


JUNK = {  # name: what it puts into a folder
    "finder": lambda folder, pool: junk(folder / ".DS_Store", folder / "._0.png"),
    "windows": lambda folder, pool: junk(folder / "Thumbs.db", folder / "desktop.ini"),
    "notebook": _checkpoint,
    "readme": lambda folder, pool: lines(folder / "README.md", "# pets"),
    "table": lambda folder, pool: lines(folder / "info.csv", "author,year", "someone,2020"),
    "macosx": lambda folder, pool: junk(folder / "__MACOSX" / "cat" / "._0.png"),
    "empty": lambda folder, pool: (folder / "empty").mkdir(),
    "git": lambda folder, pool: junk(folder / ".git" / "HEAD", folder / ".gitattributes"),
    "weights": lambda folder, pool: junk(folder / "model.h5", folder / "train.cache"),
}
AT_TOP = {"readme", "table", "macosx", "git", "empty"}  # the others lie anywhere


@dataclass
class Pool:
    """Pictures made once; a tree takes them as hard links, each at most once."""

    folder: Path
    taken: dict[int, int] = field(default_factory=dict)

    def made(self) -> "Pool":
        for n in (*range(4), MASK):
            for i in range(MOST):
                picture(self.folder / f"{n}-{i}.png", n)
                picture(self.folder / f"{n}-{i}.jpg", n)
        return self

    def put(self, n: int, path: Path) -> None:
        at = self.taken[n] = self.taken.get(n, -1) + 1
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = "jpg" if path.suffix.lower() in (".jpg", ".jpeg") else "png"
        os.link(self.folder / f"{n}-{at % MOST}.{kind}", path)


def plant(tree: Tree, pool: Pool, here: Path) -> None:
    """Write the tree into here/pets, packed or not."""
    pool.taken.clear()
    root = here / "pets"
    top = root.joinpath(*tree.wrappers)
    for split, counts in tree.counts.items():
        word = tree.splits.get(split, "")
        base = top / word / (word if tree.doubled else "")
        if split == "test" and tree.bare:
            for i in range(tree.bare):
                pool.put(0, base / tree.inner / f"{i + 1}{tree.ending}")
            continue
        for n, (kind, many) in enumerate(zip(tree.classes, counts, strict=True)):
            for i in range(many):
                name = tree.name.format(i=i, kind=kind, split=split, n=n)
                put(tree, pool, base, kind, name, n)
    scatter(tree, pool, top)
    if tree.twin:
        shutil.copytree(top, here / "twin", copy_function=os.link)
        shutil.move(here / "twin", top / (top.name if tree.splits else "pets_again"))
    if tree.packed:
        packed(root, tree.packed, inside=bool(tree.number % 2))


def put(tree: Tree, pool: Pool, base: Path, kind: str, name: str, n: int) -> None:
    """A picture of a class, and its mask where the tree has masks."""
    folder, mask = base / tree.inner / kind, f"{name}{tree.ending}"
    match tree.masks:
        case "folder":  # <class>/images, <class>/masks
            pool.put(MASK, folder / "masks" / mask)
            folder /= "images"
        case "sibling":  # images/<class>, masks/<class>
            folder = base / "images" / kind
            pool.put(MASK, base / "masks" / kind / mask)
        case "ending":  # 0.png, 0_mask.png
            pool.put(MASK, folder / f"{name}_mask.png")
        case "defect":  # as MVTec: ground_truth/<class>/0_mask.png
            folder = base / "images" / kind
            pool.put(MASK, base / "ground_truth" / kind / f"{name}_mask.png")
    pool.put(n, folder / f"{name}{tree.ending}")


def scatter(tree: Tree, pool: Pool, top: Path) -> None:
    """Junk at the top, or in a folder that the number draws."""
    draw = Random(-tree.number)
    folders = sorted(path for path in top.rglob("*") if path.is_dir())
    for word in tree.junk:
        JUNK[word](top if word in AT_TOP else draw.choice([top, *folders]), pool)


# --- judging ---


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool(tmp_path_factory.mktemp("pool")).made()


@pytest.mark.parametrize("number", range(N))
def test_a_tree_is_read_right(number, pool, tmp_path):
    tree = Tree.of(number)
    here = tmp_path / f"tree{number}"
    plant(tree, pool, here)
    layout = Layout(str(number), "", Path, f'kit.load("{tree.file}")', tree.want)
    verdict = judge(layout, here)
    assert verdict.kind in ("RIGHT", "HINT"), f"{tree}\n{drawn(here)}\n{verdict}"
    shutil.rmtree(here)  # 2,000 of them


def drawn(here: Path) -> str:
    """Its folders, each with its first files."""
    rows = []
    for folder in sorted(path for path in here.rglob("*") if path.is_dir()):
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
        rows.append(f"{folder.relative_to(here)}/  {len(names)}: {', '.join(names[:3])}")
    return "\n".join(rows)


def test_a_tree_is_a_function_of_its_number(pool, tmp_path):
    plant(Tree.of(7), pool, tmp_path / "a")
    plant(Tree.of(7), pool, tmp_path / "b")
    found = [
        sorted(p.relative_to(tmp_path / at) for p in (tmp_path / at).rglob("*")) for at in "ab"
    ]
    assert found[0] == found[1] and len(found[0]) > 3
    assert Tree.of(7) == Tree.of(7) != Tree.of(8)
