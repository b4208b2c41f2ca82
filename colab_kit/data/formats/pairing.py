"""Arrays by their names: which are pictures, which their labels, and of which split.

A name is read by its words: x_train, train_images, test_labels, kmnist-train-imgs. Where the names
say nothing, shapes do; where two readings fit, the error has a line for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ...errors import DataError
from ...events import Note
from ..arrays import of_pair
from ..folders.tree import some
from ..folders.words import SECOND, TOLD, split_of
from ..sources import Part, Parts
from ..targets import object_array
from .place import line, one_of, words_of

_X = frozenset("x image images img imgs picture pictures pixel pixels data".split())
_Y = frozenset("y label labels lbl lbls target targets class classes gt category".split())
_NAMES = frozenset(("class_names", "classes", "label_names", "categories", "names"))
SIDE = 8  # the least side of a picture that comes as a row of numbers


@dataclass(frozen=True, eq=False)
class Named:
    """An array in a file, not yet read.

    name : as the error and the note call it
    words : of its name, and of its file's where that says more
    line : an expression that gives it
    get : reads it
    """

    name: str
    words: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    line: str
    get: Callable[[], ndarray]

    @property
    def split(self) -> str | None:
        return last_split(self.words)

    @property
    def role(self) -> str | None:
        """Tell x, y, or None where the name does not say it."""
        words = [word for word in self.words if word in _X | _Y]
        if not words:
            return None
        clear = [word for word in words if word != "data"] or words
        return "y" if clear[-1] in _Y else "x"

    @property
    def rest(self) -> tuple[str, ...]:
        return rest_of(self.words)

    @property
    def numeric(self) -> bool:
        return self.dtype.kind in "biuf"

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {'x'.join(map(str, self.shape)) or 'one number'}"


def last_split(words: Sequence[str]) -> str | None:
    """Give the split that the last such word names: x_train_test is of test; None without one."""
    return next((split for word in reversed(words) if (split := split_of(word))), None)


def rest_of(words: Sequence[str]) -> tuple[str, ...]:
    """Give the words that say neither role nor split: they tell sets apart."""
    return tuple(word for word in words if word not in _X | _Y and not split_of(word))


def akin(words: Sequence[str], others: Sequence[str]) -> bool:
    """Tell whether two names are of one split of one set."""
    return rest_of(words) == rest_of(others) and last_split(words) == last_split(others)


Reading = dict[str, tuple[Named, Named | None]]  # split: pictures, and labels unless unlabelled
Names = Sequence[str] | Mapping[int, str]  # of classes: in the order of labels from 0, or by label
_AGAIN = "get its files again, all from one place"


def pair_line(x: Named, y: Named | None) -> str:
    """Give the expression of a pair."""
    return f"({x.line}, {y.line})" if y else x.line


def read_arrays(
    path: Path,
    arrays: Sequence[Named],
    *,
    said: Sequence[str] = (),
    spell: Callable[[Named, Named | None], str] = pair_line,
    names: Callable[[Named], Names | None] = lambda _: None,
) -> Parts:
    """Give the parts of a file's, or a folder's, arrays.

    Parameters
    ----------
    path : a lone file of one split is what is trained on, whatever split its name says
    said : sentences of how they are read
    spell : gives the expression that loads pictures and labels
    names : gives the class names that go with pictures, unless an array holds them

    Raises
    ------
    DataError
        Two readings fit, or none.
    """
    own_names, arrays = _class_names(_told_apart(arrays))
    readings = _readings(arrays)
    if path.is_file():
        readings = [
            {"train": one} for r in readings for one in r.values() if len(r) == 1
        ] or readings
    trained = [reading for reading in readings if "train" in reading]
    if len(trained) > 1:  # row numbers are no labels, where something else may be
        trained = [reading for reading in trained if not _only_counts(*reading["train"])] or trained
    held = "; ".join(map(str, arrays[:8])) or "it holds none"
    if len(trained) > 1:
        lines = [line({split: spell(*one) for split, one in r.items()}) for r in trained[:4]]
        if splits := _as_splits(trained):
            lines.insert(0, line({split: spell(*one) for split, one in splits.items()}))
        what = f"{path} holds more than one set of pictures with labels."
        raise DataError(what, held, one_of(lines))
    if not trained and readings:
        lines = [line(spell(*one)) for one in readings[0].values()]
        raise DataError(f"{path} holds no training pictures.", held, one_of(lines))
    if not trained:
        fix = "name pictures (N, H, W) or (N, H, W, C) and as many labels (N,) so: "
        fix += "np.savez('set.npz', x_train=X, y_train=y)"
        raise DataError(f"{path} holds no pictures with labels.", held, fix)
    (reading,) = trained
    used = [one for pair in reading.values() for one in pair]
    others = [one.name for one in arrays if one not in used]
    text = ", ".join(
        f"{split} is {x.name} with {y.name if y else 'no labels'}"
        for split, (x, y) in reading.items()
    )
    text += f"; {some(others)} left out" * bool(others)
    pairs = {split: (x.get(), y.get() if y else None) for split, (x, y) in reading.items()}
    known = own_names or names(reading["train"][0])
    return as_parts(path, pairs, [f"{path.name}: {text}.", *said], known)


def of_mapping(arrays: Mapping[str, Any]) -> Parts:
    """Read the arrays of a dict, or of an opened .npz file, by their names.

    Raises
    ------
    DataError
        Two readings fit, or none.
    """
    known = {name: np.asarray(array) for name, array in arrays.items()}
    named = [
        Named(name, tuple(words_of(name)), x.shape, x.dtype, f"source[{name!r}]", partial(_same, x))
        for name, x in known.items()
    ]
    return read_arrays(Path("arrays"), named)


def _same(array: ndarray) -> ndarray:
    return array


def as_parts(
    path: Path,
    pairs: Mapping[str, tuple[ndarray, ndarray | None]],
    said: Sequence[str] = (),
    names: Names | None = None,
) -> Parts:
    """Make parts of pictures and labels.

    Parameters
    ----------
    path : names the parts
    pairs : split -> pictures, labels; None for labels that nobody knows
    said : sentences of how it was read
    names : of the classes, in the order of the labels from 0, or by label; None: their numbers

    Raises
    ------
    DataError
        They do not fit together.
    """
    parts = {}
    for split, (x, y) in pairs.items():
        pixels, remark = _as_pictures(x)
        said = [*said, *remark] if split == "train" else said
        try:
            parts[split] = _part(pixels, y)
        except DataError as err:
            raise DataError(f"{path}, {split}: {err.what}", err.why, err.fix) from err
    if names:
        by_label = names if isinstance(names, Mapping) else dict(enumerate(names))
        parts = {split: _from_0(path, part, by_label) for split, part in parts.items()}
        return _noted(path, parts, said).with_classes(tuple(by_label.values()))
    return _noted(path, parts, said)


def _noted(path: Path, parts: dict[str, Part], said: Sequence[str]) -> Parts:
    train = parts["train"]
    notes = (*(Note(text) for text in said), *train.notes)
    return Parts({**parts, "train": replace(train, notes=notes)}, path.name)


def _from_0(path: Path, part: Part, by_label: Mapping[int, str]) -> Part:
    """Number class numbers by the names that they have."""
    if part.labels.ndim != 1 or part.labels.dtype.kind not in "iu":
        return part
    strangers = [label for label in np.unique(part.labels).tolist() if label not in by_label]
    if strangers:
        why = f"the label {strangers[0]} has no name among {len(by_label)} class names"
        raise DataError(f"The labels in {path} do not fit its class names.", why, _AGAIN)
    known = np.array(sorted(by_label), np.int64)
    order = list(by_label)
    places = np.array([order.index(label) for label in known.tolist()], np.int64)
    return replace(part, labels=places[np.searchsorted(known, part.labels)])


def _part(x: ndarray, y: ndarray | None) -> Part:
    if y is None:
        return replace(of_pair(x, np.zeros(len(x), int)), labels=object_array([None] * len(x)))
    return of_pair(x, y)


def _as_pictures(x: ndarray) -> tuple[ndarray, list[str]]:
    """Give rows of bytes that fill a square as pictures (N, S, S)."""
    if x.ndim != 2 or x.dtype.kind not in "iu":
        return x, []
    side = square(x.shape[1])
    if not side or x.min() < 0 or x.max() > 255:
        return x, []
    text = f"Rows of {x.shape[1]:,} numbers are taken as grey pictures of {side}x{side}."
    return x.reshape(-1, side, side), [text]


def square(numbers: int) -> int:
    """Give the side of the square picture that so many numbers fill; 0 if they fill none."""
    side = round(numbers**0.5)
    return side if side >= SIDE and side * side == numbers else 0


def _class_names(arrays: Sequence[Named]) -> tuple[list[str] | None, list[Named]]:
    """Part the array of class names, if there is one, from the others."""
    lengths = Counter(one.shape[0] for one in arrays if one.shape)
    for one in arrays:
        alone = len(one.shape) == 1 and lengths[one.shape[0]] == 1
        called = {"_".join(one.words[-1:]), "_".join(one.words[-2:])} & _NAMES
        if alone and called and one.dtype.kind in "US":
            names = [n.decode() if isinstance(n, bytes) else str(n) for n in one.get().tolist()]
            return names, [other for other in arrays if other is not one]
    return None, list(arrays)


def _told_apart(arrays: Sequence[Named]) -> list[Named]:
    """Take x_eval as of valid where x_test lies beside it."""
    tests = [one for one in arrays if one.split == "test" and SECOND.isdisjoint(one.words)]
    if not tests or any(one.split == "valid" for one in arrays):
        return list(arrays)
    words = [tuple("valid" if w in SECOND else w for w in one.words) for one in arrays]
    return [replace(one, words=own) for one, own in zip(arrays, words, strict=True)]


def _readings(arrays: Sequence[Named]) -> list[Reading]:
    """Give each way to pair pictures with labels, by names, else by shapes."""
    able_x = [one for one in arrays if one.numeric and len(one.shape) > 1 and one.shape[1] > 1]
    able_y = [one for one in arrays if one.dtype.kind in "biufUS" and 1 <= len(one.shape) <= 2]
    xs = [one for one in able_x if one.role == "x"] or [one for one in able_x if not one.role]
    ys = [one for one in able_y if one.role == "y"]
    ys = ys or [one for one in able_y if not one.role and _column(one)]
    sets = {x.rest for x in xs} if any(x.role for x in xs) else set()
    found: dict[Any, Reading] = {}
    for exact in (True, False):  # y beside x_train and x_test is of train
        for x, y in product(xs, ys):
            mine = y.rest == x.rest or y.rest not in sets
            split, own = (x.split, y.split) if exact else (x.split or "train", y.split or "train")
            if x is not y and split == own and x.shape[0] == y.shape[0] and mine:
                key = (x.rest, y.rest, "" if x.role and y.role else f"{x.name} {y.name}")
                found.setdefault(key, {}).setdefault(split or "train", (x, y))
        if any("train" in reading for reading in found.values()):
            break
    for x in xs:  # pictures of test without labels
        paired = any(x in pair for reading in found.values() for pair in reading.values())
        if x.split == "test" and not paired:
            for key, reading in found.items():
                if key[0] == x.rest:
                    reading.setdefault("test", (x, None))
    return [{s: reading[s] for s in TOLD if s in reading} for reading in found.values()]


def _as_splits(readings: Sequence[Reading]) -> Reading:
    """Take two or three pairs of arrays as splits, if no name says what they are; {} for others.

    np.savez without names writes x_train, y_train, x_test, y_test as arr_0 to arr_3.
    """
    pairs = [pair for reading in readings for pair in reading.values()]
    arrays = {id(one) for pair in pairs for one in pair}
    alike = len({x.shape[1:] for x, _ in pairs}) == 1 and not any(x.role for x, _ in pairs)
    largest = pairs[0][0].shape[0] == max(x.shape[0] for x, _ in pairs)
    if len(arrays) < 2 * len(pairs) or len(pairs) > 3 or not (alike and largest):
        return {}
    return dict(zip(TOLD if len(pairs) == 3 else ("train", "test"), pairs, strict=True))


def _only_counts(x: Named, y: Named | None) -> bool:
    """Tell whether the labels of pictures are whole numbers that are all different."""
    if y is None or y.dtype.kind not in "iu" or not 2 < x.shape[0] <= 1 << 22:
        return False
    return len(np.unique(y.get())) == x.shape[0]


def _column(one: Named) -> bool:
    return len(one.shape) == 1 or one.shape[1] == 1
