"""What a call does, decided before it acts: plan(link, remote, here, target, options) -> Plan.

It reads no byte of a file and asks no server; what it must know comes in as values.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import FetchError, Offline
from ..events import Note
from ..system.filetypes import SINGLES, is_archive, stem
from .links.address import Link
from .records import Here, Record
from .remote import Remote


@dataclass(frozen=True)
class Options:
    """What was asked for beside the link; fetch() explains each.

    named : whether `to` names the file; None: judged by its look
    sha256 : checked, "" for any
    """

    to: str | os.PathLike[str] | None = None
    named: bool | None = None
    sha256: str = ""
    extract: bool | None = None
    mirrors: Sequence[Link] = ()
    overwrite: bool = False
    keep_archive: bool | None = None
    offline: bool = False
    force: bool = False

    @property
    def file_name(self) -> str:
        """The name that `to` gives the file; "" if `to` is the folder that takes it."""
        if self.to is None:
            return ""
        named = not is_folder(self.to) if self.named is None else self.named
        return Path(self.to).name if named else ""


@dataclass(frozen=True)
class Target:
    """Where a file goes, and what becomes of it.

    file : its name
    unpacked : the folder that it is unpacked to, or another file for a single packed one; None:
        it stays as it is
    single : whether `unpacked` is a file
    """

    file: Path
    unpacked: Path | None = None
    single: bool = False

    @property
    def path(self) -> Path:
        """What the caller is given in the end."""
        return self.unpacked or self.file


@dataclass(frozen=True)
class Plan:
    """What a call does.

    step : use what is here · restore the archive that Drive keeps · copy a file of this machine ·
        resume or download the file · stream: unpack an archive from where it is
    record : of what is used or restored; None for a file that the user put there
    notes : what the user should know
    """

    step: Literal["use", "restore", "copy", "resume", "download", "stream"]
    record: Record | None = None
    notes: Sequence[Note] = ()


def is_folder(to: str | os.PathLike[str]) -> bool:
    """Tell whether `to` is the folder that takes a file: it is one, ends in /, or has no suffix."""
    text = os.fspath(to)
    ends = text.endswith(("/", os.sep)) or not Path(text).suffix
    return ends or os.path.isdir(os.path.expanduser(text))


def target_of(name: str, options: Options) -> Target:
    """Tell where a file called `name` goes.

    Examples
    --------
    >>> target_of("pets.tar.gz", Options("data")).path.as_posix()
    'data/pets'
    >>> target_of("pets.zip", Options("data/p.zip")).unpacked
    """
    to = Path(os.path.expanduser(options.to or ""))
    file, extract = to / name, options.extract
    if options.file_name:  # who names the file wants the file
        file, extract = to, bool(extract)
    if not (is_archive(name) if extract is None else extract):
        return Target(file)
    own = is_archive(file.name) or file.name.lower().endswith(SINGLES)
    packed = file.name if own else name
    if packed.lower().endswith(SINGLES) and not is_archive(packed):
        return Target(file, file.with_name(packed[: packed.rindex(".")]), single=True)
    bare = stem(packed)
    return Target(file, file.with_name(bare if bare != file.name else f"{bare}-unpacked"))


def question(here: Here, target: Target, options: Options) -> str | None:
    """Give the version to ask the server about, "" for any; None if no answer is needed."""
    if options.offline:
        return None
    if here.is_mine and here.record is not None:
        by_hash = options.sha256 and (here.record.sha256 or not here.is_folder)
        return None if by_hash else here.record.version
    if options.sha256:
        return None
    if here.exists:
        return None if options.overwrite or here.is_folder else ""
    return here.copy.version if here.copy else None


def is_current(record: Record, remote: Remote | None) -> bool:
    """Tell whether the server still has the version of a record; None, no answer, counts as yes."""
    if remote is None or remote.unchanged:
        return True
    if record.version and remote.version:
        return record.version == remote.version
    return remote.size is None or not record.size or remote.size == record.size


def plan(link: Link, remote: Remote | None, here: Here, target: Target, options: Options) -> Plan:
    """Decide what to do for a link.

    Parameters
    ----------
    remote : Remote, optional
        The server's answer to question(); None if it was not asked, or did not answer.
    here : Here
        What is at `target.path`.

    Raises
    ------
    FetchError
        Another file or folder of that name is there, and is kept; or nothing is there, and no
        server may be asked.
    """
    of_folder = target.unpacked is not None and not target.single
    used = (_use_folder if of_folder else _use_file)(remote, here, options)
    if used is not None:
        return used
    changed = Note(f"{here.path} has changed at its source; it is fetched anew.")
    anew = here.is_mine and here.record is not None and not is_current(here.record, remote)
    notes = (changed,) if anew else ()
    if link.kind == "file":
        return Plan("copy", notes=notes)
    if here.copy is not None and is_current(here.copy, remote):
        return Plan("restore", here.copy, notes)
    if options.offline:
        why = "no server is asked: offline=True, or COLAB_KIT_OFFLINE is set"
        raise Offline(f"{target.file.name} is not here.", why, "fetch it once with a network")
    if here.part_left:
        return Plan("resume", notes=notes)
    whole = (
        options.keep_archive or options.sha256 or options.mirrors
    )  # the archive itself is needed
    zipped = of_folder and target.file.name.lower().endswith(".zip")
    streams = zipped and link.kind == "http" and not link.lfs and not whole
    return Plan("stream" if streams else "download", notes=notes)


def _use_file(remote: Remote | None, here: Here, options: Options) -> Plan | None:
    """Use the file that is here, or None if another one is to be brought."""
    path, record = here.path, here.record
    if not here.exists and not here.is_folder:
        return None
    if here.is_folder:
        what, why = f"{path} is a folder.", "the file cannot get its name"
        raise FetchError(what, why, "give to= another name")
    if here.is_mine and record is not None:
        current = here.has_hash if options.sha256 else is_current(record, remote)
        return Plan("use", record) if current else None
    if here.has_hash:
        return Plan("use")
    if options.overwrite:
        return None
    if here.size is None:
        what, why = (
            f"{path} is there already, and is no file.",
            "it may be a link that leads nowhere",
        )
        raise FetchError(what, why, "remove it, or give to= another name")
    why = f"it came from {record.url}" if record else "it was not fetched from this link"
    if options.sha256:
        why = "it has another sha256"
    elif remote is not None and remote.size == here.size:
        size = f"the {here.size:,} bytes that the server has"
        note = f"{path} is there already, with {size}; it is used as it is."
        return Plan("use", notes=(Note(f"{note} overwrite=True fetches it."),))
    elif options.offline:
        note = f"{path} is there already and is used as it is (offline)."
        return Plan("use", notes=(Note(note),))
    elif remote is not None and remote.size is not None:
        why = f"it has {here.size:,} bytes, and the server's has {remote.size:,}"
    raise _kept(here, why)


def _use_folder(remote: Remote | None, here: Here, options: Options) -> Plan | None:
    """Use the unpacked folder that is here, or None if it is to be unpacked anew."""
    record = here.record
    if not here.exists:
        return None
    if here.is_mine and record is not None:
        right = not record.sha256 or record.sha256.startswith(options.sha256)
        if right and is_current(record, remote):
            return Plan("use", record)
        if options.overwrite or here.untouched():
            return None
        if not right:
            raise _kept(here, "it has another sha256, and files in it are yours")
        note = f"{here.path} is kept although the archive has changed: files in it are yours."
        return Plan("use", record, (Note(f"{note} overwrite=True replaces it.", "warn"),))
    if options.overwrite:
        return None
    come = f"from {record.url}" if record else "from another place"
    raise _kept(here, f"it was not unpacked from this link but {come}")


def _kept(here: Here, why: str) -> FetchError:
    what = f"Another {here.path.name} is there already, and is kept."
    return FetchError(what, why, "give to= another name, or overwrite=True to replace it")
