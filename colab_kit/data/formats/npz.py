"""NumPy's .npz: pictures and labels of MedMNIST, KMNIST, Keras' MNIST, or any that fit."""

from __future__ import annotations

import functools
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy import ndarray

from ...errors import DataError
from ..sources import Parts
from .pairing import Named, akin, read_arrays
from .place import check_kind, damaged, files, pictures_in, unreadable, words_of

FAULTS = (EOFError, ValueError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile)
MOST_PACKED = 1032  # bytes that deflate makes of one, at best


def sees(path: Path) -> bool:
    """Tell whether it is a .npz file, or a folder of them without pictures."""
    return bool(_files(path)) and (path.is_file() or not pictures_in(path))


def read(path: Path) -> Parts:
    """Read the arrays that are pictures and labels.

    Raises
    ------
    DataError
        A file is damaged, or more than one pair of arrays fits, or none.
    """
    arrays = [one for file in _files(path) for one in _arrays(file)]
    if path.is_file() and len(arrays) == 1:  # its labels, or pictures, may lie beside it
        for file in _files(path.parent):
            if file != path and akin(words_of(file.stem), arrays[0].words):
                arrays += _arrays(file)
    return read_arrays(path, arrays)


def _files(path: Path) -> list[Path]:
    return files(path, lambda file: file.suffix.lower() == ".npz")


def _arrays(path: Path) -> list[Named]:
    check_kind(path)
    found = []
    try:
        with zipfile.ZipFile(path) as box:
            members = [one for one in box.infolist() if one.filename.endswith(".npy")]
            for member in members:
                with box.open(member) as file:
                    shape, dtype, start = header(file)
                check_size(path, shape, dtype, member.file_size - start)
                if member.file_size > MOST_PACKED * member.compress_size + 1024:
                    raise ValueError(f"{member.filename} cannot have the size that it states")
                name = member.filename.removesuffix(".npy")
                words = words_of(path.stem) + words_of(name) * (len(members) > 1)
                text = f"np.load({str(path)!r})[{name!r}]"
                called = name if len(members) > 1 else f"{path.name} {name}"
                get = functools.partial(_read, path, member.filename)
                found.append(Named(called, tuple(words), shape, dtype, text, get))
    except DataError:
        raise
    except OSError as err:
        raise unreadable(path, err) from err
    except FAULTS as err:
        raise damaged(path, str(err) or "it ends too early") from err
    return found


def _read(path: Path, member: str) -> ndarray:
    try:
        with zipfile.ZipFile(path) as box, box.open(member) as file:
            array: ndarray = np.lib.format.read_array(file, allow_pickle=False)
            file.read(1)  # the end of the member: its checksum is compared
            return array
    except OSError as err:
        raise unreadable(path, err) from err
    except FAULTS as err:
        raise damaged(path, f"{member}: {err}") from err


def header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Read the header of a .npy file: shape, type, and where the numbers begin.

    Raises
    ------
    ValueError
        It is no such file.
    """
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_2_0
    if version == (1, 0):
        reader = np.lib.format.read_array_header_1_0
    counted = _Counted(file)
    shape, _, dtype = reader(counted)  # type: ignore[arg-type]
    return shape, dtype, counted.count + np.lib.format.MAGIC_LEN


class _Counted:
    """A file that counts what is read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.count = file, 0

    def read(self, size: int) -> bytes:
        content = self.file.read(size)
        self.count += len(content)
        return content


def check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], have: int) -> None:
    """Compare the size that a header states with the bytes that are there.

    Raises
    ------
    DataError
        They differ, or the array holds Python objects.
    """
    if dtype.hasobject:
        why = "it holds Python objects, and reading these may run code"
        fix = "save it again with plain numbers: np.savez('set.npz', x_train=X, y_train=y)"
        raise DataError(f"{path} is not read.", why, fix)
    want = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or want != have:
        states = f"it states {'x'.join(map(str, shape))} {dtype} = {want:,} bytes"
        raise damaged(path, f"{states} and holds {max(have, 0):,}")
