"""What a file is, by its first bytes and by its name; names from archives made safe."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from ..errors import UnsafeArchive

HEAD = 65536  # bytes that are looked at; a web page's title stands in them

_SIGNATURES = (  # kind, where its bytes stand, the bytes; the first that fits
    ("zip", 0, b"PK\3\4"), ("zip", 0, b"PK\5\6"), ("zip", 0, b"PK\7\10"), ("gz", 0, b"\x1f\x8b"),
    ("bz2", 0, b"BZh"), ("xz", 0, b"\xfd7zXZ\0"), ("zst", 0, b"\x28\xb5\x2f\xfd"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"), ("rar", 0, b"Rar!\x1a\7"), ("tar", 257, b"ustar"),
    ("hdf5", 0, b"\x89HDF\r\n\x1a\n"), ("parquet", 0, b"PAR1"), ("npy", 0, b"\x93NUMPY"),
    ("avif", 4, b"ftypavif"), ("avif", 4, b"ftypavis"), ("heic", 4, b"ftyphei"),
    ("heic", 4, b"ftyphev"), ("avif", 16, b"avif"), ("heic", 4, b"ftypmif1"),
    ("heic", 4, b"ftypmsf1"), ("webp", 8, b"WEBP"), ("tif", 0, b"II*\0"), ("tif", 0, b"MM\0*"),
    ("jp2", 4, b"jP  \r\n"), ("jp2", 0, b"\xff\x4f\xff\x51"),
    ("ppm", 0, b"P4\n"), ("ppm", 0, b"P5\n"), ("ppm", 0, b"P6\n"),
    ("png", 0, b"\x89PNG\r\n\x1a\n"), ("jpg", 0, b"\xff\xd8\xff"), ("gif", 0, b"GIF8"),
    ("bmp", 0, b"BM"), ("pdf", 0, b"%PDF-"), ("pickle", 0, b"\x80\2"), ("pickle", 0, b"\x80\3"),
    ("pickle", 0, b"\x80\4"),
)  # fmt: skip
PICTURES = frozenset("png jpg gif bmp webp tif avif heic jp2 ppm".split())  # kinds of these
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


_TARS = tuple(".tar .tar.gz .tgz .tar.bz2 .tbz2 .tar.xz .txz .tar.zst .tzst".split())
ENDINGS = (*_TARS, ".zip", ".7z", ".rar")
SINGLES = (".gz", ".bz2", ".xz", ".zst")  # one packed file, unless .tar stands before it
LONGEST = 255  # bytes of one part of a path: more fits on no disk
DEEPEST = 100  # folders in each other
LONGEST_PATH = 3000  # bytes; Linux takes 4,096 with the folder it is unpacked to
MOST = 2_000_000  # files and folders
AVOID = "do not use this file, or look into it with a program for archives"
_WELL_MEANT = "leads out of it, which a well-meant archive does not do"
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_archive(name: str) -> bool:
    """Whether a file is an archive by its name."""
    return name.lower().endswith(ENDINGS)


def stem(name: str) -> str:
    """The name without what says that it is an archive: `pets` of pets.tar.gz."""
    ending = max((e for e in ENDINGS if name.lower().endswith(e)), key=len, default="")
    return name[: len(name) - len(ending)] or name


def inside(name: str, called: str = "The archive") -> str:
    r"""A member's name as a path below the folder; "" for the folder itself.

    It is `a/b` for `a\b`, for `./a//b` and for `a/b/`.

    Raises
    ------
    UnsafeArchive
        It leads out of the folder, or no disk can have it.
    """
    path, unnamed = name.replace("\\", "/"), f"{called} holds a file that cannot be named."
    if _CONTROL.search(path):
        raise UnsafeArchive(unnamed, f"{name!r} has control characters in its name", AVOID)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    first = parts[0] if parts else ""
    if path.startswith("/") or ".." in parts or _DRIVE.match(path) or _DRIVE.match(first):
        raise outside(called, name)
    try:
        whole, *sizes = (len(part.encode("utf-8", "surrogateescape")) for part in (path, *parts))
    except UnicodeEncodeError as err:
        raise UnsafeArchive(unnamed, f"{name!r} is no text: {err.reason}", AVOID) from err
    longest = max(sizes, default=0)
    if longest > LONGEST or whole > LONGEST_PATH or len(parts) > DEEPEST:
        lengths = f"{whole:,} bytes in {len(parts)} parts, the longest of {longest:,} bytes"
        raise UnsafeArchive(
            f"{called} holds a name that is too long for a disk.",
            f"{name[:80]!r}… has {lengths}",
            AVOID,
        )
    return "/".join(parts)


def outside(called: str, member: str, why: str = _WELL_MEANT) -> UnsafeArchive:
    what = f"{called} would write outside of the folder it is unpacked to."
    return UnsafeArchive(what, f"{member!r} {why}", "do not use this file")


class Places:
    """The places that the members of one archive take.

    Each file has its own, and none is both a file and a folder. A link counts as a file, so nothing
    is ever written through one.
    """

    def __init__(self, called: str) -> None:
        self.called = called
        self.files: set[str] = set()
        self.folders = {""}

    def take(self, name: str, *, folder: bool) -> str:
        """The place of a member, as inside() says it.

        Raises
        ------
        UnsafeArchive
        """
        place = inside(name, self.called)
        above = place if folder else place.rpartition("/")[0]
        while above not in self.folders:
            if above in self.files:
                raise self._twice(name, "is a file and a folder")
            self.folders.add(above)
            above = above.rpartition("/")[0]
        if not folder:
            if place in self.files:
                raise self._twice(name, "is there twice")
            if place in self.folders:
                raise self._twice(name, "is a file and a folder")
            self.files.add(place)
        if len(self.files) + len(self.folders) > MOST:
            raise UnsafeArchive(
                f"{self.called} holds more than {MOST:,} files and folders.",
                "so many slow down any disk",
                AVOID,
            )
        return place

    def _twice(self, name: str, how: str) -> UnsafeArchive:
        what = f"{self.called} does not say which file is meant."
        return UnsafeArchive(what, f"{name!r} {how}", AVOID)
