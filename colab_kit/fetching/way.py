"""The way to files: what is the same for all links of one call, and what a server is asked before anything is fetched."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..colab.bridge import secret
from ..errors import Stopped
from ..events import Control, Event
from ..system.files import home
from ..system.http import Web
from ..system.locks import alone
from . import gdrive
from .links.parse import Link, name_from_header, safe_name
from .ranges import size_of_416, understood, validator_of
from .source import CONNECTIONS, Source


@dataclass(frozen=True)
class Way:
    """How the files are fetched: what is the same for all links of one call.

    hashes : {"sha256": hex or its beginning} or {"md5": hex}
    token : sent to the first link's host alone, never to a mirror
    find : gives a secret by its name, or None
    """

    web: Web
    emit: Callable[[Event], None]
    hashes: Mapping[str, str]
    token: str | None = None
    max_size: int | None = None
    control: Control | None = None
    connections: int = CONNECTIONS
    sleep: Callable[[float], object] | None = None
    find: Callable[[str], str | None] = secret


def source_of(link: Link, way: Way, token: str | None = None) -> Source:
    """Where a link's bytes are: of one on Drive it is asked for."""
    if link.service == "drive":
        return Source(_on_drive(link, way).url, connections=1)
    return Source(link.url, token, connections=way.connections)


def _on_drive(link: Link, way: Way) -> gdrive.Found:
    export = link.url if link.kind == "gdoc" else ""
    return gdrive.locate(
        link.id,
        way.web,
        resourcekey=link.resourcekey,
        export=export,
        format=link.export,
        sleep=way.sleep or time.sleep,
    )


@dataclass(frozen=True)
class Told:
    """What a server says of a file without sending it; None where it does not say."""

    name: str
    size: int | None
    validator: str
    unchanged: bool = False  # it is still the version that was asked about
    ranges: bool = False


def ask_about(link: Link, way: Way, *, validator: str = "", token: str | None = None) -> Told:
    """Ask what a link's file is called, its size, and whether it is still `validator`'s version: one request, no body.

    Raises
    ------
    FetchError
    """
    if link.service == "drive":
        found = _on_drive(link, way)
        return Told(found.name, found.size, "")
    guard = (
        {"If-None-Match" if validator.startswith('"') else "If-Modified-Since": validator}
        if validator
        else {}
    )
    headers = {"Range": "bytes=0-", **guard} if not validator else guard
    with way.web.ask(link.url, headers=headers, token=token, accept=(200, 206, 304, 416)) as reply:
        if reply.status == 304:
            return Told("", None, validator, True)
        begun = understood(reply.status, reply.headers, 0, packed=reply.packed)
        named = name_from_header(reply.headers.get("Content-Disposition", "")) or safe_name(
            unquote(urlsplit(reply.url).path.rpartition("/")[2])
        )
        now = validator_of(reply.headers)
        size = begun.total if begun is not None else size_of_416(reply.headers)
        return Told(
            named,
            size,
            now,
            bool(validator) and now == validator,
            begun is not None and begun.ranges,
        )


def one_at_a_time(to: Path, way: Way) -> AbstractContextManager[None]:
    """A lock on a destination: two processes that want the same file bring it once."""
    key = hashlib.sha256(str(to.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    said = f"Another process fetches {to.name}; waiting for it."
    return alone(home() / "locks", key, way.emit, way.control, said=said, stopped=Stopped)
