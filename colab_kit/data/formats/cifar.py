"""CIFAR-10 and CIFAR-100 as their publisher packs them: batches for Python, or binary ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ...errors import DataError
from ..folders.tree import some
from ..sources import Parts
from .pairing import as_parts
from .pickles import read_pickle
from .place import check_kind, damaged, files, unreadable

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Kind:
    """How one of the four sets is packed.

    splits : its files
    names : the file of class names
    labels : what the labels are called; in a binary file, the bytes before the pixels
    key : what the class names are called
    """

    splits: dict[str, tuple[str, ...]]
    names: str
    labels: str | int
    key: str = ""


def _batches(ending: str) -> dict[str, tuple[str, ...]]:
    batches = tuple(f"data_batch_{n}{ending}" for n in range(1, 6))
    return {"train": batches, "test": (f"test_batch{ending}",)}


KINDS = (
    Kind(_batches(""), "batches.meta", "labels", "label_names"),
    Kind(_batches(".bin"), "batches.meta.txt", 1),
    Kind({"train": ("train",), "test": ("test",)}, "meta", "fine_labels", "fine_label_names"),
    Kind({"train": ("train.bin",), "test": ("test.bin",)}, "fine_label_names.txt", 2),
)


def sees(path: Path) -> bool:
    """Tell whether it is a folder of such batches, or one that holds it."""
    return path.is_dir() and _place(path) is not None


def read(path: Path) -> Parts:
    """Read pictures (N, 3, 32, 32), uint8, with the publisher's split and class names.

    Of CIFAR-100 the hundred fine classes are read. No code of a batch is run.

    Raises
    ------
    DataError
        A batch is damaged or missing.
    """
    found = _place(path)
    if found is None:
        raise damaged(path, "it holds no batches of CIFAR")
    folder, kind = found
    own = {name for names in kind.splits.values() for name in names} | {kind.names}
    if missing := sorted(name for name in own if not (folder / name).is_file()):
        have = f"of its {len(own)} files {len(own) - len(missing)} are there"
        raise DataError(f"{folder} lacks {', '.join(missing)}.", have, "put them there too")
    names = _names(folder / kind.names, kind)
    pairs = {split: _joined(folder, files, kind) for split, files in kind.splits.items()}
    batches = ", ".join(f"{split} is {some(own)}" for split, own in kind.splits.items())
    text = f"{folder.name}: {batches}; {kind.names} names the {len(names)} classes."
    return as_parts(path, pairs, [text], names)


def _place(path: Path) -> tuple[Path, Kind] | None:
    """Give the folder of the batches, and their kind; by the file of names, or by any batch."""
    for kind in KINDS:
        own = {name for names in kind.splits.values() for name in names} | {kind.names}
        lying = files(path, lambda file, own=own: file.name in own)  # type: ignore[misc]
        sure = any(file.name == kind.names or "batch" in file.name for file in lying)
        if sure and (len(lying) > 1 or "batch" in lying[0].name):
            return lying[0].parent, kind
    return None


def _names(path: Path, kind: Kind) -> list[str]:
    check_kind(path, text=not kind.key)
    if kind.key:
        names = _of_dict(path, kind.key)
        if not isinstance(names, list) or not all(isinstance(n, str | bytes) for n in names):
            raise damaged(path, f"{kind.key} is no list of names")
        return [name.decode("latin-1") if isinstance(name, bytes) else name for name in names]
    try:
        lines = path.read_text("utf-8").split("\n")
    except OSError as err:
        raise unreadable(path, err) from err
    except ValueError as err:
        raise damaged(path, f"it is no text: {err}") from err
    if names := [text.strip() for text in lines if text.strip()]:
        return names
    raise damaged(path, "it names no classes")


def _of_dict(path: Path, key: str) -> Any:
    content = read_pickle(path)
    if isinstance(content, dict):
        for name in (key, key.encode()):
            if name in content:
                return content[name]
    raise damaged(path, f"it has no {key}")


def _joined(folder: Path, names: Sequence[str], kind: Kind) -> tuple[ndarray, ndarray]:
    pairs = [_batch(folder / name, kind) for name in names]
    sizes = Counter(len(y) for _, y in pairs)
    usual = sizes.most_common(1)[0][0]
    for name, (_, y) in zip(names, pairs, strict=True):
        if len(y) != usual or not len(y):
            why = f"it holds {len(y):,} pictures, and the other batches {usual:,}"
            raise damaged(folder / name, why)
    x = np.concatenate([x for x, _ in pairs]).reshape(-1, 3, 32, 32)
    return x, np.concatenate([y for _, y in pairs]).astype(np.int64)


def _batch(path: Path, kind: Kind) -> tuple[ndarray, ndarray]:
    """Read the pixels (N, 3072), uint8, and labels (N,) of a batch."""
    check_kind(path)
    if isinstance(kind.labels, int):
        row = kind.labels + PIXELS
        try:
            content = np.fromfile(path, np.uint8)
        except OSError as err:
            raise unreadable(path, err) from err
        if len(content) % row:
            raise damaged(path, f"its {len(content):,} bytes are no whole rows of {row:,}")
        rows = content.reshape(-1, row)
        return rows[:, kind.labels :], rows[:, kind.labels - 1]
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise damaged(path, "it holds no dict")
    x, y = (content.get(key, content.get(key.encode())) for key in ("data", kind.labels))
    if not isinstance(x, ndarray) or x.dtype != np.uint8 or x.shape[1:] != (PIXELS,):
        raise damaged(path, f"data is no array of uint8, (N, {PIXELS})")
    y = np.asarray(y)
    if y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise damaged(path, f"it holds no {kind.labels}, one for each of {len(x):,} pictures")
    return x, y
