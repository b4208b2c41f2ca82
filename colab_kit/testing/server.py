"""A file server for tests: on this machine only, it serves what a test puts there and misbehaves as planned.

url = file_server.put("cats.zip", data)
cut = file_server.cuts(after=1000, times=1)
fetch(url)                                              # the code under test: it must go on after the cut
assert cut.fired == 1 and file_server.count("cats.zip") == 2
"""

from __future__ import annotations

import hashlib
import io
import mimetypes
import socket
import threading
from dataclasses import dataclass
from email.utils import formatdate
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, TypedDict, Unpack
from urllib.parse import quote, unquote

from .answers import Answer, Asked, Served, answer

PIECE = 1 << 16  # bytes written at once
FIRST_PUT = 1_767_225_600  # Last-Modified of the first file; each put counts a second on


class When(TypedDict, total=False):
    """Which requests a trick hits: after `skip` matching ones, `times` of them (None: all), of one method or both."""

    skip: int
    times: int | None
    method: str


@dataclass
class Trick:
    """A planned misbehaviour; `fired` counts what it has hit."""

    kind: str
    value: Any
    on: str
    skip: int = 0
    times: int | None = None
    method: str | None = None
    seen: int = 0
    fired: int = 0

    def strikes(self, asked: Asked) -> bool:
        if not fnmatchcase(asked.name, self.on) or self.method not in (None, asked.method):
            return False
        hit = self.seen >= self.skip and (self.times is None or self.fired < self.times)
        self.seen, self.fired = self.seen + 1, self.fired + hit
        return hit


class FileServer:
    """Serves files over HTTP/1.1 from 127.0.0.1: ranges, validators, HEAD, many requests at once; each trick counts.

    requests : every request so far, in the order they came
    peak : how many were being answered at one time
    """

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.peak = 0
        self._files: dict[str, Served] = {}
        self._tricks: list[Trick] = []
        self._busy = self._puts = 0
        self._lock, self._closing = threading.Lock(), threading.Event()
        self.sockets: set[socket.socket] = set()
        self._http = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"files": self})
        )
        self._http.daemon_threads = True
        threading.Thread(
            target=self._http.serve_forever, args=(0.01,), daemon=True, name="file server"
        ).start()

    def put(
        self,
        name: str,
        data: bytes | Path,
        *,
        etag: str | None = None,
        kind: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> str:
        """Serve these bytes, or this file, under a name; return the URL. Put again, it is another version: ETag and date change.

        etag : its value with quotes (W/"…" is a weak one); None: made from the content; "" : neither ETag nor Last-Modified
        kind : Content-Type, else by the name; headers : sent beside ours, such as Content-Disposition or Content-Encoding
        """
        with self._lock:
            self._puts += 1
            if etag is None:
                etag = (
                    f'"{hashlib.sha256(data).hexdigest()[:16]}"'
                    if isinstance(data, bytes)
                    else f'"{self._puts}"'
                )
            modified = formatdate(FIRST_PUT + self._puts, usegmt=True) if etag else None
            guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
            self._files[name] = Served(data, etag or None, modified, kind or guessed, headers or {})
        return self.url(name)

    def url(self, name: str, *, host: str = "127.0.0.1") -> str:
        """Where a name is found; "localhost" is another host to a client that must not carry a token across."""
        return f"http://{host}:{self._http.server_port}/{quote(name)}"

    def asked(self, name: str) -> list[Asked]:
        """The requests for a name, or for those that match a glob."""
        return [asked for asked in self.requests if fnmatchcase(asked.name, name)]

    def count(self, name: str = "*") -> int:
        return len(self.asked(name))

    def status(
        self,
        code: int,
        on: str = "*",
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        **when: Unpack[When],
    ) -> Trick:
        """Answer with this status instead of the file: 404, 429 with {"Retry-After": "2"}, 503 …"""
        return self._plan("status", (code, body, headers or {}), on, when)

    def redirects(self, to: str, on: str = "*", *, code: int = 302, **when: Unpack[When]) -> Trick:
        """Send the client elsewhere."""
        return self._plan("status", (code, b"", {"Location": to}), on, when)

    def cuts(self, after: int, on: str = "*", **when: Unpack[When]) -> Trick:
        """Close the connection after so many bytes of the body."""
        return self._plan("cut", after, on, when)

    def stalls(
        self, seconds: float, on: str = "*", *, after: int | None = None, **when: Unpack[When]
    ) -> Trick:
        """Fall silent for so long, after so many bytes of the body; before the first header, if None."""
        return self._plan("stall", (-1 if after is None else after, seconds), on, when)

    def slow(self, bytes_per_second: float, on: str = "*", **when: Unpack[When]) -> Trick:
        """Send each body no faster than this; several at once have this speed each."""
        return self._plan("rate", bytes_per_second, on, when)

    def says_length(self, length: int | None, on: str = "*", **when: Unpack[When]) -> Trick:
        """Announce another length than is sent; None: none at all, the end of the connection ends the file."""
        return self._plan("length", length, on, when)

    def ignores_ranges(self, on: str = "*", **when: Unpack[When]) -> Trick:
        """Answer 200 and the whole file, whatever part was asked for."""
        return self._plan("whole", True, on, when)

    def shifts_ranges(self, by: int, on: str = "*", **when: Unpack[When]) -> Trick:
        """Send, and announce, a part that begins so many bytes after the one asked for."""
        return self._plan("shift", by, on, when)

    def says(self, headers: dict[str, str | None], on: str = "*", **when: Unpack[When]) -> Trick:
        """Set these headers; None leaves one out."""
        return self._plan("headers", headers, on, when)

    def clear(self) -> None:
        """End all tricks; what they counted stays."""
        with self._lock:
            self._tricks.clear()

    def close(self) -> None:
        """End the server, with every answer that is still on its way."""
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        with self._lock:
            for connection in self.sockets:
                _hang_up(connection)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request, in the thread of its connection."""
        path, _, query = handler.path.partition("?")
        asked = Asked(
            handler.command,
            unquote(path.lstrip("/")),
            query,
            {name.lower(): value for name, value in handler.headers.items()},
        )
        with self._lock:
            self.requests.append(asked)
            tricks = {
                trick.kind: trick.value for trick in self._tricks if trick.strikes(asked)
            }  # of one kind the last one counts
            file = self._files.get(asked.name)
            self._busy += 1
            self.peak = max(self.peak, self._busy)
        try:
            reply = answer(file, asked.headers, tricks)
            asked.status = reply.status
            handler.close_connection = handler.close_connection or not reply.keeps_open
            self._send(handler, asked, reply)
        except ConnectionError:  # the client has gone
            handler.close_connection = True
        finally:
            with self._lock:
                self._busy -= 1

    def _send(self, handler: BaseHTTPRequestHandler, asked: Asked, reply: Answer) -> None:
        if reply.stall_at == -1:
            self._closing.wait(reply.stall_for)
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if handler.close_connection:
            handler.send_header("Connection", "close")
        handler.end_headers()
        if asked.method != "HEAD":
            with _opened(reply.body) as body:
                body.seek(reply.start)
                self._send_body(body, handler, asked, reply)

    def _send_body(
        self, body: BinaryIO, handler: BaseHTTPRequestHandler, asked: Asked, reply: Answer
    ) -> None:
        most = (
            PIECE if reply.rate is None else max(1, min(PIECE, int(reply.rate / 20)))
        )  # 20 pieces a second: an even flow
        while asked.sent < reply.sends:
            stop = min(
                asked.sent + most,
                reply.sends,
                *([reply.stall_at] if reply.stall_at > asked.sent else []),
            )
            wait = reply.stall_for if asked.sent == reply.stall_at else 0.0
            if self._closing.wait(
                wait + ((stop - asked.sent) / reply.rate if reply.rate is not None else 0.0)
            ):
                return
            piece, asked.sent = (
                body.read(stop - asked.sent),
                stop,
            )  # counted first: who has read it all finds it counted
            handler.wfile.write(piece)

    def _plan(self, kind: str, value: Any, on: str, when: When) -> Trick:
        trick = Trick(kind, value, on, **when)
        with self._lock:
            self._tricks.append(trick)
        return trick


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # s; an idle connection ends then
    files: FileServer

    def setup(self) -> None:
        super().setup()
        with self.files._lock:
            self.files.sockets.add(self.connection)

    def do_GET(self) -> None:
        self.files.serve(self)

    do_HEAD = do_GET

    def finish(self) -> None:
        with self.files._lock:
            self.files.sockets.discard(self.connection)
        super().finish()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def _opened(body: bytes | Path) -> BinaryIO:
    return io.BytesIO(body) if isinstance(body, bytes) else body.open("rb")


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it had ended by itself
        pass
