"""A pack: many small files as one tar, whose last member says what it holds, so that it tells itself whether it is whole."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import IO, BinaryIO

from ..system.files import CHUNK

MANIFEST = ".colab-kit.json"  # {name: [bytes, sha256]}
PER_FILE = 1536  # bytes that a tar adds to each file, about


def pack(folder: Path, to: Path) -> None:
    """Write all files of `folder` into the uncompressed tar `to`, and bring it to the disk.

    Raises
    ------
    OSError
    """
    held: dict[str, tuple[int, str]] = {}
    with open(to, "wb", buffering=CHUNK) as file:
        with tarfile.open(fileobj=file, mode="w|", bufsize=CHUNK, format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                name = path.relative_to(folder).as_posix()
                with open(path, "rb") as reading:
                    held[name] = _add(tar, name, reading, path.stat().st_size)
            manifest = json.dumps(held).encode()
            _add(tar, MANIFEST, io.BytesIO(manifest), len(manifest))
        file.flush()
        os.fsync(file.fileno())


def holds(tar: Path) -> dict[str, int] | None:
    """What a whole pack holds, and the bytes of each; None for a damaged one. It is read to its end, and every file compared.

    Raises
    ------
    OSError
        It cannot be read.
    """
    seen: dict[str, tuple[int, str]] = {}
    said = None
    try:
        with (
            open(tar, "rb") as file,
            tarfile.open(fileobj=file, mode="r|", bufsize=CHUNK) as reading,
        ):
            for member in reading:
                inside = reading.extractfile(member) or io.BytesIO()
                if member.name == MANIFEST:
                    said = {name: tuple(fact) for name, fact in json.loads(inside.read()).items()}
                else:
                    hashing = _Hashing(inside)
                    while hashing.read(CHUNK):
                        pass
                    seen[member.name] = hashing.size, hashing.digest.hexdigest()
    except (tarfile.TarError, ValueError, TypeError, AttributeError):
        return None
    return {name: size for name, (size, _) in seen.items()} if seen == said else None


def _add(tar: tarfile.TarFile, name: str, reading: BinaryIO, size: int) -> tuple[int, str]:
    """Write one file, a piece at a time: among many small ones there may be one that does not fit into memory. Its size and sha256."""
    info, hashing = tarfile.TarInfo(name), _Hashing(reading)
    info.size = size
    tar.addfile(info, hashing)  # type: ignore[arg-type]  # it is read, and nothing else
    return size, hashing.digest.hexdigest()


class _Hashing:
    """Reads from a file, and knows what went by."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size, self.digest = file, 0, hashlib.sha256()

    def read(self, size: int) -> bytes:
        chunk = self.file.read(size)
        self.size += len(chunk)
        self.digest.update(chunk)
        return chunk
