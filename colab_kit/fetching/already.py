"""What is there already: a file or folder that an earlier call fetched is used again, if it still is what the link means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import FetchError, Stopped
from ..events import Note
from ..system.http import public
from . import records
from .links.parse import Link
from .records import Record
from .way import Told, Way, ask_about
from .whole import has


def file_there(
    path: Path, link: Link, way: Way, *, offline: bool, overwrite: bool
) -> Record | None:
    """The record of a file that need not be fetched; None if it must be.

    Raises
    ------
    FetchError
        Another file of that name is there: it is kept.
    """
    if not os.path.lexists(path):
        return None
    if path.is_dir():
        raise FetchError(
            f"{path} is a folder.", "the file cannot get its name", "give to= another name"
        )
    known = records.of_file(path)
    if known is not None and known.identity == link.identity:
        if way.hashes:
            return known if has_all(known, path, way.hashes) else None
        return known if offline or still(known, link, way, str(path)) else None
    if way.hashes and has(path, way.hashes):
        return _taken(path, link, "", proven=True)
    if overwrite:
        return None
    told = None if offline or way.hashes else _asked(link, way)
    size = path.stat().st_size
    if told is not None and told.size == size:
        way.emit(
            Note(
                f"{path} is there already, with the {size:,} bytes that the server has; it is used as it is. overwrite=True fetches it."
            )
        )
        return _taken(path, link, told.validator)
    if offline:
        way.emit(Note(f"{path} is there already and is used as it is (offline)."))
        return _taken(path, link, "")
    why = "it was not fetched from this link" if known is None else f"it came from {known.url}"
    if way.hashes:
        why = f"its {next(iter(way.hashes))} is another one"
    elif told is not None and told.size is not None:
        why = f"it has {size:,} bytes, and the server's has {told.size:,}"
    raise FetchError(
        f"Another {path.name} is there already, and is kept.",
        why,
        "give to= another name, or overwrite=True to replace it",
    )


def has_all(known: Record, path: Path, hashes: Mapping[str, str]) -> bool:
    """Whether a file with a record has these hashes; its sha256 is in the record."""
    return all(
        known.sha256.startswith(h) if kind == "sha256" and known.sha256 else has(path, {kind: h})
        for kind, h in hashes.items()
    )


def _taken(path: Path, link: Link, validator: str, *, proven: bool = False) -> Record:
    """The record of a file that is used as it is. Only one whose hash was compared is ours from now on: others may be the user's work."""
    from ..system.files import sha256

    record = Record(link.identity, public(link.url), sha256(path), path.stat().st_size, validator)
    if proven:
        records.remember_file(path, record)
    return record


def folder_there(
    folder: Path, link: Link, way: Way, *, offline: bool, overwrite: bool
) -> Record | None:
    """The record of a folder that need not be fetched and unpacked; None if it must be.

    Raises
    ------
    FetchError
        Another folder of that name is there: it is kept.
    """
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return None
    known = records.of_folder(folder) if folder.is_dir() else None
    if known is not None and known.identity == link.identity:
        right = (
            all(
                known.sha256.startswith(wanted)
                for kind, wanted in way.hashes.items()
                if kind == "sha256"
            )
            or not known.sha256
        )
        if right and (
            offline or (way.hashes and known.sha256) or still(known, link, way, str(folder))
        ):
            return known
        if overwrite or records.untouched(folder, known):
            return None
        if not right:
            why, fix = (
                "it has another sha256, and files in it are yours",
                "overwrite=True replaces it, or give to= another folder",
            )
            raise FetchError(f"Another {folder.name} is there already, and is kept.", why, fix)
        way.emit(
            Note(
                f"{folder} is kept although the archive has changed: files in it are yours. overwrite=True replaces it.",
                "warn",
            )
        )
        return known
    if overwrite:
        return None
    why = (
        "it was not unpacked from this link"
        if known is None
        else f"it was unpacked from {known.url}"
    )
    raise FetchError(
        f"Another {folder.name} is there already, and is kept.",
        why,
        "give to= another folder, or overwrite=True to replace it",
    )


def still(known: Record, link: Link, way: Way, what: str) -> bool:
    """Ask whether the server still has the version that is here; where it cannot be asked, it counts as such."""
    if link.kind == "file":
        try:
            return (
                os.stat(link.url).st_size == known.size
                and validator_of_file(Path(link.url)) == known.validator
            )
        except OSError:
            return True
    told = _asked(link, way, known.validator, what)
    if told is None or told.unchanged:
        return True
    if known.validator and told.validator:
        same = known.validator == told.validator
    else:
        same = told.size is None or not known.size or told.size == known.size
    if not same:
        way.emit(Note(f"{what} has changed at its source; it is fetched anew."))
    return same


def _asked(link: Link, way: Way, validator: str = "", what: str = "") -> Told | None:
    try:
        return ask_about(link, way, validator=validator)
    except Stopped:
        raise
    except FetchError as err:
        if what:
            way.emit(
                Note(
                    f"Whether {what} is still the newest was not to be learned ({err.why or err.what}); it is used as it is."
                )
            )
        return None


def validator_of_file(path: Path) -> str:
    """What names the version of a local file."""
    return str(path.stat().st_mtime_ns)
