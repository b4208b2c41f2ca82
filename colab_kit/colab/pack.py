"""A pack: many small files as one tar, whose last member says what it holds.

So a pack tells itself whether it is whole.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import BinaryIO

from ..system.copies import Copy, HashingReader
from ..system.files import CHUNK

MANIFEST = ".colab-kit.json"  # {name: [bytes, sha256]}
PER_FILE = 1536  # bytes that a tar adds to each file, about


def pack(folder: Path, to: Path) -> None:
    """Write all files of `folder` into the uncompressed tar `to`, and bring it to the disk.

    Raises
    ------
    OSError
    """
    copies: dict[str, Copy] = {}
    with open(to, "wb", buffering=CHUNK) as file:
        with tarfile.open(fileobj=file, mode="w|", bufsize=CHUNK, format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                name = path.relative_to(folder).as_posix()
                with open(path, "rb") as reading:
                    copies[name] = _add(tar, name, reading, path.stat().st_size)
            manifest = json.dumps(copies).encode()
            _add(tar, MANIFEST, io.BytesIO(manifest), len(manifest))
        file.flush()
        os.fsync(file.fileno())


def _add(tar: tarfile.TarFile, name: str, reading: BinaryIO, size: int) -> Copy:
    """Write one file, a piece at a time: one of them may not fit into memory."""
    info, reader = tarfile.TarInfo(name), HashingReader(reading)
    info.size = size
    tar.addfile(info, reader)
    return reader.copy


def holds(tar: Path) -> dict[str, int] | None:
    """What a whole pack holds, and the bytes of each; None for a damaged one.

    The pack is read to its end, and every file compared.

    Raises
    ------
    OSError
        It cannot be read.
    """
    copies: dict[str, Copy] = {}
    manifest = None
    try:
        with open(tar, "rb") as file, tarfile.open(fileobj=file, mode="r|", bufsize=CHUNK) as pack:
            for member in pack:
                reading = pack.extractfile(member) or io.BytesIO()
                if member.name == MANIFEST:
                    manifest = {n: Copy(*copy) for n, copy in json.loads(reading.read()).items()}
                else:
                    copies[member.name] = HashingReader(reading).read_to_end()
    except (tarfile.TarError, ValueError, TypeError, AttributeError):
        return None
    return {name: copy.size for name, copy in copies.items()} if copies == manifest else None
