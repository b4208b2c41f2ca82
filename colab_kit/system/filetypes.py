"""What a file is: its first bytes decide, and a name that says otherwise is caught early."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

HEAD = 65536  # bytes that are looked at; a web page's title stands in them

_SIGNATURES = (  # kind, where its bytes stand, the bytes; the first that fits
    ("zip", 0, b"PK\3\4"), ("zip", 0, b"PK\5\6"), ("zip", 0, b"PK\7\10"), ("gz", 0, b"\x1f\x8b"),
    ("bz2", 0, b"BZh"), ("xz", 0, b"\xfd7zXZ\0"), ("zst", 0, b"\x28\xb5\x2f\xfd"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"), ("rar", 0, b"Rar!\x1a\7"), ("tar", 257, b"ustar"),
    ("hdf5", 0, b"\x89HDF\r\n\x1a\n"), ("parquet", 0, b"PAR1"), ("npy", 0, b"\x93NUMPY"),
    ("png", 0, b"\x89PNG\r\n\x1a\n"), ("jpg", 0, b"\xff\xd8\xff"), ("gif", 0, b"GIF8"),
    ("bmp", 0, b"BM"), ("pdf", 0, b"%PDF-"), ("pickle", 0, b"\x80\2"), ("pickle", 0, b"\x80\3"),
    ("pickle", 0, b"\x80\4"),
)  # fmt: skip
_ENDINGS = "zip gz bz2 xz zst 7z rar hdf5 parquet npy png jpg gif pdf"  # each is its kind's name
_OTHERS = "npz:zip whl:zip tgz:gz tbz2:bz2 txz:xz h5:hdf5 jpeg:jpg"
_KINDS = {kind: kind for kind in _ENDINGS.split()}  # ending: what its first bytes must say
_KINDS |= dict(pair.split(":") for pair in _OTHERS.split())
_PAGES = frozenset("html htm xhtml php mhtml".split())
_TEXTS = frozenset("xml json jsonl geojson ipynb svg txt csv tsv py md yaml yml toml cfg".split())


@dataclass(frozen=True, slots=True)
class Pointer:
    """What Git LFS keeps in a repository in a large file's place."""

    sha256: str
    size: int  # bytes


def kind_of(head: bytes) -> str | None:
    """zip, gz, tar, png …, by the first bytes; None for what has no signature."""
    kinds = (kind for kind, at, signature in _SIGNATURES if head.startswith(signature, at))
    return next(kinds, None)


def web_page(head: bytes) -> str | None:
    """The title of the web page that begins with these bytes; None if they begin no web page."""
    before = rb"^(\s|<!--.{0,4000}?-->|<\?xml[^>]{0,200}\?>)*"
    start = re.sub(before, b"", head.removeprefix(b"\xef\xbb\xbf"), flags=re.S)[:15].lower()
    if not start.startswith((b"<!doctype html", b"<html", b"<head")):
        return None
    title = re.search(rb"<title[^>]*>(.*?)</title>", head, re.I | re.S)
    return _words(html.unescape(_text(title[1])))[:100] if title else "no title"


def lfs_pointer(head: bytes) -> Pointer | None:
    """The pointer these bytes are, if they are one."""
    if not head.startswith(b"version https://git-lfs") or len(head) > 1024:
        return None
    found = re.search(rb"^oid sha256:([0-9a-f]{64})$.*?^size (\d{1,18})$", head, re.M | re.S)
    return Pointer(found[1].decode(), int(found[2])) if found else None


def message(head: bytes) -> str | None:
    """The code and words that a storage server sends in XML or JSON in place of the file.

    None if these bytes are no such message.
    """
    text = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith((b"<?xml", b"<Error>")):
        if code := re.search(rb"<Code>([^<]{1,100})</Code>", text):
            words = re.search(rb"<Message>([^<]{1,300})</Message>", text)
            return _text(code[1]) + (f": {_text(words[1])}" if words else "")
    elif text.startswith(b"{") and len(head) < 4096:
        key = rb'"(?:error|message|errors|detail)"\s*:\s*(.{1,300})'
        if found := re.search(key, text, re.S):
            return _words(_text(found[1]).strip(' "{}[]\n'))[:200]
    return None


def _text(words: bytes) -> str:
    return words.decode("utf-8", "replace")


def _words(text: str) -> str:
    return " ".join(text.split())


def contradicts(name: str, head: bytes) -> str | None:
    """Why a file of this name cannot begin with these bytes, in words; None where it may."""
    ending = name.lower().rpartition(".")[2] if "." in name else ""
    if not head:
        return "it has 0 bytes"
    if ending not in _PAGES and (title := web_page(head)) is not None:
        return f'the server sent a web page titled "{title}"'
    if ending not in _TEXTS and (words := message(head)) is not None:
        return f"the server sent a message: {words}"
    wanted, kind = _KINDS.get(ending), kind_of(head)
    if ending == "tar":
        wanted = "tar"
        if kind is None or len(head) < 263 or not any(head[:257]):
            return None  # old tars have no signature
    if wanted in (None, kind):
        return None
    if ending == "zip" and kind is None and head[:2] == b"MZ":  # it unpacks itself
        return None
    begins = f"as a {kind} file does" if kind else f"with {head[:8].hex(' ')}"
    return f"it is no {wanted} file: it begins {begins}"
