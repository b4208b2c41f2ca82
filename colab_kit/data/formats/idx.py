"""IDX files, the format of MNIST and its kin: read whole, or said in one word what is wrong with them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...system.filetypes import web_page

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
ENDINGS = ("", ".gz", ".bz2")


def find(folder: Path) -> dict[str, Path]:
    """The idx files that lie in a folder, by their names without ending; torchvision's `raw/` is looked into."""
    for place in (folder, folder / "raw"):
        found = {
            name: path
            for name in NAMES
            for ending in reversed(ENDINGS)
            if (path := place / (name + ending)).is_file()
        }
        if found:
            return found
    return {}


def read(path: Path) -> np.ndarray:
    """The file's numbers, uint8, in the shape it states; gz and bz2 are unpacked by what they are, not by their names.

    Raises
    ------
    DataError
        The file is cut, a web page, or something else. Its `why` says which.
    """
    content = _unpacked(path)
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not 1 <= content[3] <= 4:
        raise damaged(
            path, f"it begins with {content[:4].hex() or 'nothing'}, not with an idx file's 000008"
        )
    start = 4 + 4 * content[3]
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    have, want = len(content) - start, int(np.prod(shape, dtype=np.int64))
    if have != want:
        raise damaged(
            path,
            f"it states {'x'.join(map(str, shape))} = {want:,} numbers and holds {max(have, 0):,}",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, H, W) and labels (N,) that belong together, uint8."""
    x, y = read(images), read(labels)
    if x.ndim != 3 or y.ndim != 1:
        path = images if x.ndim != 3 else labels
        raise damaged(
            path,
            f"it holds an array of {x.ndim if x.ndim != 3 else y.ndim} dimensions; were two files swapped?",
        )
    if len(x) != len(y):
        raise damaged(
            labels, f"it holds {len(y):,} labels for {len(x):,} pictures in {images.name}"
        )
    return x, y


def write(array: np.ndarray) -> bytes:
    """An idx file of a uint8 array."""
    return (
        b"\0\0\x08"
        + bytes([array.ndim])
        + b"".join(n.to_bytes(4, "big") for n in array.shape)
        + array.astype(np.uint8).tobytes()
    )


def damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} is damaged.", why, f"delete {path.name} and get it again")


def _unpacked(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as err:
        raise DataError(
            f"{path} cannot be read.",
            str(err.strerror or err),
            "see whether the disk is still there, then try again",
        ) from err
    try:
        if raw[:2] == b"\x1f\x8b":
            return gzip.decompress(raw)
        if raw[:3] == b"BZh":
            return bz2.decompress(raw)
    except (EOFError, OSError, ValueError, zlib.error) as err:
        raise damaged(
            path, f"it is cut or changed: unpacking its {len(raw):,} bytes ended with {str(err)!r}"
        ) from err
    title = web_page(raw[:65536])
    if title is not None:
        raise damaged(path, f'it is a web page titled "{title}" that was saved under this name')
    if not raw:
        raise damaged(path, "it is empty")
    if path.suffix in (".gz", ".bz2"):
        raise damaged(path, f"it is no {path.suffix[1:]} file: it begins with {raw[:4].hex()}")
    return raw


def checksum(path: Path) -> str:
    """sha256 of the file as it lies there, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
