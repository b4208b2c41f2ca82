"""Class folders of TIFFs with many bands, as EuroSAT's: read as arrays that hold every band."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...events import Note
from ...system.archives.limits import Unpacking, room
from ..arrays import of_pair
from ..folders import tree as folders
from ..folders.layout import scan
from ..folders.tree import PictureFile
from ..image_files import as_file, content_of
from ..nested import kept
from ..sources import Part, Parts
from ..targets import object_array
from . import tiff
from .shards import first_bytes

MANY = 4  # samples a pixel: what has more is no picture to Pillow
Bands = tuple[int, str]  # how many there are, and the kind of their numbers, as "uint16"
MASK = 0.5  # of a mask's pixels, at least, are its least or its largest value


def sees(path: Path) -> bool:
    """Tell whether a folder in it holds TIFFs of more bands than a picture with a mask has."""
    return any(_banded(top, names) for top, names in _folders(path))


def _folders(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Give each folder at or below a path that holds pictures, and their names."""
    for top, here in folders.walk(path):
        if here.loose:
            yield top, here.loose.names()


def _banded(top: Path, names: Sequence[str]) -> list[str]:
    """Give the names of a folder's TIFFs if the first of them has many bands."""
    tiffs = [name for name in names if name.lower().endswith((".tif", ".tiff"))]
    return tiffs if tiffs and _has_bands(top / min(tiffs)) else []


def _has_bands(file: Path) -> bool:
    if first_bytes(file, 4) not in tiff.SIGNATURES:
        return False
    try:
        content = content_of(file)
        head = tiff.header(content)
        if head.shape[0] > MANY:
            return True
        if head.shape[0] not in (2, MANY) or head.tags.get(262, (1,))[0] > 2:  # inks, YCbCr, Lab
            return False
        return not _is_mask(tiff.samples(content, head)[-1])
    except (ValueError, OSError):
        return False


def _is_mask(values: np.ndarray) -> bool:
    """Tell a mask, of which most is covered or clear, from a band that shows something.

    What the file itself says of its last channel is no help: many write none, or "alpha" always.
    """
    ends = (values == values.min()) | (values == values.max())
    return float(ends.mean()) >= MASK


def read(path: Path) -> Parts:
    """Read such a folder: (N, bands, H, W), the values as they are stored, uint8 or float32.

    The arrays are made once, on the disk, and mapped into the memory.

    Raises
    ------
    DataError
        A file is damaged or of a kind that is not read, the pictures have several sizes, or
        other pictures lie beside.
    """
    _one_kind(path)
    listing = scan(path, ask=False)
    files = [file for of_split in listing.splits.values() for file in of_split]

    def fill(part: Path) -> None:
        for split, of_split in listing.splits.items():
            _write([file.path for file in of_split], part / f"{split}.npy", listing.root)

    folder = kept([file.path for file in files], listing.root, listing.root.name, fill)
    first = tiff.header(content_of(files[0].path))
    bands, high, wide = first.shape
    kind = first.dtype.newbyteorder("=")
    parts = {
        split: _part(folder / f"{split}.npy", of_split, (bands, str(kind)))
        for split, of_split in listing.splits.items()
    }
    text = f"{path.name}: TIFFs of {bands} bands, {high} x {wide}, all taken as channels;"
    array = "" if kind == np.uint8 else ", as float32 arrays"
    note = Note(f"{text} the {kind} values are kept as they are{array}.")
    train = parts["train"]
    notes = (note, *listing.label_notes, *listing.notes, *listing.left_out)
    parts["train"] = replace(train, notes=notes)
    return Parts(parts, listing.root.name)


def _one_kind(path: Path) -> None:
    """Refuse a folder that holds other pictures too, with a line for each of both.

    Raises
    ------
    DataError
    """
    ours, others = set[str](), set[str]()
    for top, names in _folders(path):
        banded = _banded(top, names)
        child = top.relative_to(path).parts[:1] or (".",)
        ours.update(child if banded else ())
        others.update(child if len(banded) < len(names) else ())
    if not others:
        return
    both = sorted(ours | others, key=folders.natural)
    lines = [f"kit.load({str(path / name)!r})" for name in both]
    raise DataError(
        f"{path} holds TIFFs of many bands, and other pictures beside them.",
        f"TIFFs of many bands lie in {folders.some(sorted(ours))}, others in "
        f"{folders.some(sorted(others))}: two data sets, or one of them shows the other",
        "move one kind away" if ours & others else "\n     ".join(lines),
    )


def _write(files: Sequence[Path], to: Path, root: Path) -> None:
    """Write the samples of all files as one array, a file after the other."""
    out: np.memmap[Any, Any] | None = None
    packed, job = (
        sum(file.stat().st_size for file in files),
        Unpacking(str(root), room=room(to.parent)),
    )
    for row, file in enumerate(files):
        samples = tiff.read(file)
        if out is None:
            shape = (len(files), *samples.shape)
            kind = np.uint8 if samples.dtype == np.uint8 else np.float32
            job.check(packed, np.dtype(kind).itemsize * len(files) * samples.size, 1)
            out = np.lib.format.open_memmap(to, "w+", kind, shape)
        if samples.shape != out.shape[1:]:
            sizes = " and ".join("x".join(map(str, one)) for one in (out.shape[1:], samples.shape))
            raise DataError(
                f"The pictures of {root} have several sizes.",
                f"{files[0].name} and {file.name} have {sizes} (bands x height x width)",
                "bring all to one size and one number of bands, as arrays: kit.load((X, y)), "
                "X of shape (N, bands, H, W)",
            )
        out[row] = samples
    if out is not None:
        out.flush()


def _part(array: Path, files: Sequence[PictureFile], bands: Bands) -> Part:
    try:
        x = np.load(array, mmap_mode="c")
    except (OSError, ValueError) as err:
        fix = f"delete {array.parent}, then load again"
        raise DataError(f"{array} cannot be read.", str(err), fix) from err
    labels = object_array(file.label for file in files)
    part = of_pair(x, np.arange(len(files)), bands=bands)
    return Part(labels, part.make, part.print)


def as_in_set(picture: Any, bands: Bands) -> np.ndarray:
    """Read a picture as the files of a set were read: (bands, H, W), uint8 or float32.

    Parameters
    ----------
    picture : Path, bytes or PIL picture
        A file, its content, or what Image.open() made of it.

    Raises
    ------
    DataError
        It has another number of bands, or numbers of another kind; or it is no TIFF.
    """
    picture, name = as_file(picture), "This picture"
    try:
        if isinstance(picture, Path):
            name, picture = str(picture), content_of(picture)
        if isinstance(picture, bytes):
            samples = tiff.samples(picture, tiff.header(picture))
        else:
            samples = np.moveaxis(np.atleast_3d(np.asarray(picture)), 2, 0)
    except (tiff.Unreadable, OSError, ValueError) as err:
        raise _another(name, str(err), bands) from err
    if len(samples) != bands[0]:
        raise _another(name, f"it has {len(samples)} band(s)", bands)
    if (samples.dtype.kind == "f") != (np.dtype(bands[1]).kind == "f"):
        raise _another(name, f"its numbers are {samples.dtype}", bands)
    return values(samples, bands, name)


def values(numbers: np.ndarray, bands: Bands, name: str = "This array") -> np.ndarray:
    """Give numbers as they are, as the set keeps them: uint8, or float32 for any other kind.

    Raises
    ------
    DataError
        They are bytes and the set's are not, or the other way round: their scales differ.
    """
    if (numbers.dtype == np.uint8) != (bands[1] == "uint8"):
        raise _another(name, f"its numbers are {numbers.dtype}", bands)
    return np.ascontiguousarray(numbers, np.uint8 if bands[1] == "uint8" else np.float32)


def _another(name: str, why: str, bands: Bands) -> DataError:
    wanted = f"the training files are TIFFs of {bands[0]} bands of {bands[1]}"
    fix = "write it with their bands, in their order and scale"
    return DataError(f"{name} is not as the training files.", f"{why}; {wanted}", fix)
