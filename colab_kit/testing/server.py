"""A file server on this machine: it serves what a test puts there, and fails as planned.

url = file_server.put("cats.zip", data)
cut = file_server.cuts(after=1000, times=1)
fetch(url)                                # the code under test continues after the cut
assert cut.fired == 1 and file_server.count("cats.zip") == 2
"""

from __future__ import annotations

import hashlib
import io
import mimetypes
import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, TypedDict, Unpack
from urllib.parse import quote, unquote
from weakref import WeakSet

Headers = dict[str, str]
Tricks = dict[str, Any]  # values by kind
PIECE = 1 << 16  # bytes written at once
FIRST_PUT = 1_767_225_600  # Last-Modified of the first file; each put is a second later


@dataclass
class Request:
    """A request as it came, and what became of it.

    name, query : of the file
    headers : names in small letters
    status : 0 until it is decided
    sent : bytes of the body that were handed over so far
    """

    method: str
    name: str
    query: str
    headers: Headers = field(repr=False)
    status: int = 0
    sent: int = 0


@dataclass(frozen=True)
class ServedFile:
    """A file as it is served; None leaves a header out."""

    data: bytes | Path
    etag: str | None
    modified: str | None
    kind: str
    headers: Headers

    @property
    def size(self) -> int:
        return len(self.data) if isinstance(self.data, bytes) else self.data.stat().st_size

    def validators(self) -> Headers:
        pairs = {"ETag": self.etag, "Last-Modified": self.modified}
        return {name: value for name, value in pairs.items() if value is not None}


@dataclass
class Answer:
    """One reply: `sends` bytes of `body`, from `start` on.

    stall_at : the byte before which it is silent for `stall_for` seconds; -1: before the headers
    rate : bytes a second
    """

    status: int
    headers: Headers
    body: bytes | Path = b""
    start: int = 0
    sends: int = 0
    stall_at: int = -2
    stall_for: float = 0.0
    rate: float | None = None
    keeps_open: bool = True


class When(TypedDict, total=False):
    """Which requests a trick hits: `skip` matching ones pass, then `times` are hit (None: all).

    method : "GET" or "HEAD"; both, if it is left out
    """

    skip: int
    times: int | None
    method: str


@dataclass
class Trick:
    """A planned misbehaviour; `fired` counts the requests that it has hit."""

    kind: str
    value: Any
    on: str
    skip: int = 0
    times: int | None = None
    method: str | None = None
    seen: int = 0
    fired: int = 0

    def strikes(self, request: Request) -> bool:
        if not fnmatchcase(request.name, self.on) or self.method not in (None, request.method):
            return False
        hit = self.seen >= self.skip and (self.times is None or self.fired < self.times)
        self.seen, self.fired = self.seen + 1, self.fired + hit
        return hit


class FileServer:
    """Serve files over HTTP/1.1 from 127.0.0.1: ranges, validators, HEAD, many requests at once.

    requests : every request so far, in the order they came
    peak : how many were being answered at one time
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.peak = 0
        self._files: dict[str, ServedFile] = {}
        self._tricks: list[Trick] = []
        self._busy = self._puts = 0
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        handler = type("Handler", (_Handler,), {"files": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        serve = self._http.serve_forever
        threading.Thread(target=serve, args=(0.01,), daemon=True, name="file server").start()

    def put(
        self,
        name: str,
        data: bytes | Path,
        *,
        etag: str | None = None,
        kind: str | None = None,
        headers: Headers | None = None,
    ) -> str:
        """Serve these bytes, or this file, under a name, and return the URL.

        Put again, it is another version: ETag and date change.

        Parameters
        ----------
        name : str
            The path in the URL.
        data : bytes or Path
            The content.
        etag : str, optional
            With quotes; W/"…" is a weak one. None: made from the content. "": neither ETag nor
            Last-Modified.
        kind : str, optional
            Content-Type; guessed from the name, if None.
        headers : dict, optional
            Sent beside ours, such as Content-Disposition or Content-Encoding.
        """
        with self._lock:
            self._puts += 1
            if etag is None:
                version = hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else ""
                etag = f'"{version[:16] or self._puts}"'
            modified = formatdate(FIRST_PUT + self._puts, usegmt=True) if etag else None
            kind = kind or mimetypes.guess_type(name)[0] or "application/octet-stream"
            self._files[name] = ServedFile(data, etag or None, modified, kind, headers or {})
        return self.url(name)

    def url(self, name: str, *, host: str = "127.0.0.1") -> str:
        """The URL of a name. "localhost" is another host to a client that guards its token."""
        return f"http://{host}:{self._http.server_port}/{quote(name)}"

    def requests_for(self, name: str) -> list[Request]:
        """The requests for a name, or for those that match a glob."""
        return [request for request in self.requests if fnmatchcase(request.name, name)]

    def count(self, name: str = "*") -> int:
        return len(self.requests_for(name))

    def status(
        self,
        code: int,
        on: str = "*",
        *,
        body: bytes = b"",
        headers: Headers | None = None,
        **when: Unpack[When],
    ) -> Trick:
        """Answer with this status instead of the file: 404, 503, 429 with {"Retry-After": "2"}."""
        return self._plan("status", (code, body, headers or {}), on, when)

    def redirects(self, to: str, on: str = "*", *, code: int = 302, **when: Unpack[When]) -> Trick:
        """Send the client elsewhere."""
        return self.status(code, on, headers={"Location": to}, **when)

    def cuts(self, after: int, on: str = "*", **when: Unpack[When]) -> Trick:
        """Close the connection after so many bytes of the body."""
        return self._plan("cut", after, on, when)

    def stalls(
        self, seconds: float, on: str = "*", *, after: int = -1, **when: Unpack[When]
    ) -> Trick:
        """Fall silent for so long after so many bytes of the body; -1: before the first header."""
        return self._plan("stall", (after, seconds), on, when)

    def slow(self, bytes_per_second: float, on: str = "*", **when: Unpack[When]) -> Trick:
        """Send each body no faster than this; several at once have this speed each."""
        return self._plan("rate", bytes_per_second, on, when)

    def says_length(self, length: int | None, on: str = "*", **when: Unpack[When]) -> Trick:
        """Announce another length than is sent; None: none, the connection's end ends the file."""
        return self._plan("length", length, on, when)

    def ignores_ranges(self, on: str = "*", **when: Unpack[When]) -> Trick:
        """Answer 200 and the whole file to every request for a part."""
        return self._plan("whole", True, on, when)

    def shifts_ranges(self, by: int, on: str = "*", **when: Unpack[When]) -> Trick:
        """Send, and announce, a part that begins so many bytes after the requested one."""
        return self._plan("shift", by, on, when)

    def says(self, headers: dict[str, str | None], on: str = "*", **when: Unpack[When]) -> Trick:
        """Set these headers; None leaves one out."""
        return self._plan("headers", headers, on, when)

    def clear(self) -> None:
        """End all tricks; their counts stay."""
        with self._lock:
            self._tricks.clear()

    def close(self) -> None:
        """End the server, with every answer that is still on its way."""
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        with self._lock:
            for connection in self._sockets:
                with suppress(OSError):  # it had ended by itself
                    connection.shutdown(socket.SHUT_RDWR)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request, in the thread of its connection."""
        path, _, query = handler.path.partition("?")
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, unquote(path.lstrip("/")), query, headers)
        with self._lock:
            self._sockets.add(handler.connection)
            self.requests.append(request)
            # of one kind the last one counts
            tricks = {trick.kind: trick.value for trick in self._tricks if trick.strikes(request)}
            file = self._files.get(request.name)
            self._busy += 1
            self.peak = max(self.peak, self._busy)
        try:
            reply = answer(file, headers, tricks)
            request.status = reply.status
            handler.close_connection = handler.close_connection or not reply.keeps_open
            self._send(handler, request, reply)
        except ConnectionError:  # the client has gone
            handler.close_connection = True
        finally:
            with self._lock:
                self._busy -= 1

    def _send(self, handler: BaseHTTPRequestHandler, request: Request, reply: Answer) -> None:
        if reply.stall_at == -1:
            self._closing.wait(reply.stall_for)
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if handler.close_connection:
            handler.send_header("Connection", "close")
        handler.end_headers()
        if request.method == "HEAD":
            return
        rate = reply.rate
        most = PIECE if rate is None else max(1, min(PIECE, int(rate / 20)))  # an even flow
        with _open(reply.body) as body:
            body.seek(reply.start)
            while request.sent < reply.sends:
                size, wait = min(most, reply.sends - request.sent), 0.0
                if reply.stall_at > request.sent:
                    size = min(size, reply.stall_at - request.sent)
                elif reply.stall_at == request.sent:
                    wait = reply.stall_for
                if self._closing.wait(wait + (size / rate if rate is not None else 0.0)):
                    return
                request.sent += size  # first: who has read all of it finds it counted
                handler.wfile.write(body.read(size))

    def _plan(self, kind: str, value: Any, on: str, when: When) -> Trick:
        trick = Trick(kind, value, on, **when)
        with self._lock:
            self._tricks.append(trick)
        return trick


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds; an idle connection ends then
    files: FileServer

    def do_GET(self) -> None:
        self.files.serve(self)

    do_HEAD = do_GET

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def _open(body: bytes | Path) -> BinaryIO:
    return io.BytesIO(body) if isinstance(body, bytes) else body.open("rb")


def answer(file: ServedFile | None, headers: Headers, tricks: Tricks) -> Answer:
    """The reply to a request, as in RFC 9110, bent by the tricks that strike. Pure.

    file : None, where there is no such file
    headers : of the request; names in small letters
    tricks : values by kind
    """
    if "status" in tricks:
        code, body, more = tricks["status"]
        reply = Answer(code, {"Content-Length": f"{len(body)}", **more}, body, sends=len(body))
    elif file is None:
        reply = Answer(404, {"Content-Length": "9"}, b"Not here.", sends=9)
    elif _is_unchanged(file, headers):
        reply = Answer(304, file.validators())
    else:
        part = None if "whole" in tricks else _part(file, headers)
        reply = _file(file, part, tricks.get("shift", 0))
    return _bent(reply, tricks)


def _is_unchanged(file: ServedFile, headers: Headers) -> bool:
    if "if-none-match" in headers:
        return file.etag is not None and file.etag in headers["if-none-match"]
    return file.modified is not None and headers.get("if-modified-since") == file.modified


def _part(file: ServedFile, headers: Headers) -> range | None:
    """The bytes that a Range header means, none of which may be there; None: the whole file."""
    strong = file.etag if file.etag and not file.etag.startswith("W/") else None
    if headers.get("if-range", strong) not in (strong, file.modified):
        return None  # the client has a part of another version
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", ""))
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, file.size - int(last))
    return range(start, min(file.size, int(last) + 1) if first and last else file.size)


def _file(file: ServedFile, part: range | None, shift: int) -> Answer:
    size = file.size
    if part is not None and not part:
        return Answer(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
    headers = {"Content-Type": file.kind, "Accept-Ranges": "bytes", **file.validators()}
    headers |= file.headers
    status, span = 200, range(size)
    if part is not None:
        status, span = 206, range(min(part.start + shift, part.stop), part.stop)
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    headers["Content-Length"] = str(len(span))
    return Answer(status, headers, file.data, span.start, len(span))


def _bent(reply: Answer, tricks: Tricks) -> Answer:
    if "cut" in tricks and tricks["cut"] < reply.sends:
        reply.sends, reply.keeps_open = tricks["cut"], False
    if "stall" in tricks:
        reply.stall_at, reply.stall_for = tricks["stall"]
    instead = dict(tricks.get("headers", {}))
    if "length" in tricks:
        length, reply.keeps_open = tricks["length"], False
        instead.setdefault("Content-Length", None if length is None else str(length))
    for name, value in instead.items():
        reply.headers.pop(name, None)
        reply.headers |= {} if value is None else {name: value}
    reply.rate = tricks.get("rate")
    return reply
