"""7z and rar, by whichever program is there, and single packed files such as labels.csv.gz.

A program lists first. The list is held against the rules of zips, and what came out is compared
with the list.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadArchive, ColabKitError, UnsafeArchive
from ..files import make, whole_file, write_all
from ..filetypes import AVOID, Places, kind_of, stem
from ..process import Child
from . import tar as tars
from .compressed import KINDS, Tap, unpacked_pieces
from .limits import TELL, Unpacking, damaged, mib

# bsdtar is not among them: it compares no checksum of a 7z or rar, and says that all is well.
PROGRAMS = {"7z": ("7z", "7zz", "7za", "7zr"), "rar": ("unrar", "7zz", "7z")}
_FIX = {"7z": "!apt-get -q install p7zip-full", "rar": "!apt-get -q install unrar"}
_LONGEST_LIST = 512 << 20  # bytes
# The words of the programs for a password.
_LOCKED = re.compile(r"(wrong|incorrect|specified|enter) password|encrypted (archive|file)", re.I)


class Locked(BadArchive):
    """The archive is locked by a password."""

    def __init__(self, archive: Path) -> None:
        how = f"!7z x -pPASSWORD '{archive}' -o'{stem(str(archive))}'"
        fix = f"unpack it yourself: {how}, then load that folder"
        super().__init__(f"{archive} is locked by a password.", "its files are encrypted", fix)


def extract(archive: Path, kind: str, to: Path, job: Unpacking) -> None:
    """Unpack a 7z or rar into the empty folder `to`; where one program fails, the next one tries.

    Raises
    ------
    BadArchive
        It is damaged or locked, or nothing here unpacks it.
    UnsafeArchive, NoSpace, Stopped
    """
    failure: BadArchive | None = None
    for name in PROGRAMS[kind]:
        program = shutil.which(name)
        if program is None or not _knows(program, kind):
            continue
        try:
            return _by_program(program, archive.absolute(), to.absolute(), job)
        except (UnsafeArchive, Locked):
            raise
        except BadArchive as err:
            failure = err
            shutil.rmtree(to)
            to.mkdir()
    if kind == "7z":
        with suppress(ImportError):
            return _by_package(archive, to, job)
    if failure is not None:
        raise failure
    raise BadArchive(
        f"{job.called} is a {kind} archive.",
        "nothing here unpacks it: Python alone unpacks zip and tar",
        f"{_FIX[kind]}, then run the cell again",
    )


def _knows(program: str, kind: str) -> bool:
    """Whether a program reads that kind: many a 7z was built without rar."""
    if kind != "rar" or Path(program).name.startswith("unrar"):
        return True
    try:
        return b"Rar" in subprocess.run([program, "i"], capture_output=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False


@dataclass(frozen=True)
class ListedFile:
    """One line of a program's list."""

    name: str
    size: int
    folder: bool
    link: bool
    locked: bool


def _of_7z(lines: str) -> Iterator[ListedFile]:
    for fact in _facts(lines, "Path", " = "):
        mode = fact.get("Attributes", "")
        letters = mode.rpartition(" ")[2]
        link = len(letters) >= 10 and letters.startswith(tuple("lcbps"))
        link = link or any(key.endswith("Link") and value.strip() for key, value in fact.items())
        folder = fact.get("Folder") == "+" or mode.startswith("D")
        yield ListedFile(fact["Path"], _size(fact), folder, link, fact.get("Encrypted") == "+")


def _of_unrar(lines: str) -> Iterator[ListedFile]:
    for fact in _facts("\n".join(line.strip() for line in lines.splitlines()), "Name", ": "):
        kind, locked = fact.get("Type", ""), "encrypted" in fact.get("Flags", "")
        link = kind not in ("File", "Directory")
        yield ListedFile(fact["Name"], _size(fact), kind == "Directory", link, locked)


def _facts(lines: str, first: str, between: str) -> Iterator[dict[str, str]]:
    """The blocks of a list, each from the line that names a member to the next empty one."""
    for block in lines.replace("\r\n", "\n").split("\n\n"):
        fact: dict[str, str] = {}
        for line in block.split("\n"):
            key, found, value = line.partition(between if between in line else between.rstrip())
            if found and fact.setdefault(key.strip(), value) != value:
                raise UnsafeArchive(
                    "The archive holds a file that cannot be named.",
                    f"{value!r} in its list",
                    AVOID,
                )
        if first in fact:
            yield fact


def _size(fact: dict[str, str]) -> int:
    digits = fact.get("Size", "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() else 0


@dataclass(frozen=True)
class Program:
    """How a program is asked for the list and for the files, and how its list is understood."""

    list_words: str
    unpack_words: str
    parse: Callable[[str], Iterator[ListedFile]]


SEVEN = Program(
    "l -slt -ba -p -sccUTF-8 -- {archive}", "x -y -bd -p -sccUTF-8 -o{to} -- {archive}", _of_7z
)
UNRAR = Program(
    "lt -cfg- -c- -p- -- {archive}", "x -cfg- -c- -p- -o- -y -idq -- {archive} {to}/", _of_unrar
)


def _by_program(program: str, archive: Path, to: Path, job: Unpacking) -> None:
    """List, hold the list against the rules, unpack, and compare what is there with the list."""
    how = UNRAR if Path(program).name.startswith("unrar") else SEVEN
    lines = _run(program, how.list_words, archive, to, job)
    files = _approve(list(how.parse(lines)), archive, job)
    _run(program, how.unpack_words, archive, to, job)
    _compare(files, to, job)


def _run(program: str, template: str, archive: Path, to: Path, job: Unpacking) -> str:
    """What it prints; it is ended once it has written more than there is room for."""
    command = [program, *(word.format(archive=archive, to=to) for word in template.split())]
    begin, looked, errors = shutil.disk_usage(to).free, time.monotonic(), b""
    env = os.environ | {"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}  # else names come out as ????
    with tempfile.TemporaryFile() as file:
        with Child(command, cwd=to, env=env, out=file) as child:
            while (words := child.hear(TELL)) is not None:
                errors += words[: 4000 - len(errors)]
                job.look()
                if job.room is not None and time.monotonic() - looked > 0.5:
                    looked, used = time.monotonic(), begin - shutil.disk_usage(to).free
                    if used > job.room:
                        raise job.full(f"it took {mib(used)}")
            status = child.process.returncode
        file.seek(0)
        lines = file.read(_LONGEST_LIST).decode("utf-8", "surrogateescape").strip()
    if status:
        fault = errors.decode("utf-8", "surrogateescape").strip() or lines[-300:]
        if _LOCKED.search(fault):
            raise Locked(archive)
        raise damaged(job.called, " ".join(fault.split())[-200:] or "no word")
    return lines


def _approve(members: list[ListedFile], archive: Path, job: Unpacking) -> dict[str, int]:
    """The files of a list and their sizes, if it may be unpacked."""
    places, files = Places(job.called), {}
    for member in members:
        if member.locked:
            raise Locked(archive)
        if member.link:
            raise UnsafeArchive(
                f"{job.called} holds a link, {member.name}.",
                "links are not followed",
                "pack the files themselves",
            )
        place = places.take(member.name, folder=member.folder)
        if not member.folder:
            files[place] = member.size
    job.check(archive.stat().st_size, sum(files.values()), len(files))
    return files


def _compare(files: dict[str, int], to: Path, job: Unpacking) -> None:
    """See that what came out is what was listed: plain files, each of its size."""
    sizes = {}
    for folder, below, names in os.walk(to):
        links = [name for name in below if os.path.islink(os.path.join(folder, name))]
        for path in (os.path.join(folder, name) for name in names + links):
            status = os.lstat(path)
            size = status.st_size if stat.S_ISREG(status.st_mode) else -1
            sizes[os.path.relpath(path, to).replace(os.sep, "/")] = size
    for name in files | sizes:
        if sizes.get(name) != files.get(name):
            raise damaged(
                job.called,
                f"{name}: {sizes.get(name)} bytes came, and its list says {files.get(name)}",
            )
    job.files, job.bytes = len(files), sum(files.values())
    job.tell()


def _by_package(archive: Path, to: Path, job: Unpacking) -> None:
    import py7zr  # type: ignore[import-not-found, unused-ignore]

    try:
        with py7zr.SevenZipFile(archive) as opened:
            if opened.needs_password():
                raise Locked(archive)
            listed = [
                ListedFile(
                    f.filename, f.uncompressed, f.is_directory, f.is_symlink or f.is_junction, False
                )
                for f in opened.files
            ]
            files = _approve(listed, archive, job)
            opened.extractall(path=to)
    except ColabKitError:
        raise
    except Exception as err:  # it has many
        if type(err).__name__ == "PasswordRequired":
            raise Locked(archive) from err
        raise tars.error_of(job.called, to, err) from err
    _compare(files, to, job)


def decompress(archive: Path, to: Path, job: Unpacking) -> int:
    """Unpack one packed file, gz, bz2, xz or zst, to the file `to`, whole or not at all. Its bytes.

    Raises
    ------
    BadArchive, UnsafeArchive, NoSpace, Stopped
    """
    make(to.parent)
    try:
        with open(archive, "rb") as file:
            tap = Tap(file)
            head = tap.head(16)
            if (kind := kind_of(head)) not in KINDS:
                begins = (
                    f"as a {kind} file does" if kind else f"with {head[:8].hex(' ') or 'nothing'}"
                )
                raise BadArchive(
                    f"{job.called} is no packed file.", f"it begins {begins}", "use it as it is"
                )
            job.files = 1
            with whole_file(to) as part, open(part, "xb", buffering=0) as out:
                with closing(unpacked_pieces(tap, kind, job.called)) as pieces:
                    for piece in pieces:
                        job.coming(len(piece), tap.count)
                        write_all(out.write, piece)
    except Exception as err:
        raise tars.error_of(job.called, to, err) from err
    job.tell()
    return job.bytes
