"""7z and rar, by whichever program is there, and single packed files such as labels.csv.gz.

A program lists first, the list is held against the rules of zips, and what came out is compared with the list.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import uuid
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...errors import BadArchive, ColabKitError, NoSpace, UnsafeArchive
from ...events import Control
from ..files import make
from ..filetypes import kind_of
from . import tar as tars
from .compressed import KINDS, Tap, unpacked
from .limits import FREE, TELL, Gauge, Told, check_limits, damaged, look, mib
from .listings import SEVEN, UNRAR, How, Listed
from .names import Places, stem

# bsdtar is not among them: of a 7z and a rar it compares no checksum, and says that all is well
PROGRAMS = {"7z": ("7z", "7zz", "7za", "7zr"), "rar": ("unrar", "7zz", "7z")}
_FIX = {"7z": "!apt-get -q install p7zip-full", "rar": "!apt-get -q install unrar"}
_LONGEST_LIST = 512 << 20  # bytes
_LOCKED = re.compile(
    r"(wrong|incorrect|specified|enter) password|encrypted (archive|file)", re.I
)  # in what the programs say


def extract(
    archive: Path,
    kind: str,
    to: Path,
    *,
    called: str,
    room: int | None,
    max_size: int | None,
    told: Told | None = None,
    control: Control | None = None,
) -> None:
    """Unpack a 7z or rar into the empty folder `to`; a program that fails leaves it to the next.

    Raises
    ------
    BadArchive
        It is damaged or locked, or nothing here unpacks it.
    UnsafeArchive, NoSpace, Stopped
    """
    packed = archive.stat().st_size

    def gauge() -> Gauge:
        return Gauge(
            called, lambda: packed, room=room, max_size=max_size, told=told, control=control
        )

    failed: BadArchive | None = None
    for name in PROGRAMS[kind]:
        if (program := shutil.which(name)) is None or not _knows(program, kind):
            continue
        job = _Job(program, archive.absolute(), to, gauge(), control)
        try:
            return job.listed(UNRAR if name == "unrar" else SEVEN)
        except UnsafeArchive:
            raise
        except BadArchive as err:
            if "password" in err.what:
                raise
            failed = err
            _empty(to)
    if kind == "7z":
        with suppress(ImportError):
            return _by_package(archive, to, gauge())
    if failed is not None:
        raise failed
    why = "nothing here unpacks it: Python alone unpacks zip and tar"
    raise BadArchive(
        f"{called} is a {kind} archive.", why, f"{_FIX[kind]}, then run the cell again"
    )


def _knows(program: str, kind: str) -> bool:
    """Whether a program reads that kind: many a 7z was built without rar."""
    if kind != "rar" or Path(program).name.startswith("unrar"):
        return True
    try:
        return (
            b"Rar"
            in subprocess.run(
                [program, "i"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10
            ).stdout
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@dataclass(frozen=True)
class _Job:
    """One program at work on one archive."""

    program: str
    archive: Path
    to: Path
    gauge: Gauge
    control: Control | None

    def listed(self, how: How) -> None:
        """List, hold the list against the rules, unpack, and compare what is there with the list."""
        status, lines, said = self._run(how.list_command(self.program, self.archive))
        if status:
            raise self._failed(said or lines[-300:])
        members = list(how.parse(lines))
        files = _approve(members, self.archive, self.gauge)
        status, lines, said = self._run(how.unpack_command(self.program, self.archive, self.to))
        if status:
            raise self._failed(said or lines[-300:])
        _compare(files, self.to, self.gauge)

    def _failed(self, said: str) -> BadArchive:
        if _LOCKED.search(said):
            return _locked(self.archive)
        return damaged(self.gauge.called, " ".join(said.split())[-200:] or "no word")

    def _run(self, command: list[str]) -> tuple[int, str, str]:
        """Its status, and what it said on both channels; ended once it has written more than there is room for."""
        begin = shutil.disk_usage(self.to).free
        with tempfile.TemporaryFile() as lines, tempfile.TemporaryFile() as words:
            child, looked = _start(command, lines, words), time.monotonic()
            try:
                while child.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(TELL)
                    look(self.gauge.called, self.control)
                    if (now := time.monotonic()) - looked > 0.5:
                        looked, used = now, begin - shutil.disk_usage(self.to).free
                        if self.gauge.room is not None and used > self.gauge.room:
                            raise NoSpace(
                                f"{self.gauge.called} cannot be unpacked: the disk is full.",
                                f"it took {mib(used)}",
                                FREE,
                            )
            finally:
                _end(child)
            return child.returncode, _words(lines, _LONGEST_LIST), _words(words)


def _start(command: list[str], out: IO[bytes], words: IO[bytes]) -> subprocess.Popen[bytes]:
    names = {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "LANG": "C.UTF-8",
    }  # else names come out in question marks
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=words,
        env=names,
        start_new_session=True,
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """End it and what it started, if it has not ended by itself."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _words(file: IO[bytes], most: int = 4000) -> str:
    file.seek(0)
    return file.read(most).decode("utf-8", "surrogateescape").strip()


def _locked(archive: Path) -> BadArchive:
    fix = f"unpack it yourself: !7z x -pPASSWORD '{archive}' -o'{stem(str(archive))}', then load that folder"
    return BadArchive(f"{archive} is locked by a password.", "its files are encrypted", fix)


def _approve(members: list[Listed], archive: Path, gauge: Gauge) -> dict[str, int]:
    """The files of a list and their sizes, if it may be unpacked."""
    places, files = Places(gauge.called), {}
    for member in members:
        if member.locked:
            raise _locked(archive)
        if member.link:
            raise UnsafeArchive(
                f"{gauge.called} holds a link, {member.name}.",
                "links are not followed",
                "pack the files themselves",
            )
        place = places.take(member.name, folder=member.folder)
        if not member.folder:
            files[place] = member.size
    size, packed = sum(files.values()), archive.stat().st_size
    check_limits(gauge.called, packed, size, len(files), room=gauge.room, max_size=gauge.max_size)
    return files


def _compare(files: dict[str, int], to: Path, gauge: Gauge) -> None:
    """What came out is what was listed: plain files, each of its size."""
    found = {}
    for folder, below, names in os.walk(to):
        for name in [
            *names,
            *(name for name in below if os.path.islink(os.path.join(folder, name))),
        ]:
            path = os.path.join(folder, name)
            seen = os.lstat(path)
            found[os.path.relpath(path, to).replace(os.sep, "/")] = (
                seen.st_size if stat.S_ISREG(seen.st_mode) else -1
            )
    if found != files:
        name = next((name for name in {**files, **found} if files.get(name) != found.get(name)), "")
        raise damaged(
            gauge.called,
            f"{name}: {found.get(name)} bytes came, and its list says {files.get(name)}",
        )
    gauge.files, gauge.bytes = len(files), sum(files.values())
    gauge.done()


def _by_package(archive: Path, to: Path, gauge: Gauge) -> None:
    import py7zr  # type: ignore[import-not-found, unused-ignore]

    try:
        with py7zr.SevenZipFile(archive) as opened:
            if opened.needs_password():
                raise _locked(archive)
            listed = [
                Listed(
                    f.filename, f.uncompressed, f.is_directory, f.is_symlink or f.is_junction, False
                )
                for f in opened.files
            ]
            files = _approve(listed, archive, gauge)
            opened.extractall(path=to)
    except ColabKitError:
        raise
    except Exception as err:  # it has many
        if type(err).__name__ == "PasswordRequired":
            raise _locked(archive) from err
        raise tars.said(gauge.called, to, err) from err
    _compare(files, to, gauge)


def decompress(
    archive: Path,
    to: Path,
    *,
    room: int | None,
    max_size: int | None,
    told: Told | None = None,
    control: Control | None = None,
) -> int:
    """Unpack one packed file, gz, bz2, xz or zst by its first bytes, to the file `to`: whole or not at all. Its bytes.

    Raises
    ------
    BadArchive, UnsafeArchive, NoSpace, Stopped
    """
    called, part = str(archive), to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.part")
    make(to.parent)
    try:
        with open(archive, "rb") as file:
            tap = Tap(file)
            if (kind := kind_of(tap.head(16))) not in KINDS:
                why = (
                    f"it begins as a {kind} file does"
                    if kind
                    else f"it begins with {tap.head(16)[:8].hex(' ') or 'nothing'}"
                )
                raise BadArchive(f"{called} is no packed file.", why, "use it as it is")
            gauge = Gauge(
                called, lambda: tap.count, room=room, max_size=max_size, told=told, control=control
            )
            gauge.files = 1
            with (
                closing(unpacked(tap, kind, called)) as pieces,
                open(part, "xb", buffering=0) as out,
            ):
                for piece in pieces:
                    gauge.coming(len(piece))
                    while (done := out.write(piece) or 0) < len(piece):
                        piece = piece[done:]
        os.replace(part, to)
    except Exception as err:
        raise tars.said(called, to, err) from err
    finally:
        part.unlink(missing_ok=True)
    return gauge.done()[1]
