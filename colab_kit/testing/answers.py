"""What a file server is asked and answers: ranges, validators and lengths as in RFC 9110, bent by the tricks that strike. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Asked:
    """A request as it came, and what became of it.

    name, query : of the file; headers : in small letters
    status : 0 until it is decided; sent : bytes of the body handed over so far
    """

    method: str
    name: str
    query: str
    headers: dict[str, str] = field(repr=False)
    status: int = 0
    sent: int = 0


@dataclass(frozen=True)
class Served:
    """A file as it is served; None leaves a header out."""

    data: bytes | Path
    etag: str | None
    modified: str | None
    kind: str
    headers: dict[str, str]

    @property
    def size(self) -> int:
        return len(self.data) if isinstance(self.data, bytes) else self.data.stat().st_size


@dataclass
class Answer:
    """One reply: `sends` bytes of `body` from `start` on, silent for `stall_for` seconds at byte `stall_at` (-1: before all)."""

    status: int
    headers: dict[str, str]
    body: bytes | Path = b""
    start: int = 0
    sends: int = 0
    stall_at: int = -2
    stall_for: float = 0.0
    rate: float | None = None  # bytes a second
    keeps_open: bool = True


@dataclass(frozen=True)
class Part:
    """Bytes start to end (excluded) of `of`."""

    start: int
    end: int
    of: int
    whole: bool = True


def answer(file: Served | None, headers: dict[str, str], tricks: dict[str, Any]) -> Answer:
    """The reply to a request for a file (None: there is none), given its headers in small letters, and the tricks by kind."""
    if "status" in tricks:
        code, body, said = tricks["status"]
        reply = Answer(code, {"Content-Length": str(len(body)), **said}, body, sends=len(body))
    elif file is None:
        reply = Answer(404, {"Content-Length": "9"}, b"Not here.", sends=9)
    elif _unchanged(file, headers):
        reply = Answer(304, _validators(file))
    else:
        reply = _file(
            file,
            None if "whole" in tricks else headers.get("range"),
            headers.get("if-range"),
            tricks.get("shift", 0),
        )
    return _bent(reply, tricks)


def _file(file: Served, asked: str | None, if_range: str | None, shift: int) -> Answer:
    if if_range is not None and if_range not in (_strong(file.etag), file.modified):
        asked = None  # another version than the client has a part of
    part = _part(asked, file.size)
    said = {
        "Content-Type": file.kind,
        "Accept-Ranges": "bytes",
        **_validators(file),
        **file.headers,
    }
    if part is None:
        return Answer(416, {"Content-Range": f"bytes */{file.size}", "Content-Length": "0"})
    if not part.whole:
        part = Part(min(part.start + shift, part.end), part.end, part.of, False)
        said["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{part.of}"
    size = part.end - part.start
    return Answer(
        200 if part.whole else 206,
        {**said, "Content-Length": str(size)},
        file.data,
        part.start,
        size,
    )


def _part(asked: str | None, size: int) -> Part | None:
    """The part that a Range header means: the whole where it means nothing to us, None where nothing of it is there."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
    if found is None or found.group(1) == found.group(2) == "":
        return Part(0, size, size)
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    return Part(start, end, size, False) if start < end else None


def _unchanged(file: Served, headers: dict[str, str]) -> bool:
    if "if-none-match" in headers:
        return file.etag is not None and file.etag in headers["if-none-match"]
    return file.modified is not None and headers.get("if-modified-since") == file.modified


def _strong(etag: str | None) -> str | None:
    return None if etag is None or etag.startswith("W/") else etag


def _validators(file: Served) -> dict[str, str]:
    return {
        name: value
        for name, value in (("ETag", file.etag), ("Last-Modified", file.modified))
        if value is not None
    }


def _bent(reply: Answer, tricks: dict[str, Any]) -> Answer:
    if "cut" in tricks and tricks["cut"] < reply.sends:
        reply.sends, reply.keeps_open = tricks["cut"], False
    if "stall" in tricks:
        reply.stall_at, reply.stall_for = tricks["stall"]
    if "length" in tricks:
        length, reply.keeps_open = tricks["length"], False
        reply.headers.pop("Content-Length", None)
        reply.headers |= {} if length is None else {"Content-Length": str(length)}
    for name, value in tricks.get("headers", {}).items():
        reply.headers.pop(name, None)
        reply.headers |= {} if value is None else {name: value}
    reply.rate = tricks.get("rate")
    return reply
