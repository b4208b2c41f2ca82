"""What a file is by its first bytes: they decide, and a name that says otherwise is caught before the file gets it."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

HEAD = 65536  # bytes that are looked at; a web page's title stands in them

_SIGNATURES = (  # (at, bytes, kind), the first that fits
    (0, b"PK\x03\x04", "zip"), (0, b"PK\x05\x06", "zip"), (0, b"PK\x07\x08", "zip"),
    (0, b"\x1f\x8b", "gz"), (0, b"BZh", "bz2"), (0, b"\xfd7zXZ\x00", "xz"), (0, b"\x28\xb5\x2f\xfd", "zst"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"), (0, b"Rar!\x1a\x07", "rar"), (257, b"ustar", "tar"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"), (0, b"PAR1", "parquet"), (0, b"\x93NUMPY", "npy"),
    (0, b"\x89PNG\r\n\x1a\n", "png"), (0, b"\xff\xd8\xff", "jpg"), (0, b"GIF8", "gif"), (0, b"BM", "bmp"),
    (0, b"%PDF-", "pdf"), (0, b"\x80\x02", "pickle"), (0, b"\x80\x03", "pickle"), (0, b"\x80\x04", "pickle"),
)  # fmt: skip
_EXPECTED = {  # ending: what it may be by its first bytes
    ".zip": "zip", ".npz": "zip", ".whl": "zip", ".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".tbz2": "bz2", ".xz": "xz", ".txz": "xz",
    ".zst": "zst", ".7z": "7z", ".rar": "rar", ".h5": "hdf5", ".hdf5": "hdf5", ".parquet": "parquet", ".npy": "npy", ".png": "png",
    ".jpg": "jpg", ".jpeg": "jpg", ".gif": "gif", ".pdf": "pdf",
}  # fmt: skip
_PAGES = (".html", ".htm", ".xhtml", ".php", ".mhtml")
_TEXTS = (
    ".xml",
    ".json",
    ".jsonl",
    ".geojson",
    ".ipynb",
    ".svg",
    ".txt",
    ".csv",
    ".tsv",
    ".py",
    ".md",
    ".yaml",
    ".yml",
    ".toml",
    ".cfg",
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """What Git LFS keeps in a repository in a large file's place."""

    sha256: str
    size: int  # bytes


def kind_of(head: bytes) -> str | None:
    """zip, gz, tar, png …, by the first bytes; None for what has no signature."""
    return next(
        (
            kind
            for at, signature, kind in _SIGNATURES
            if head[at : at + len(signature)] == signature
        ),
        None,
    )


def web_page(head: bytes) -> str | None:
    """The title of the web page that begins with these bytes; None if they begin no web page."""
    start = re.sub(
        rb"^(\s|<!--.{0,4000}?-->|<\?xml[^>]{0,200}\?>)*",
        b"",
        head.removeprefix(b"\xef\xbb\xbf"),
        flags=re.S,
    )[:15].lower()
    if not start.startswith((b"<!doctype html", b"<html", b"<head")):
        return None
    found = re.search(rb"<title[^>]*>(.*?)</title>", head, re.I | re.S)
    return (
        " ".join(html.unescape(found[1].decode("utf-8", "replace")).split())[:100]
        if found
        else "no title"
    )


def lfs_pointer(head: bytes) -> Pointer | None:
    """The pointer these bytes are, if they are one."""
    if not head.startswith(b"version https://git-lfs") or len(head) > 1024:
        return None
    found = re.search(rb"^oid sha256:([0-9a-f]{64})$.*?^size (\d{1,18})$", head, re.M | re.S)
    return Pointer(found[1].decode(), int(found[2])) if found else None


def message(head: bytes) -> str | None:
    """What a storage server says in XML or JSON in place of the file: its code and words; None if this is no such message."""
    text = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith((b"<?xml", b"<Error>")) and (
        code := re.search(rb"<Code>([^<]{1,100})</Code>", text)
    ):
        words = re.search(rb"<Message>([^<]{1,300})</Message>", text)
        return b": ".join(part[1] for part in (code, words) if part).decode("utf-8", "replace")
    if (
        text.startswith(b"{")
        and len(head) < 4096
        and (found := re.search(rb'"(?:error|message|errors|detail)"\s*:\s*(.{1,300})', text, re.S))
    ):
        return " ".join(found[1].decode("utf-8", "replace").strip(' "{}[]\n').split())[:200]
    return None


def contradicts(name: str, head: bytes) -> str | None:
    """Why these bytes cannot be the beginning of a file of this name, in words; None where they may be."""
    ending = name.lower()[name.rfind(".") :] if "." in name else ""
    if not head:
        return "it has 0 bytes"
    if ending not in _PAGES and (title := web_page(head)) is not None:
        return f'the server sent a web page titled "{title}"'
    if ending not in _TEXTS and (said := message(head)) is not None:
        return f"the server sent a message: {said}"
    if name.lower().endswith(".tar"):
        wanted, is_it = (
            "tar",
            "tar" if len(head) < 263 or not any(head[:257]) else kind_of(head),
        )  # old tars have no signature
        is_it = "tar" if is_it is None else is_it
    elif (wanted := _EXPECTED.get(ending, "")) == "":
        return None
    else:
        is_it = kind_of(head)
    if is_it == wanted or (
        ending in (".zip",) and is_it is None and head[:2] == b"MZ"
    ):  # a self-extracting one
        return None
    begins = f"begins as a {is_it} file does" if is_it else f"begins with {head[:8].hex(' ')}"
    return f"it is no {wanted} file: it {begins}"
