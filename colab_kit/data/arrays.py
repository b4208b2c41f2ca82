"""Sources before they are split: what was given, understood; its labels as they came, not yet numbered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import DataError
from ..events import Note
from . import fingerprints, folders, image_checks, tables
from .dataset import Arrays, Pictures, Source
from .labels import as_given
from .targets import unlabelled

CHANNELS = (1, 2, 3, 4)  # what the axis of colours may hold


@dataclass(frozen=True, eq=False)
class Part:
    """One source that becomes a split.

    labels : as given: int64, object array of str, of tuples or of numbers with None where there is none, or numbers (N, K)
    make : the source, once the labels are numbers
    print : its fingerprint
    classes : names that the source itself knows
    """

    labels: np.ndarray
    make: Callable[[np.ndarray], Source]
    print: str
    classes: tuple[str, ...] | None = None
    notes: tuple[Note, ...] = ()
    batch_size: int | None = None
    keyed: bool = True  # whether an item read twice under one key is the same

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> np.ndarray:
        """bool, (N,): which rows have a label."""
        return (
            ~unlabelled(self.labels)
            if self.labels.ndim == 2 or self.labels.dtype.kind in "Of"
            else np.ones(len(self.labels), bool)
        )


def of_pair(x: Any, y: Any) -> Part:
    """Pictures or vectors in memory, with their labels.

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
    labels = as_given(y, len(pixels))
    return Part(
        labels,
        lambda numbers: Arrays(pixels, numbers),
        fingerprints.of_array(pixels),
        notes=tuple(notes),
    )


def of_files(
    paths: Sequence[Path], labels: Sequence[Any], root: Path, notes: Sequence[Note] = ()
) -> Part:
    """Picture files, the unreadable left out."""
    looks = image_checks.look_at(paths)
    good = [row for row, look in enumerate(looks) if not look.fault]
    said = image_checks.complaints(looks, root)
    if not good:
        raise DataError(
            f"None of the {len(paths):,} pictures in {root} can be read.",
            " ".join(note.text for note in said) or "there are none",
            image_checks.HEIF_FIX
            if all(look.heic for look in looks)
            else "get the pictures again: unpack or copy them anew",
        )
    kept = [paths[row] for row in good]
    given = np.empty(len(good), object)
    given[:] = [labels[row] for row in good]
    seen = fingerprints.of_files(kept, [looks[row].print for row in good], root)
    return Part(
        given, lambda numbers: Pictures(kept, numbers, root, seen), seen, notes=(*notes, *said)
    )


def of_found(found: folders.Found, labels: tables.Labels | None) -> dict[str, Part]:
    """The splits of a scanned folder; labels told beside it replace the names of its folders."""
    told: dict[Path, Any] = {}
    notes = list(found.notes)
    if labels is not None:
        paths = [filed.path for files in found.splits.values() for filed in files]
        given, said = tables.look_up(labels, paths, found.root)
        told = {path: _told(label) for path, label in zip(paths, given, strict=True)}
        notes = said + [note for note in notes if "without a label" not in note.text]
    parts = {}
    for split, files in found.splits.items():
        named = [told[filed.path] if labels is not None else filed.label for filed in files]
        parts[split] = of_files(
            [filed.path for filed in files], named, found.root, notes if split == "train" else ()
        )
    return parts


def _told(label: Any) -> Any:
    """A label from a table: a name, several (or several numbers) as a tuple, or a float."""
    if isinstance(label, list | tuple | set | frozenset | np.ndarray):
        return tuple(
            value if isinstance(value, float) else str(value)
            for value in (sorted(label) if isinstance(label, set | frozenset) else label)
        )
    return label if label is None or isinstance(label, float) else str(label)


def display_names(
    names: Any, classes: Sequence[str], root: Path | None
) -> tuple[tuple[str, ...], list[Note]]:
    """Class folders by the names that cat_to_name.json, or a dict, gives them.

    Parameters
    ----------
    names : dict or path; a path may be relative to `root`
    """
    if not isinstance(names, Mapping):
        path = tables.first_file(Path(names).expanduser(), (root or Path()) / names)
        if path is None:
            raise DataError(
                f"class_names={str(names)!r} is not there.",
                "a JSON file of folder names was expected",
                "give its path, or a dict",
            )
        try:
            names = json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError as err:
            raise DataError(
                f"{path} is no JSON file.", str(err), 'it should hold {"21": "fire lily", …}'
            ) from err
        except OSError as err:
            raise DataError(
                f"{path} cannot be read.",
                err.strerror or str(err),
                "give a JSON file that can be read",
            ) from err
        if not isinstance(names, dict):
            raise DataError(
                f"{path} holds a {type(names).__name__}.",
                "a name for each folder is expected",
                '{"21": "fire lily", …}',
            )
    known = {str(folder): str(name) for folder, name in names.items()}
    shown = tuple(known.get(folder, folder) for folder in classes)
    if twice := [name for name in shown if shown.count(name) > 1]:
        raise DataError(
            f"class_names= calls two classes {twice[0]!r}.",
            "predictions could not be told apart",
            "give each its own name",
        )
    missing = [
        folder for folder in classes if folder not in known and folder not in known.values()
    ]  # or it has its name already
    return shown, [
        Note(
            f"class_names= has no name for {', '.join(missing[:3])}: the folder's name is kept.",
            "warn",
        )
    ] if missing else []


def _pixels(x: Any) -> tuple[torch.Tensor, list[Note]]:
    """(N, C, H, W) or (N, features), uint8 or float32."""
    from_torch = isinstance(x, torch.Tensor)
    x = _tensor(x)
    if x.ndim == 0 or len(x) == 0:
        raise DataError(
            "X is empty.", f"its shape is {tuple(x.shape)}", "pass at least one picture a class"
        )
    notes = []
    if x.dtype not in (torch.uint8, torch.float32):
        bytes_ = (
            not x.is_floating_point()
            and x.ndim > 2
            and x.dtype != torch.bool
            and 0 <= int(x.min())
            and int(x.max()) < 256
        )
        notes = (
            [
                Note(
                    f"X is {str(x.dtype)[6:]} with values from 0 to 255: it is taken as uint8 pixels."
                )
            ]
            if bytes_
            else []
        )
        x = x.to(torch.uint8 if bytes_ else torch.float32)
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        bad = (~torch.isfinite(x).reshape(len(x), -1).all(1)).nonzero()[:, 0]
        raise DataError(
            f"{len(bad):,} of {len(x):,} rows of X hold NaN or infinity, the first is row {int(bad[0])}.",
            "one such number makes the loss NaN and ends the training",
            "leave these rows out, or pass np.nan_to_num(X)",
        )
    return _layout(x, from_torch).contiguous(), notes


def _tensor(x: Any) -> torch.Tensor:
    if isinstance(x, torch.Tensor):
        return x.detach().cpu()
    try:
        array = np.asarray(x)
    except ValueError as err:  # a list of arrays of many shapes
        fix = "bring all pictures to one size, or put them into class folders and load the folder"
        raise DataError("X is no array.", str(err), fix) from err
    if array.dtype.kind not in "biuf":
        fix = "pass numbers: uint8 pixels, or floats; picture files are loaded from a folder: kit.load('pictures')"
        raise DataError(f"X holds {array.dtype} values.", "pictures are arrays of numbers", fix)
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)  # torch knows few unsigned types
    if not array.dtype.isnative or array.dtype.itemsize > 8:
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    return torch.from_numpy(
        np.require(array, requirements=["C", "W"])
    )  # torch wants to be able to write: a read-only array is copied


def _layout(x: torch.Tensor, from_torch: bool) -> torch.Tensor:
    """Colours in front, as torch has them. Where both ends could be colours, tensors have them in front and arrays at the end."""
    if x.ndim == 2:
        return x
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim == 4:
        front, end = x.shape[1] in CHANNELS, x.shape[3] in CHANNELS
        return x.movedim(3, 1) if end and not (front and from_torch) else x
    raise DataError(
        f"X has the shape {tuple(x.shape)}.",
        "(N, H, W), (N, C, H, W), (N, H, W, C) or (N, features) is expected",
        "pass X.reshape(len(X), -1) for plain vectors" if x.ndim != 1 else "pass X.reshape(-1, 1)",
    )
