"""A pack: many small files as one tar, whose last member says what it holds, so that it tells itself whether it is whole."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

from ..files import CHUNK

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
                name, content = path.relative_to(folder).as_posix(), path.read_bytes()
                held[name] = len(content), hashlib.sha256(content).hexdigest()
                _add(tar, name, content)
            _add(tar, MANIFEST, json.dumps(held).encode())
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
        with open(tar, "rb") as file, tarfile.open(fileobj=file, mode="r|", bufsize=CHUNK) as reading:
            for member in reading:
                inside = reading.extractfile(member)
                content = inside.read() if inside is not None else b""
                if member.name == MANIFEST:
                    said = {name: tuple(fact) for name, fact in json.loads(content).items()}
                else:
                    seen[member.name] = len(content), hashlib.sha256(content).hexdigest()
    except (tarfile.TarError, ValueError, TypeError, AttributeError):
        return None
    return {name: size for name, (size, _) in seen.items()} if seen == said else None


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
