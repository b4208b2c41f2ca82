"""Arrays, tensors and picture files, understood as Parts: pixels checked, labels as they came."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..colab.staging import one_by_one
from ..errors import DataError
from ..events import Note
from . import deep, fingerprints, image_checks
from .file_table import FileTable
from .folders.tree import HEIC, PICTURES, Listing, PictureFiles, counted
from .images import READERS
from .labels import read_labels
from .sources import Arrays, Part, Pictures, Source
from .targets import object_array, of_rows, with_row

CHANNELS = (1, 2, 3, 4)  # what the axis of colours may hold


def of_pair(x: Any, y: Any, *, bands: tuple[int, str] | None = None) -> Part:
    """Understand pictures or vectors in memory, with their labels.

    Parameters
    ----------
    x : array or tensor, uint8 or float: (N, H, W), (N, C, H, W), (N, H, W, C) or (N, features)
    y : (N,) class numbers, names or floats, (N, classes) rows of 0 and 1, or (N, targets) floats
    bands : as of Arrays

    Raises
    ------
    DataError
        Layout, type, lengths or values do not make pictures with a label each.
    """
    pixels, notes = _pixels(x)
    labels = read_labels(y, len(pixels))
    fingerprint = fingerprints.of_array(pixels)
    return Part(labels, lambda numbers: Arrays(pixels, numbers, bands), fingerprint, notes=notes)


def of_files(
    paths: Sequence[Path],
    labels: Sequence[Any] | np.ndarray,
    root: Path,
    notes: Sequence[Note] = (),
    *,
    groups: Sequence[Any] | None = None,
) -> Part:
    """Understand picture files; the unreadable are left out.

    Of many files a sample is looked at, and all of them where it shows a fault. Numbers stay
    numbers where `labels` is an array; anything else becomes an object array.
    """
    values = labels if isinstance(labels, np.ndarray) else object_array(labels)
    files = FileTable.of(paths)
    looks = image_checks.look_at_some(files, values)
    complaints = image_checks.complaints(list(looks.values()), root)
    bad = [row for row, look in looks.items() if look.fault]
    if len(bad) == len(files):
        fix = "get the pictures again: unpack or copy them anew"
        kinds = {look.kind for look in looks.values()}
        if kinds <= READERS.keys():
            fix = f"{READERS[min(kinds)]}, then load again"
        what = f"None of the {len(files):,} pictures in {root} can be read."
        raise DataError(what, " ".join(note.text for note in complaints) or "there are none", fix)
    good = np.delete(np.arange(len(files)), bad)
    whole, values = files.take(good), values[good]
    seen = {
        row: looks[old].content for row, old in enumerate(good.tolist()) if old in looks
    }  # by the rows that stay
    prints = {row: content.print for row, content in seen.items()}
    fingerprint = fingerprints.of_files(whole, prints, root)
    if twins := image_checks.twins(whole, values, prints, root):
        complaints = [*complaints, twins]
    return Part(
        values,
        lambda y: Pictures(
            whole, y, root, fingerprint, contents=seen, sampled=len(looks) < len(files)
        ),
        fingerprint,
        notes=(*notes, *complaints),
        groups=None if groups is None else object_array(groups)[good],
        deep=tuple(look.path for look in looks.values() if look.deep),
    )


def file_pair(source: Any) -> tuple[Sequence[Any], Any] | None:
    """Give (paths, labels) where a source is such a pair, or rows of (path, label); else None."""
    if not isinstance(source, tuple | list) or not len(source):
        return None
    if all(isinstance(row, tuple | list) and len(row) == 2 for row in source):
        if all(_is_picture_file(path) and not _is_picture_file(label) for path, label in source):
            paths, labels = zip(*source, strict=True)
            return paths, list(labels)
    if len(source) == 2 and lists_files(source[0]):
        return source[0], source[1]
    return None


def lists_files(x: Any) -> bool:
    """Tell whether x is a list or an array of paths, as text or as Path."""
    if hasattr(x, "dtype"):
        x = np.asarray(x) if getattr(x, "ndim", 0) == 1 else ()
        x = x.tolist() if len(x) and x.dtype.kind in "UO" else ()
    is_list = isinstance(x, tuple | list) and len(x) > 0
    return is_list and all(isinstance(path, str | os.PathLike) for path in x)


def _is_picture_file(name: Any) -> bool:
    is_path = isinstance(name, str | os.PathLike)
    return is_path and Path(name).suffix.lower() in PICTURES | HEIC


def lists_pictures(x: Sequence[Any]) -> bool:
    """Tell whether x holds names of picture files, and nothing else."""
    return len(x) > 0 and all(map(_is_picture_file, x))


def of_paths(names: Sequence[Any], y: Any) -> Part:
    """Understand a list of picture files and a list of their labels, row by row.

    Parameters
    ----------
    names : paths, as text or Path; relative ones count from the working folder
    y : labels, as `of_pair` takes them

    Raises
    ------
    DataError
        Lengths or labels do not fit, both lists hold files, no file is there, or they lie on
        Drive and are too many to read there one by one.
    """
    if lists_files(y) and any(map(_is_picture_file, y)):
        raise DataError(
            "Both lists of the pair hold picture files.",
            "the second one should hold the label of each picture",
            'kit.load((paths, labels)); two splits are {"train": (paths, labels), "valid": …}',
        )
    paths = [Path(os.path.abspath(os.path.expanduser(os.fspath(name)))) for name in names]
    labels = read_labels(y, len(paths))
    root = Path(os.path.commonpath([path.parent for path in paths]))
    if (error := one_by_one(root, len(paths))) is not None:
        raise error
    if not any(path.exists() for path in paths):
        what = f"None of the {len(paths):,} files is there: the first is {paths[0]}."
        why = f"relative paths count from {os.getcwd()}"
        raise DataError(what, why, "kit.load(([Path('FOLDER') / path for path in paths], labels))")
    paths, labels, notes = _once_each(paths, labels)
    return of_files(paths, labels, root, notes)


def _once_each(
    paths: list[Path], labels: np.ndarray
) -> tuple[list[Path], np.ndarray, tuple[Note, ...]]:
    """Take a file that is named in several rows once, with the labels of all its rows."""
    if len(set(paths)) == len(paths):
        return paths, labels, ()
    by_path: dict[Path, Any] = {}
    for path, label in zip(paths, labels, strict=True):
        by_path[path] = with_row(by_path.get(path), label, path.name)
    again = counted(len(paths) - len(by_path), "row")
    note = Note(f"{again} joined with an earlier row of the same file.")
    if labels.dtype.kind == "O":
        return list(by_path), object_array(by_path.values()), (note,)
    return list(by_path), np.stack(list(by_path.values())), (note,)


def share_law(parts: dict[str, Part]) -> list[Note]:
    """Give all parts of picture files one law for deep pictures, and say it; the training's own."""
    law = deep.law_of(parts["train"].deep or [path for p in parts.values() for path in p.deep])
    if law is None:
        return []
    for split, part in parts.items():
        if part.deep:
            fingerprint = fingerprints.of_value([part.print, law])
            parts[split] = replace(part, make=_under(part.make, law), print=fingerprint)
    low, high = (f"{end:,.6g}" for end in law)
    n = sum(len(part.deep) for part in parts.values())
    text = f"{n:,} pictures have more than 8 bits: their values from {low} to {high} are brought"
    notes = [Note(f"{text} to 0 to 255, by one law for all splits and for predict().")]
    for split, part in parts.items():
        own = deep.law_of(part.deep) if split != "train" else None
        if own is not None and own[1] > law[1]:
            text = (
                f"The {split} pictures go up to {own[1]:,.6g}, and those of train to {high} only:"
            )
            notes.append(Note(f"{text} what is above is cut. Are both of one kind?", "warn"))
    return notes


def _under(make: Callable[[np.ndarray], Source], law: deep.Span) -> Callable[[np.ndarray], Source]:
    def made(labels: np.ndarray) -> Source:
        source = make(labels)
        return replace(source, span=law) if isinstance(source, Pictures) else source

    return made


def of_listing(listing: Listing) -> dict[str, Part]:
    """Understand the splits of a listing, labelled by its folders or by label_files."""
    each = {split: PictureFiles.of(files) for split, files in listing.splits.items()}
    values = [label for files in each.values() for label in files.labels]
    rows = of_rows(values)
    names = object_array(values) if rows is None else rows
    parts, start = {}, 0
    for split, files in each.items():
        own, start = names[start : start + len(files)], start + len(files)
        notes = (
            (*listing.label_notes, *listing.notes, *listing.left_out) if split == "train" else ()
        )
        parts[split] = of_files(files.files, own, listing.root, notes, groups=files.groups)
    return parts


def _pixels(x: Any) -> tuple[Tensor, tuple[Note, ...]]:
    """Give (N, C, H, W) or (N, features), uint8 or float32."""
    from_torch, notes = isinstance(x, Tensor), tuple[Note, ...]()
    x = _tensor(x)
    if x.ndim == 0 or len(x) == 0:
        fix = "pass at least one picture a class"
        raise DataError("X is empty.", f"its shape is {tuple(x.shape)}", fix)
    if x.dtype not in (torch.uint8, torch.float32):
        whole = not x.is_floating_point() and x.dtype != torch.bool
        if whole and x.ndim > 2 and 0 <= int(x.min()) and int(x.max()) < 256:
            text = (
                f"X is {str(x.dtype)[6:]} with values from 0 to 255: it is taken as uint8 pixels."
            )
            x, notes = x.to(torch.uint8), (Note(text),)
        else:
            x = x.to(torch.float32)
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        bad = (~torch.isfinite(x).reshape(len(x), -1).all(1)).nonzero()[:, 0]
        many = f"{len(bad):,} of {len(x):,} rows of X hold NaN or infinity"
        raise DataError(
            f"{many}, the first is row {int(bad[0])}.",
            "one such number makes the loss NaN and ends the training",
            "leave these rows out, or pass np.nan_to_num(X)",
        )
    return _layout(x, from_torch).contiguous(), notes


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x.detach().cpu()
    try:
        array = np.asarray(x)
    except ValueError as err:  # a list of arrays of many shapes
        fix = "bring all pictures to one size, or put them into class folders and load the folder"
        raise DataError("X is no array.", str(err), fix) from err
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind not in "biuf":
        raise DataError(
            f"X holds {array.dtype} values.",
            "pictures are arrays of numbers",
            "pass numbers: uint8 pixels, or floats; picture files are loaded from a folder: "
            "kit.load('pictures')",
        )
    if kind == "u" and size > 1:  # torch knows few unsigned types
        array = array.astype(np.int64)
    elif not array.dtype.isnative or size > 8:
        array = array.astype(np.float64 if kind == "f" else np.int64)
    # torch wants memory that it may write to: a read-only array is copied
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _layout(x: Tensor, from_torch: bool) -> Tensor:
    """Put colours in front, as torch has them.

    Where both ends could be colours, tensors have them in front and arrays at the end.
    """
    if x.ndim == 2:
        return x
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim == 4:
        front, end = x.shape[1] in CHANNELS, x.shape[3] in CHANNELS
        return x.movedim(3, 1) if end and not (front and from_torch) else x
    shape = "-1, 1" if x.ndim == 1 else "len(X), -1"
    raise DataError(
        f"X has the shape {tuple(x.shape)}.",
        "(N, H, W), (N, C, H, W), (N, H, W, C) or (N, features) is expected",
        f"pass X.reshape({shape}) for plain vectors",
    )
