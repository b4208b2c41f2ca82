"""What a link's file is called: by the link, by an earlier answer, or by the server."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path, PurePath

from ..errors import Offline
from ..system.files import home, write_whole
from .aims import is_folder
from .links.parse import Link, safe_name
from .way import Way, ask_about

NAMELESS = "download"


def of(
    link: Link, way: Way, to: str | os.PathLike[str] | None, *, named: bool | None, offline: bool
) -> str:
    """The file's name. The server is asked only where neither the link nor an earlier call tells it.

    Raises
    ------
    FetchError
        The server could not be asked.
    """
    if link.kind == "file":
        return PurePath(os.path.expanduser(link.url)).name or NAMELESS
    if link.kind == "http" and PurePath(link.name).suffix:
        return link.name
    if to is not None and (not is_folder(to) if named is None else named):
        return Path(to).name
    note = _note(link.identity)
    with suppress(OSError, UnicodeDecodeError):
        if known := safe_name(note.read_text()):
            return known
    if offline:
        raise Offline(
            f"What {link.name or 'the link'} is called is not known.",
            "no server is asked (offline)",
            "give to= the file's name",
        )
    told = ask_about(link, way).name
    name = told if PurePath(told).suffix or not link.name else link.name
    with suppress(OSError):
        write_whole(note, name or NAMELESS)
    return name or NAMELESS


def _note(identity: str) -> Path:
    return (
        home()
        / "fetched"
        / "names"
        / hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    )
