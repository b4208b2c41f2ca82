"""Names from outside, made fit for any disk: one component of a path, never "..", never too long."""

from __future__ import annotations

import contextlib
import os
import re
from urllib.parse import unquote, unquote_to_bytes

LONGEST = 200  # bytes; disks take 255, and ours get .part.json and the like
NAMELESS = "download"
_BAD = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)  # Windows: they are devices


def clean_name(text: str) -> str:
    """The last component of `text` as a file's name; "" if it holds none."""
    name = _BAD.sub("", text).replace("\\", "/").rstrip("/ ").rpartition("/")[2].strip()
    name = re.sub(r'[:*?"<>|\ud800-\udfff]', "_", name).rstrip(
        ". "
    )  # lone surrogates have no bytes; Windows drops the end
    name = f"_{name}" if _RESERVED.fullmatch(name) else name
    if len(name.encode()) > LONGEST:
        stem, ending = os.path.splitext(name)
        ending = ending if len(ending.encode()) < 20 else ""
        name = (
            stem.encode()[: LONGEST - len(ending.encode())].decode("utf-8", "ignore") + ending
        ).rstrip(". ")
    return name


def safe_name(text: str) -> str:
    """clean_name(), with a name in any case."""
    return clean_name(text) or NAMELESS


def decoded(text: str) -> str:
    """Percent-decoded; bytes that are no UTF-8 are taken for Latin-1."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return unquote_to_bytes(text).decode("latin-1")


def name_from_header(value: str) -> str:
    """The file's name that a Content-Disposition gives, its last component alone; "" if it gives none. RFC 6266 and what servers send."""
    if found := re.search(r"filename\*\s*=\s*\"?([\w.-]*)'[^']*'([^;\s\"]*)", value, re.I):
        with contextlib.suppress(LookupError, UnicodeError):
            if name := clean_name(unquote_to_bytes(found[2]).decode(found[1] or "utf-8")):
                return name
    found = re.search(r'filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]+))', value, re.I)
    if found is None:
        return ""
    name = re.sub(r'\\(["\\])', r"\1", found[1]) if found[1] is not None else found[2].strip()
    with contextlib.suppress(UnicodeError):  # sent as bare UTF-8, which headers are not read as
        name = name.encode("latin-1").decode()
    if "%" in name and re.search(r"%[0-9a-f]{2}", name, re.I):
        name = decoded(name)
    return clean_name(name)
