"""A file on a server: where its bytes are, and what the server says of it before it sends them."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from urllib.parse import urlsplit

from ..colab.bridge import secret
from ..errors import NotFound, Offline, Private, Stopped
from ..events import Callback, Control
from ..system.addresses import same_origin
from ..system.files import home, write_whole
from ..system.http import Reply, Web
from ..system.locks import alone
from ..system.retry import Sleep
from . import gdrive, hubs
from .hubs import Find
from .links.address import Link, clean_name, decoded_name, name_from_header

CONNECTIONS = 8
ACCEPTED = (200, 206, 416)  # statuses of answers about a range
NAMELESS = "download"


@dataclass(frozen=True)
class Call:
    """What is the same for all links of one call.

    hashes : {"sha256": hex or its beginning} or {"md5": hex}, or nothing
    token : goes to the first link's host alone, never to a mirror
    sleep : None: a wait ends when `control` says stop
    find : gives a secret by its name, or None
    on_drive : what Drive said of a file, by its identity: it is asked once a call
    """

    web: Web
    emit: Callback
    hashes: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None
    max_size: int | None = None
    control: Control = field(default_factory=Control)
    sleep: Sleep | None = None
    find: Find = secret
    on_drive: dict[str, gdrive.DriveFile] = field(default_factory=dict)

    def check_stop(self, name: str) -> None:
        """Raise Stopped if `control` says stop."""
        if self.control.stopped:
            what, fix = f"{name} was not fetched to its end.", "the same call continues from there"
            raise Stopped(what, self.control.reason, fix)

    def wait(self, seconds: float, name: str, over: threading.Event | None = None) -> None:
        """Wait; `over` ends it early, and a stop raises Stopped."""
        self.check_stop(name)
        if self.sleep is not None:
            self.sleep(seconds)
            return
        over, end = over or threading.Event(), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not over.wait(min(left, 0.1)):
            self.check_stop(name)

    def authorization(self, link: Link) -> str | None:
        """Tell what Authorization says for the token that was given; None if none was."""
        if not self.token:
            return None
        return hubs.authorization(link.service, self.token, lambda name: None)

    def drive_file(self, link: Link) -> gdrive.DriveFile:
        """Tell where Drive has the bytes of a file or an exported document."""
        if link.identity not in self.on_drive:
            key, export = link.resourcekey, link.url if link.kind == "gdoc" else ""
            self.on_drive[link.identity] = gdrive.locate(
                link.id,
                self.web,
                resourcekey=key,
                export=export,
                format=link.export,
                sleep=lambda seconds: self.wait(seconds, link.name or "The file"),
            )
        return self.on_drive[link.identity]


@dataclass(frozen=True)
class Remote:
    """What a server says of a file without sending it.

    name : "" where the server does not say it
    size : bytes, None where the server does not say it
    version : a strong ETag or a date, "" where the server gives neither
    unchanged : whether it is still the version that was asked about
    """

    name: str
    size: int | None
    version: str
    unchanged: bool = False


def resolve(link: Link, call: Call, version: str = "") -> Remote:
    """Ask for a file's name, size and version, and whether it is still `version`; no byte comes.

    Raises
    ------
    FetchError
    OSError
        The link is a path of this machine, and nothing is there.
    """
    if link.kind == "file":
        path = Path(os.path.expanduser(link.url))
        stat = path.stat()
        return Remote(path.name, stat.st_size, str(stat.st_mtime_ns))
    if link.id:
        drive_file = call.drive_file(link)
        return Remote(drive_file.name, drive_file.size, "")
    headers = {"Range": "bytes=0-"}
    if version:
        headers = {"If-None-Match" if version.startswith('"') else "If-Modified-Since": version}
    token = call.authorization(link)
    with call.web.ask(link.url, headers=headers, token=token, accept=(*ACCEPTED, 304)) as reply:
        if reply.status == 304:
            return Remote("", None, version, True)
        named = name_from_header(reply.headers.get("Content-Disposition", ""))
        name = named or decoded_name(urlsplit(reply.url).path.rpartition("/")[2])
        stretch, now = stretch_of(reply, 0), version_of(reply)
        size = size_of_416(reply) if stretch is None else stretch.total
        return Remote(name, size, now, bool(version) and now == version)


def name_of(link: Link, call: Call, *, offline: bool) -> str:
    """Give the file's name: by the link, by an earlier answer, or else by the server.

    Raises
    ------
    FetchError
        The server could not be asked.
    """
    if link.kind == "file":
        return PurePath(os.path.expanduser(link.url)).name or NAMELESS
    if link.kind == "http" and PurePath(link.name).suffix:
        return link.name
    note = home() / "fetched" / "names" / short_key(link.identity, 24)
    with suppress(OSError, UnicodeDecodeError):
        if name := clean_name(note.read_text(encoding="utf-8")):
            return name
    if offline:
        what, why = f"The name of {link.name or 'the file'} is not known.", "offline=True is set"
        raise Offline(what, why, "give to= the file's name")
    name = resolve(link, call).name
    name = name if PurePath(name).suffix or not link.name else link.name
    with suppress(OSError):
        write_whole(note, name or NAMELESS)
    return name or NAMELESS


class Source:
    """An address, and the one that its redirects led to: that one is asked until it expires.

    token : what Authorization says; it goes to the address's own host alone
    connections : how many the server allows; Drive allows one
    """

    def __init__(
        self, url: str, token: str | None = None, *, connections: int = CONNECTIONS
    ) -> None:
        self.url, self.token, self.connections = url, token, connections
        self._direct = ""

    def ask(self, web: Web, headers: Mapping[str, str]) -> Reply:
        """Ask for the file, or for the part that `headers` name.

        Raises
        ------
        FetchError
        """
        if direct := self._direct:
            token = self.token if same_origin(direct, self.url) else None
            try:
                return web.ask(direct, headers=headers, token=token, accept=ACCEPTED)
            except (Private, NotFound):  # signed addresses expire
                self._direct = ""
        reply = web.ask(self.url, headers=headers, token=self.token, accept=ACCEPTED)
        self._direct = "" if reply.url == self.url else reply.url
        return reply


def source_of(link: Link, call: Call, token: str | None = None) -> Source:
    """Tell where a link's bytes are."""
    if link.id:  # a document that is published to the web has none, and is a plain address
        return Source(call.drive_file(link).url, connections=1)
    return Source(link.url, token)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bytes of a file that an answer holds.

    start, stop : from, and up to but without; stop is None where only the answer's end tells it
    total : bytes of the file, None where the server does not say it
    version : as in Remote
    ranges : whether others may be asked for
    """

    start: int
    stop: int | None
    total: int | None
    version: str
    ranges: bool

    def fits(self, start: int, total: int | None, version: str) -> bool:
        """Tell whether these bytes continue a file of that size and version from `start`."""
        return (self.start, self.total) == (start, total) and same(version, self.version)


def stretch_of(
    reply: Reply, start: int, end: int | None = None, *, as_sent: bool = False
) -> Stretch | None:
    """Tell what an answer holds of the bytes from `start` to `end` (excluded); None: it is no use.

    The Content-Range decides: 200 with a right one is a range, 206 without one is no use. A packed
    answer counts other bytes than the file's, unless it is taken `as_sent`.
    """
    packed = reply.coding and not as_sent
    held, version = reply.headers.get("Content-Range", "").strip(), version_of(reply)
    match = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", held)
    if match is not None and reply.status in (200, 206) and not packed:
        first, last, total = map(int, match.groups())
        right = first == start and first <= last < min(total, total if end is None else end)
        return Stretch(start, last + 1, total, version, True) if right else None
    if reply.status != 200 or held:
        return None
    size = None if packed else reply.length
    return Stretch(0, size, size, version, False)


def version_of(reply: Reply) -> str:
    """Name this version for If-Range: a strong ETag, else the date; a weak ETag names none."""
    etag = reply.headers.get("ETag", "").strip()
    if re.fullmatch(r'"[\x21\x23-\x7e\x80-\xff]*"', etag):
        return etag
    return reply.headers.get("Last-Modified", "").strip()


def size_of_416(reply: Reply) -> int | None:
    """Give the size of the file that has no such range, if the server says it."""
    held = reply.headers.get("Content-Range", "").strip()
    match = re.fullmatch(r"bytes \*/([0-9]{1,18})", held)
    return int(match[1]) if match else None


def same(saved: str, version: str) -> bool:
    """Tell whether an answer is of the saved version: an answer to If-Range may leave it out."""
    return not version or not saved or version == saved


class Every:
    """A rhythm: due() tells whether so many seconds have passed since it last did."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def due(self) -> bool:
        """Tell whether it is time, and begin to wait anew if so."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


def short_key(text: str, digits: int = 16) -> str:
    """Give hex digits that stand for a text, for names of files."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:digits]


def one_at_a_time(
    to: Path, emit: Callback, control: Control | None = None, doing: str = ""
) -> AbstractContextManager[None]:
    """Give a lock on a destination: two processes that want the same file bring it once."""
    note = f"Another process {doing or f'fetches {to.name}'}; waiting for it."
    key = short_key(str(to.absolute()))
    return alone(home() / "locks", key, emit, control, said=note, stopped=Stopped)
