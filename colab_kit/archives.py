"""Archives: a zip or tar unpacked whole or not at all; no member may leave the folder."""

from __future__ import annotations

import errno
import lzma
import os
import re
import shutil
import stat
import tarfile
import uuid
import zipfile
import zlib
from pathlib import Path

from .errors import DataError
from .files import make
from .web import web_page

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".7z", ".rar")
AGAIN = "get it again (copy or download it anew), and compare its size with the original's"
_TOOLS = {
    b"7z\xbc\xaf'\x1c": ("7z", "!apt-get -q install p7zip-full && 7z x '{path}' -o'{to}'"),
    b"Rar!": ("rar", "!unrar x '{path}' '{to}/'"),
}


def is_archive(name: str) -> bool:
    """Whether a file is an archive by its name."""
    return name.lower().endswith(ENDINGS)


def stem(name: str) -> str:
    """The name without what says that it is an archive: `pets` of pets.tar.gz."""
    ending = max((e for e in ENDINGS if name.lower().endswith(e)), key=len, default="")
    return name[: len(name) - len(ending)] or name


def unpack(archive: Path, to: Path) -> Path:
    """Unpack a zip or tar into the new folder `to`: beside, then renamed, so a kill leaves nothing half.

    Raises
    ------
    DataError
        It is damaged, locked by a password, of a kind that Python cannot read, or would write outside of `to`; or the disk is full.
    """
    part = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        kind = _kind(archive, to)
        for stray in _strays(to):
            shutil.rmtree(stray, ignore_errors=True)
        make(part)
        (_unzip if kind == "zip" else _untar)(archive, part)
        os.replace(part, to)
    except DataError:
        raise
    except OSError as err:  # of a disk; gzip's own, which is one too, has no number
        raise _of_disk(archive, to, err) if err.errno else damaged(archive, str(err)) from err
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as err:
        raise damaged(archive, str(err) or type(err).__name__) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return to


def damaged(archive: Path, why: str) -> DataError:
    return DataError(f"{archive} is damaged.", f"unpacking its {archive.stat().st_size:,} bytes ended with {why!r}", AGAIN)


def _kind(archive: Path, to: Path) -> str:
    """zip or tar, by the first bytes: a name may lie."""
    with open(archive, "rb") as file:
        head = file.read(512)
    for magic, (kind, how) in _TOOLS.items():
        if head.startswith(magic):
            fix = f"{how.format(path=archive, to=to.with_name(stem(archive.name)))}, then load that folder"
            raise DataError(f"{archive} is a {kind} archive.", "Python alone unpacks zip and tar", fix)
    if (title := web_page(head)) is not None:
        raise DataError(f"{archive} is a web page, not an archive.", f"its title is {title!r}", "download the file itself, not its page")
    if not head:
        raise DataError(f"{archive} is empty.", "it has 0 bytes", AGAIN)
    return "zip" if head.startswith(b"PK") else "tar"


def _strays(to: Path) -> list[Path]:
    """What killed calls left half-unpacked."""
    ours = re.compile(re.escape(f".{to.name}.") + r"[0-9a-f]{8}\.part")
    return [path for path in to.parent.iterdir() if ours.fullmatch(path.name)] if os.path.isdir(to.parent) else []


def _unzip(archive: Path, part: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            name = member.filename.replace("\\", "/")
            if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
                raise _outside(archive, member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DataError(f"{archive} holds a link, {member.filename}.", "links are not followed", "zip the files themselves")
            if member.flag_bits & 1:
                fix = f"unpack it yourself: !unzip -q -P PASSWORD '{archive}' -d FOLDER, then load the folder"
                raise DataError(f"{archive} is locked by a password.", f"{member.filename} is encrypted", fix)
            try:
                file.extract(member, part)
            except NotImplementedError as err:  # a packing of its own
                raise DataError(f"{archive} cannot be unpacked.", str(err), f"!7z x '{archive}', then load the folder") from err


def _untar(archive: Path, part: Path) -> None:
    with tarfile.open(archive) as file:
        try:
            file.extractall(part, filter="data")  # it refuses what leaves the folder, links and devices included
        except tarfile.FilterError as err:
            raise _outside(archive, err.tarinfo.name) from err


def _outside(archive: Path, member: str) -> DataError:
    why = f"{member!r} leads out of it, which a well-meant archive does not do"
    return DataError(f"{archive} would write outside of the folder it is unpacked to.", why, "do not use this file")


def _of_disk(archive: Path, to: Path, err: OSError) -> DataError:
    what = f"{archive} could not be unpacked to {to}."
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(next(folder for folder in to.parents if os.path.exists(folder))).free
        why = f"the disk is full: {free / 2**20:,.0f} MiB are free, and the archive alone has {archive.stat().st_size / 2**20:,.0f}"
        return DataError(what, why, "free some room, or set COLAB_KIT_HOME to a folder on a larger disk")
    return DataError(what, str(err), "see whether the file can be read and the folder written (COLAB_KIT_HOME says where it lies)")
