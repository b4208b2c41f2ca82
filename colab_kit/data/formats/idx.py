"""IDX, the format of MNIST: four files, read whole, or an error says what is wrong with one."""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...system.filetypes import web_page
from ..arrays import of_pair
from ..sources import Parts

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
ENDINGS = (".bz2", ".gz", "")  # the last one that is there counts


def sees(folder: Path) -> bool:
    """Tell whether any of the four files lies in the folder."""
    return bool(find(folder))


def read(folder: Path) -> Parts:
    """Read the four files of a folder: train and test, uint8.

    Raises
    ------
    DataError
        A file is missing, cut, a web page, or something else. Its `why` says which.
    """
    files = find(folder)
    if missing := [name for name in NAMES if name not in files]:
        have = ", ".join(path.name for path in files.values())
        raise DataError(
            f"{folder} lacks {' and '.join(missing)}.",
            f"of the four idx files of such a set it holds {have}",
            "put the missing files there too (.gz or not)",
        )
    return parts_of(files)


def find(folder: Path) -> dict[str, Path]:
    """Give the idx files of a folder, or of its `raw/`, by their names without ending."""
    for place in (folder, folder / "raw"):
        paths = [(name, place / (name + ending)) for name in NAMES for ending in ENDINGS]
        if files := {name: path for name, path in paths if path.is_file()}:
            return files
    return {}


def parts_of(files: dict[str, Path]) -> Parts:
    """Read the four files of a set."""
    images, labels, test_images, test_labels = (files[name] for name in NAMES)
    pairs = {"train": read_pair(images, labels), "test": read_pair(test_images, test_labels)}
    return Parts({split: of_pair(x, y) for split, (x, y) in pairs.items()}, images.parent.name)


def read_pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read pictures (N, H, W) and labels (N,) that belong together, uint8."""
    x, y = read_array(images), read_array(labels)
    for path, array, axes in ((images, x, 3), (labels, y, 1)):
        if array.ndim != axes:
            why = f"it holds an array of {array.ndim} dimensions; were two files swapped?"
            raise _damaged(path, why)
    if len(x) != len(y):
        why = f"it holds {len(y):,} labels for {len(x):,} pictures in {images.name}"
        raise _damaged(labels, why)
    return x, y


def read_array(path: Path) -> np.ndarray:
    """Read a file's numbers, uint8, in the shape it states; its content says if it is packed."""
    content = _unpack(path)
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not 1 <= content[3] <= 4:
        head = content[:4].hex() or "nothing"
        raise _damaged(path, f"it begins with {head}, not with an idx file's 000008")
    start = 4 + 4 * content[3]
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    have, want = len(content) - start, int(np.prod(shape, dtype=np.int64))
    if have != want:
        states = f"it states {'x'.join(map(str, shape))} = {want:,} numbers"
        raise _damaged(path, f"{states} and holds {max(have, 0):,}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _unpack(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as err:
        fix = "see whether the disk is still there, then try again"
        raise DataError(f"{path} cannot be read.", str(err.strerror or err), fix) from err
    try:
        if raw[:2] == b"\x1f\x8b":
            return gzip.decompress(raw)
        if raw[:3] == b"BZh":
            return bz2.decompress(raw)
    except (EOFError, OSError, ValueError, zlib.error) as err:
        unpacking = f"unpacking its {len(raw):,} bytes ended with {str(err)!r}"
        raise _damaged(path, f"it is cut or changed: {unpacking}") from err
    title = web_page(raw[:65536])
    if title is not None:
        raise _damaged(path, f'it is a web page titled "{title}" that was saved under this name')
    if not raw:
        raise _damaged(path, "it is empty")
    if path.suffix and path.suffix in ENDINGS:
        raise _damaged(path, f"it is no {path.suffix[1:]} file: it begins with {raw[:4].hex()}")
    return raw


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} is damaged.", why, f"delete {path.name} and get it again")
