"""What predict() is given, as pictures: one walk over everything that shows some.

A path, folder, pattern or link; PIL, arrays and batches; bytes, open files and what uploads give;
a table's column, a list or a generator of any of these.
"""

from __future__ import annotations

import base64
import binascii
import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.dataset import Data
from ..data.deep import coloured
from ..data.folders.tree import is_picture, natural, tree_of
from ..data.formats.bands import as_in_set, values
from ..data.images import decode, rgb
from ..data.preprocess import Preprocess
from ..data.sources import Arrays
from ..errors import DataError, FetchError
from ..system.files import digest, home


@dataclass(frozen=True, eq=False)
class Shown:
    """One picture as it was given.

    item : Path, bytes, PIL picture, Tensor (C, H, W) or (features,), or an array (H, W) or
        (H, W, C) of more than 8 bits; None where nothing is there
    path : the file, or the name that came with the content
    fault : why nothing is there
    """

    item: Any
    path: Path | None = None
    fault: str = ""


Found = tuple[list[Shown], bool]  # the pictures, and whether a single one was given


def pictures_of(x: Any, preprocess: Preprocess) -> Found:
    """Give predict()'s argument as a list of pictures, and whether it is a single one.

    Parameters
    ----------
    x : path, folder, glob, link, PIL picture, array, bytes, open file, upload, or several of them
        An array is (H, W), (H, W, C), (C, H, W), (features,) or a batch of them. Of several, one
        that is not there is a picture with a fault.
    preprocess : Preprocess
        Of the run. It tells rows of numbers from grey pictures, and three grey pictures from a
        coloured one.

    Raises
    ------
    DataError
        It shows no picture.
    """
    if type(x).__name__ == "FileUpload":
        x = x.value  # the widget itself
    match x:
        case str() if x.lower().startswith(("http://", "https://")):
            return _files(_fetched(x))
        case str() if x.startswith("data:"):
            return [Shown(_unpacked(x))], True
        case str() | os.PathLike():
            return _files(Path(x))
        case bytes() | bytearray() | memoryview():
            return [Shown(bytes(x))], True
        case Mapping():
            return _uploaded(x, preprocess)
        case np.ndarray() if x.dtype.kind in "OUST":
            return _several(x.ravel().tolist(), preprocess)
        case np.ndarray() if on_files(preprocess) and _is_deep(x, preprocess):
            if x.ndim == 4:
                return [Shown(picture) for picture in x], False
            return [Shown(x)], True  # as the file that it comes from
        case np.ndarray() | torch.Tensor():
            rows, is_one = _rows(_tensor(x, preprocess), preprocess)
            return [Shown(row) for row in rows], is_one
    if hasattr(x, "convert") and hasattr(x, "size"):
        return [Shown(x)], True
    if hasattr(x, "read"):
        return [Shown(_read(x), _named(getattr(x, "name", None)))], True
    if hasattr(x, "columns") and hasattr(x, "iloc"):
        return _several(_column(x), preprocess)
    if isinstance(x, Iterable) and not isinstance(x, Data):
        return _several(x, preprocess)
    raise _refusal(x)


def on_files(preprocess: Preprocess) -> bool:
    """Whether the run was trained on picture files, which are squashed and cut."""
    return preprocess.crop < 1.0


def _is_deep(x: np.ndarray, preprocess: Preprocess) -> bool:
    """Tell pictures (H, W), (H, W, C) or (N, H, W, C) of more than 8 bits, or of 1.

    Floats are such where the run learned from files of them: it has a law for their range.
    """
    if x.ndim not in (2, 3, 4) or (x.ndim > 2 and x.shape[-1] not in (1, 2, 3, 4)) or not x.size:
        return False
    if x.dtype.kind == "f":
        return preprocess.span is not None
    return x.dtype == np.bool_ or (x.dtype.kind in "iu" and x.itemsize > 1 and int(x.max()) > 255)


def pixels_of(shown: Shown, preprocess: Preprocess) -> np.ndarray:
    """Give a picture as pixels to draw: uint8, (H, W, C)."""
    item = shown.item
    if preprocess.bands is not None and not isinstance(item, torch.Tensor):
        item = torch.from_numpy(as_in_set(item, preprocess.bands))
    if isinstance(item, torch.Tensor):
        picture = Arrays(item.unsqueeze(0), np.zeros(1, np.int64)).picture(0)
        return picture if picture.shape[2] <= 4 and preprocess.bands is None else picture[..., :3]
    if isinstance(shown.item, np.ndarray):
        return np.array(rgb(coloured(shown.item, preprocess.span)))
    return decode(shown.item, span=preprocess.span)


def _refusal(x: Any) -> DataError:
    fix = "pass one of these"
    if isinstance(x, Data):
        fix = "run.predict(data.test)"
    return DataError(
        f"predict() was given a {type(x).__name__}.",
        "it takes a path, folder, glob, link, PIL picture, array, bytes, an open file or upload,"
        " several of these, or a Split",
        fix,
    )


def _several(items: Iterable[Any], preprocess: Preprocess) -> Found:
    """Walk over several: the others go on where one file or link is not there."""

    def walk(item: Any) -> list[Shown]:
        if item is None or isinstance(item, float):  # an empty cell of a table is nan
            return [Shown(None, None, "no file is named")]
        if not isinstance(item, (str, os.PathLike)):
            return pictures_of(item, preprocess)[0]
        try:
            return pictures_of(item, preprocess)[0]
        except (DataError, FetchError) as err:
            return [Shown(None, Path(item), err.what)]

    return list(chain.from_iterable(map(walk, items))), False


def _files(path: Path) -> Found:
    path = Path(os.path.expanduser(path))
    if path.is_file():
        return [Shown(path, path)], True
    files = [Path(found) for found in glob.glob(str(path), recursive=True)]
    files = sorted(filter(is_picture, files), key=lambda file: natural(str(file)))
    if path.is_dir():
        files = list(tree_of(path).pictures)
    shown = [Shown(file, file) for file in files if file.is_file()]
    if not shown:
        raise DataError(
            f"No picture is at {path}.",
            "this is neither a file, a folder with pictures nor a pattern that matches any",
            "correct the path",
        )
    return shown, False


def _fetched(link: str) -> Path:
    from ..fetching.fetch import fetch

    return Path(fetch(link, home() / "pictures" / digest(link)[:8], quiet=True))


def _unpacked(link: str) -> bytes:
    """Give the content of a data: link."""
    try:
        return base64.b64decode(link.partition("base64,")[2], validate=True)
    except binascii.Error as err:
        what, fix = "This data: link holds no picture.", "copy all of it, or save it as a file"
        raise DataError(what, str(err), fix) from err


def _named(name: Any) -> Path | None:
    return Path(name) if isinstance(name, str) and name else None


def _read(file: Any) -> Any:
    """Give what an open file holds; it stays open, and where it was."""
    if hasattr(file, "seek"):
        at = file.tell()
        file.seek(0)
        content = file.read()
        file.seek(at)
    else:
        content = file.read()
    if not isinstance(content, (bytes, bytearray, memoryview)):
        what, why = "predict() was given a file opened as text.", "a picture is bytes"
        raise DataError(what, why, 'open it with open(path, "rb"), or pass its path')
    return bytes(content)


def _uploaded(x: Mapping[Any, Any], preprocess: Preprocess) -> Found:
    """Give what an upload gave.

    {name: content} of files.upload(); one file of FileUpload.value, a dict with its content (in
    ipywidgets 7 inside a dict by name); or {"bytes", "path"} of a Hugging Face dataset.
    """
    content = x.get("content", x.get("bytes"))
    if content is not None:
        name = x.get("name") or x.get("path") or dict(x.get("metadata") or {}).get("name")
        return [Shown(bytes(content), _named(name))], True
    shown = list[Shown]()
    for name, value in x.items():
        if not isinstance(value, (bytes, bytearray, memoryview, Mapping)):
            raise _refusal(x)
        pictures = pictures_of(value, preprocess)[0]
        shown += [Shown(one.item, one.path or _named(name)) for one in pictures]
    return shown, False


def _column(table: Any) -> list[Any]:
    """Give the one column of a table."""
    names = list(table.columns)
    if len(names) != 1:
        raise DataError(
            f"predict() was given a table of {len(names)} columns.",
            f"which of {', '.join(map(str, names[:5]))} names the files is not known",
            "name the column: run.predict(table['path'])",
        )
    return list(table[names[0]])


def _tensor(x: Any, preprocess: Preprocess) -> torch.Tensor:
    """Give uint8 or float; whole numbers from 0 to 255 are taken as pixels, as `load` does.

    Of a run on TIFFs of many bands, numbers stay as they are.
    """
    if (bands := preprocess.bands) is not None and bands[1] != "uint8":
        return torch.from_numpy(values(np.asarray(x.cpu() if hasattr(x, "cpu") else x), bands))
    fix = "pass uint8 pixels, or floats"
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "biuf" or not x.size:
            raise DataError(
                f"predict() was given an array of {x.dtype}, shape {x.shape}.",
                "pictures are numbers",
                fix,
            )
        kind: Any = np.float32 if x.dtype.kind == "f" else np.int64
        x = torch.from_numpy(np.array(x, np.uint8 if x.dtype == np.uint8 else kind))
    if x.dtype == torch.uint8 or x.is_floating_point():
        return x.detach().cpu()  # type: ignore[no-any-return]
    if x.dtype == torch.bool or int(x.min()) < 0 or int(x.max()) > 255:
        raise DataError(
            f"predict() was given {str(x.dtype)[6:]} numbers.",
            "pixels are whole numbers from 0 to 255",
            fix,
        )
    return x.to("cpu", torch.uint8)  # type: ignore[no-any-return]


def _rows(x: torch.Tensor, preprocess: Preprocess) -> tuple[list[torch.Tensor], bool]:
    """Give the pictures (C, H, W) or the vectors of one array or a batch, and whether it is one.

    The place of the network's number of channels, or of 1, 3 or 4, says what it is.
    """
    vectors = preprocess.size is None and preprocess.channels is None
    if preprocess.bands is not None:
        return _banded(x, preprocess.bands[0])
    match x.ndim:
        case 1:
            return [x], True
        case 2:
            return (list(x), False) if vectors else ([x.unsqueeze(0)], True)
        case 3:
            axis = _colours(x.shape, preprocess.channels)
            if axis is None:
                return list(x.unsqueeze(1)), False
            return [_opaque(x.movedim(axis, 0), preprocess)], True
        case 4:
            axis = _colours(x.shape[1:], preprocess.channels) or 0
            return [_opaque(picture, preprocess) for picture in x.movedim(1 + axis, 1)], False
    raise DataError(
        f"predict() was given an array of shape {tuple(x.shape)}.",
        "a picture has 2 or 3 axes, a batch 4",
        "reshape it",
    )


def _banded(x: torch.Tensor, bands: int) -> tuple[list[torch.Tensor], bool]:
    """Give the pictures (bands, H, W) of one array or a batch, and whether it is one."""
    shape = x.shape[-3:]
    if x.ndim not in (3, 4) or bands not in (shape[2], shape[0]):
        raise DataError(
            f"predict() was given an array of shape {tuple(x.shape)}.",
            f"the run learned TIFFs of {bands} bands, and the bands are the first axis of a"
            " picture, or its last",
            f"give an array ({bands}, H, W) or (H, W, {bands}), or a batch of such",
        )
    rows = x if x.ndim == 4 else x.unsqueeze(0)
    return list(rows.movedim(3, 1) if shape[0] != bands else rows), x.ndim == 3


def _colours(shape: Sequence[int], want: int | None) -> int | None:
    """Say which of three axes holds the colours: the last (2), the first (0) or none (None)."""
    for axis in (2, 0):
        if shape[axis] == want:
            return axis
    if shape[2] in (1, 2, 3, 4):
        return 2
    return 0 if shape[0] in (1, 3, 4) and want != 1 else None


def _opaque(x: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """Drop the alpha of a picture (C, H, W), if the network wants none.

    A network on files wants none, and its pictures are laid on white, as files are.
    """
    has_alpha = len(x) == 4 and preprocess.channels in (1, 3)
    return x[:3] if has_alpha and not on_files(preprocess) else x
