"""Arrays, tensors and picture files, understood as Parts: pixels checked, labels as they came."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..events import Note
from . import fingerprints, image_checks
from .folders import Listing
from .labels import read_labels
from .sources import Arrays, Part, Pictures
from .targets import object_array

CHANNELS = (1, 2, 3, 4)  # what the axis of colours may hold


def of_pair(x: Any, y: Any) -> Part:
    """Understand pictures or vectors in memory, with their labels.

    Parameters
    ----------
    x : array or tensor, uint8 or float: (N, H, W), (N, C, H, W), (N, H, W, C) or (N, features)
    y : (N,) class numbers, names or floats, (N, classes) rows of 0 and 1, or (N, targets) floats

    Raises
    ------
    DataError
        Layout, type, lengths or values do not make pictures with a label each.
    """
    pixels, notes = _pixels(x)
    labels = read_labels(y, len(pixels))
    fingerprint = fingerprints.of_array(pixels)
    return Part(labels, lambda numbers: Arrays(pixels, numbers), fingerprint, notes=notes)


def of_files(
    paths: Sequence[Path],
    labels: Sequence[Any],
    root: Path,
    notes: Sequence[Note] = (),
    *,
    groups: Sequence[Any] | None = None,
) -> Part:
    """Understand picture files; the unreadable are left out."""
    looks = image_checks.look_at(paths)
    complaints = image_checks.complaints(looks, root)
    good = [row for row, look in enumerate(looks) if not look.fault]
    if not good:
        fix = "get the pictures again: unpack or copy them anew"
        if all(look.heic for look in looks):
            fix = image_checks.HEIF_FIX
        what = f"None of the {len(paths):,} pictures in {root} can be read."
        raise DataError(what, " ".join(note.text for note in complaints) or "there are none", fix)
    whole = [paths[row] for row in good]
    fingerprint = fingerprints.of_files(whole, [looks[row].print for row in good], root)
    names = object_array(labels[row] for row in good)
    if twins := image_checks.twins(whole, names, [looks[row].print for row in good], root):
        complaints = [*complaints, twins]
    return Part(
        names,
        lambda y: Pictures(whole, y, root, fingerprint),
        fingerprint,
        notes=(*notes, *complaints),
        groups=None if groups is None else object_array(groups[row] for row in good),
    )


def of_listing(listing: Listing) -> dict[str, Part]:
    """Understand the splits of a listing, labelled by its folders or by label_files."""
    parts = {}
    for split, files in listing.splits.items():
        labels = [file.label for file in files]
        notes = (*listing.label_notes, *listing.notes) if split == "train" else ()
        groups = [file.group for file in files]
        parts[split] = of_files(
            [file.path for file in files],
            labels,
            listing.root,
            notes,
            groups=groups if any(group is not None for group in groups) else None,
        )
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
