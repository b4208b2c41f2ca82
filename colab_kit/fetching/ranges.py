"""What an answer to a request for a part of a file really holds: its Content-Range decides, not what the server says it can. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Begun:
    """Bytes `start` to `stop` (excluded; None: to the end of the answer) of a file of `total`, in the version that `validator` names."""

    start: int
    stop: int | None
    total: int | None
    validator: str
    ranges: bool  # others may be asked for


def understood(
    status: int,
    headers: Mapping[str, str],
    start: int,
    end: int | None = None,
    *,
    packed: bool = False,
) -> Begun | None:
    """What came for the bytes from `start` to `end` (excluded); None if it is nothing that can be used.

    200 with a right Content-Range is a range, 206 without one is nothing; a packed answer counts other bytes than the file's.
    """
    said, validator = headers.get("Content-Range", "").strip(), validator_of(headers)
    found = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", said)
    if found is not None and status in (200, 206) and not packed:
        first, last, total = map(int, found.groups())
        right = first == start and first <= last < min(total, total if end is None else end)
        return Begun(start, last + 1, total, validator, True) if right else None
    if status != 200 or said:
        return None
    length = headers.get("Content-Length", "").strip()
    size = int(length) if re.fullmatch(r"[0-9]{1,18}", length) and not packed else None
    return Begun(0, size, size, validator, False)


def validator_of(headers: Mapping[str, str]) -> str:
    """What names this version for If-Range: a strong ETag, else the date; a weak ETag names none."""
    etag = headers.get("ETag", "").strip()
    if re.fullmatch(r'"[\x21\x23-\x7e\x80-\xff]*"', etag):
        return etag
    return headers.get("Last-Modified", "").strip()


def size_of_416(headers: Mapping[str, str]) -> int | None:
    """The size of the file that has no such range, if the server says it."""
    found = re.fullmatch(r"bytes \*/([0-9]{1,18})", headers.get("Content-Range", "").strip())
    return int(found[1]) if found else None


def same(saved: str, told: str) -> bool:
    """Whether an answer is of the version that was saved: an answer to If-Range may leave the validator out."""
    return not told or not saved or told == saved
