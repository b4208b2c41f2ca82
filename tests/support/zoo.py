"""The archive zoo: makers of archives that are odd, damaged or hostile, each with what unpacking
it must come to.
"""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from colab_kit.errors import BadArchive, ColabKitError, UnsafeArchive

HELD = {"pets/cat/a.txt": b"a" * 5000, "pets/dog/b.bin": bytes(range(256)) * 40, "readme": b""}


def zipped(held=HELD, method=zipfile.ZIP_DEFLATED, comment=b"", zip64=False) -> bytes:
    """A zip; a name that ends with / is a folder."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, content in held.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            if zip64:
                with file.open(info, "w", force_zip64=True) as to:
                    to.write(content)
            else:
                file.writestr(info, content)
        file.comment = comment
    return out.getvalue()


def with_info(content=b"x", name="a", mode=0, flags=0, system=3) -> bytes:
    """A zip of one member with a mode."""
    info = zipfile.ZipInfo(name)
    info.external_attr, info.create_system = mode << 16, system
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(info, content)
    return out.getvalue()


def raw_zip(members, *, directory=None) -> bytes:
    """A zip written by hand: (raw name, packed, said size, crc, method, flags) each; `directory`
    may say otherwise.
    """
    out, entries = b"", b""
    for at, (name, packed, size, crc, method, flags) in enumerate(members):
        start = len(out)
        out += (
            struct.pack(
                "<4s5H3L2H",
                b"PK\3\4",
                20,
                flags,
                method,
                0,
                0x21,
                crc,
                len(packed),
                size,
                len(name),
                0,
            )
            + name
            + packed
        )
        said = {
            "packed": len(packed),
            "size": size,
            "start": start,
            "name": name,
            "attr": 0,
            **((directory or {}).get(at, {})),
        }
        entries += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, flags, method, 0, 0x21, crc, said["packed"], said["size"], len(said["name"]),
            0, 0, 0, 0, said["attr"], said["start"],
        ) + said["name"]  # fmt: skip
    return (
        out
        + entries
        + struct.pack(
            "<4s4H2LH", b"PK\5\6", 0, 0, len(members), len(members), len(entries), len(out), 0
        )
    )


def one(
    name=b"a", content=b"content " * 9, method=8, flags=0, size=None
) -> tuple[bytes, bytes, int, int, int, int]:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush() if method == 8 else content
    return name, packed, len(content) if size is None else size, zlib.crc32(content), method, flags


def overlapping() -> bytes:
    """Two entries for the same bytes under two names, as a bomb of Fifield's kind has thousands."""
    return raw_zip([one(b"a"), one(b"b")], directory={1: {"start": 0, "name": b"a2"}})


def quoted() -> bytes:
    """A member whose packed bytes, says the directory, hold the next member too."""
    first, second = one(b"a"), one(b"b")
    return raw_zip([first, second], directory={0: {"packed": len(first[1]) + 30}})


def encrypted() -> bytes:
    return raw_zip([one(flags=1)])


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


def bad_header() -> bytes:
    return flipped(zipped(), 1)


def other_name() -> bytes:
    return raw_zip([one(b"a")], directory={0: {"name": b"b"}})


def twice(names=("a", "./a")) -> bytes:
    return raw_zip([one(name.encode()) for name in names])


def symlinked() -> bytes:
    return with_info(b"/etc", mode=stat.S_IFLNK | 0o777)


ODD_ZIPS: dict[str, tuple[Callable[[], bytes], set[str]]] = {  # these are fine; the files they hold
    "prefixed": (lambda: b"#!/bin/sh\nexit 1\n" * 99 + zipped(), set(HELD)),
    "of Windows that unpacks itself": (lambda: b"MZ" + bytes(3000) + zipped(), set(HELD)),
    "zip64": (lambda: zipped(zip64=True), set(HELD)),
    "with a comment": (lambda: zipped(comment=b"hello " * 5000), set(HELD)),
    "with the longest comment": (lambda: zipped(comment=b"x" * 65535), set(HELD)),
    "empty": (lambda: zipped({}), set()),
    "of folders": (lambda: zipped({"a/": b"", "b/c/": b""}), set()),
    "of a folder twice": (lambda: raw_zip([one(b"a/", b""), one(b"a/", b""), one(b"a/b")]), {"a/b"}),
    "unicode": (lambda: zipped({"Kätzchen/貓.jpg": b"1"}), {"Kätzchen/貓.jpg"}),
    "cp437": (lambda: raw_zip([one(b"K\x84tzchen")]), {"Kätzchen"}),
    "of Windows": (lambda: raw_zip([one(b"a\\b\\c.txt"), one(b"d\\", b"")]), {"a/b/c.txt"}),
    "stored": (lambda: zipped(method=zipfile.ZIP_STORED), set(HELD)),
    "bzip2": (lambda: zipped(method=zipfile.ZIP_BZIP2), set(HELD)),
    "lzma": (lambda: zipped(method=zipfile.ZIP_LZMA), set(HELD)),
    "of a name with dots": (lambda: zipped({"..a/b..": b"1", "...": b"2"}), {"..a/b..", "..."}),
}  # fmt: skip

# the kind of error and a word of it
BAD_ZIPS: dict[str, tuple[Callable[[], bytes], type[ColabKitError], str]] = {
    "slip": (lambda: raw_zip([one(b"good"), one(b"../evil")]), UnsafeArchive, "../evil"),
    "slip in the middle": (lambda: raw_zip([one(b"a/../../evil")]), UnsafeArchive, "outside"),
    "slip backward": (lambda: raw_zip([one(b"..\\evil")]), UnsafeArchive, "outside"),
    "absolute": (lambda: raw_zip([one(b"/evil")]), UnsafeArchive, "/evil"),
    "absolute backward": (lambda: raw_zip([one(b"\\evil")]), UnsafeArchive, "outside"),
    "drive": (lambda: raw_zip([one(b"C:/evil")]), UnsafeArchive, "outside"),
    "drive behind a dot": (lambda: raw_zip([one(b"./C:evil")]), UnsafeArchive, "outside"),
    "zero": (lambda: raw_zip([one(b"a\0b")]), UnsafeArchive, "control"),
    "new line": (lambda: raw_zip([one(b"a\nb", flags=0x800)]), UnsafeArchive, "control"),
    "long part": (lambda: raw_zip([one(b"a" * 256)]), UnsafeArchive, "too long"),
    "long path": (lambda: raw_zip([one(b"/".join([b"a" * 200] * 20))]), UnsafeArchive, "too long"),
    "deep": (lambda: raw_zip([one(b"a/" * 999 + b"b")]), UnsafeArchive, "too long"),
    "no name": (lambda: raw_zip([one(b".")]), UnsafeArchive, "a file and a folder"),
    "link": (symlinked, UnsafeArchive, "holds a link, a"),
    "pipe": (lambda: with_info(mode=stat.S_IFIFO | 0o777), UnsafeArchive, "no file"),
    "encrypted": (encrypted, BadArchive, "unzip -q -P"),
    "twice": (twice, UnsafeArchive, "twice"),
    "a file and a folder": (lambda: twice(("a", "a/b")), UnsafeArchive, "a file and a folder"),
    "a folder and a file": (lambda: twice(("a/b", "a")), UnsafeArchive, "a file and a folder"),
    "overlapping": (overlapping, UnsafeArchive, "overlap"),
    "quoted": (quoted, UnsafeArchive, "overlap"),
    "of a longer header": (lambda: raw_zip([one(b"a" * 40)], directory={0: {"name": b"a"}}), BadArchive, "header"),
    "larger than it says": (lambda: raw_zip([one(content=bytes(9000), size=10)]), BadArchive, "another size"),
    "much larger than it says": (lambda: raw_zip([one(content=bytes(9 << 20), size=5 << 20)]), BadArchive, "another size"),
    "smaller than it says": (lambda: raw_zip([one(content=bytes(90), size=9000)]), BadArchive, "another size"),
    "stored, of two sizes": (lambda: raw_zip([one(method=0, size=9000)]), BadArchive, "damaged"),
    "ratio": (lambda: raw_zip([one(content=b"")], directory={0: {"size": 3 << 30}}), UnsafeArchive, "max_size="),
    "method 97": (lambda: raw_zip([one(method=97)]), BadArchive, "7z x"),
    "bad header": (bad_header, BadArchive, "damaged"),
    "other name": (other_name, BadArchive, "header"),
    "flipped": (lambda: flipped(zipped(), 60), BadArchive, "damaged"),
    "flipped, stored": (lambda: flipped(zipped(method=zipfile.ZIP_STORED), 60), BadArchive, "CRC"),
    "flipped, bzip2": (lambda: flipped(zipped(method=zipfile.ZIP_BZIP2), 75), BadArchive, "damaged"),
    "flipped, lzma": (lambda: flipped(zipped(method=zipfile.ZIP_LZMA), 60), BadArchive, "damaged"),
    "bad utf-8": (lambda: raw_zip([one(b"\xff\xfe", flags=0x800)]), BadArchive, "damaged"),
    "of version 99": (lambda: zipped().replace(b"PK\1\2\x14\x03\x14", b"PK\1\2\x14\x03\x63"), BadArchive, "7z x"),
    "of a lying directory": (lambda: zipped()[:-10] + struct.pack("<LLH", 0xFFFFFFF0, 5, 0), BadArchive, "damaged"),
}  # fmt: skip


def tarred(held=HELD, mode="w", format=tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=format) as file:
        for name, content in held.items():
            info = tarfile.TarInfo(name)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()


def members(*parts: tuple[str, bytes, str | bytes]) -> bytes:
    """A tar of members of all types: name, type, and where it leads or what it holds."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, kind, rest in parts:
            info = tarfile.TarInfo(name)
            info.type = kind
            if isinstance(rest, bytes):
                info.size = len(rest)
            else:
                info.linkname = rest
            file.addfile(info, io.BytesIO(rest if isinstance(rest, bytes) else b""))
    return out.getvalue()


FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


def sparse(size=1 << 20, real=None) -> bytes:
    """A GNU sparse file (old format): 5 bytes at its beginning, holes up to `size`."""
    info = tarfile.TarInfo("holes")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386 : 386 + 24] = b"%011o\0%011o\0" % (0, 512)
    block[410 : 410 + 24] = b"%011o\0%011o\0" % (size, 0)
    block[483:495] = size.to_bytes(12, "big") if size >= 1 << 33 else b"%011o\0" % size
    if size >= 1 << 33:
        block[483] |= 0x80
        block[410:422] = bytes([0x80]) + size.to_bytes(11, "big")
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + b"holes".ljust(512, b"\0") + bytes(1024)


LONG = "/".join(["a" * 90] * 5)
ODD_TARS: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "plain": (tarred, set(HELD)),
    "gnu long": (lambda: tarred({LONG: b"1"}, format=tarfile.GNU_FORMAT), {LONG}),
    "pax long": (lambda: tarred({LONG: b"1", "Kätzchen": b"2"}), {LONG, "Kätzchen"}),
    "ustar": (lambda: tarred(format=tarfile.USTAR_FORMAT), set(HELD)),
    "with dots": (lambda: tarred({"./": b"", "./a/": b"", "./a/b": b"1", "./a/c": b"1"}), {"a/b", "a/c"}),
    "empty": (lambda: tarred({}), set()),
    "sparse": (sparse, {"holes"}),
    "with links inside": (
        lambda: members(("d/a", FILE, b"1"), ("d/b", LINK, "a"), ("c", HARD, "d/a"), ("e", LINK, "d"), ("d/f", LINK, "../c")),
        {"d/a", "d/b", "c", "d/f"},
    ),
    "padded": (lambda: tarred() + bytes(1 << 20), set(HELD)),
    "of exact blocks": (lambda: tarred({"a": bytes(512), "b": bytes(1024), "c": b"1"}), {"a", "b", "c"}),
}  # fmt: skip
BAD_TARS: dict[str, tuple[Callable[[], bytes], type[ColabKitError], str]] = {
    "slip": (lambda: tarred({"good": b"", "../evil": b"1"}), UnsafeArchive, "../evil"),
    "absolute": (lambda: tarred({"/evil": b"1"}), UnsafeArchive, "outside"),
    "link out": (lambda: members(("a", LINK, "/etc")), UnsafeArchive, "'a'"),
    "link up": (lambda: members(("a", LINK, "../..")), UnsafeArchive, "'a'"),
    "link over a link": (
        lambda: members(("a/b/l", LINK, "../.."), ("m", LINK, "a/b/l/../../..")), UnsafeArchive, "'m'",
    ),
    "a link to itself": (lambda: members(("a", LINK, "a")), UnsafeArchive, "round"),
    "a link to the folder above": (lambda: members(("d/a", LINK, "..")), UnsafeArchive, "round"),
    "links in a ring": (lambda: members(("a", LINK, "b/c"), ("b", LINK, "a")), UnsafeArchive, "round"),
    "through a link": (lambda: members(("l", LINK, "."), ("l/evil", FILE, b"1")), UnsafeArchive, "a file and a folder"),
    "over a link": (lambda: members(("l", LINK, "x"), ("l", FILE, b"1")), UnsafeArchive, "twice"),
    "a folder over a link": (lambda: members(("l", LINK, "."), ("l", FOLDER, "")), UnsafeArchive, "a file and a folder"),
    "hard link out": (lambda: members(("a", HARD, "/etc/passwd")), UnsafeArchive, "'a'"),
    "hard link up": (lambda: members(("a", HARD, "../secret")), UnsafeArchive, "'a'"),
    "hard link to a link": (lambda: members(("l", LINK, "x"), ("h", HARD, "l")), UnsafeArchive, "'h'"),
    "device": (lambda: members(("a", tarfile.CHRTYPE, "")), UnsafeArchive, "device"),
    "pipe": (lambda: members(("a", tarfile.FIFOTYPE, "")), UnsafeArchive, "pipe"),
    "unknown": (lambda: members(("a", b"Z", "")), UnsafeArchive, "unknown"),
    "twice": (lambda: tarred({"a": b"1", "./a": b"2"}), UnsafeArchive, "twice"),
    "a file and a folder": (lambda: tarred({"a": b"1", "a/b": b"2"}), UnsafeArchive, "a file and a folder"),
    "sparse bomb": (lambda: sparse(1 << 50), ColabKitError, "unpack"),
    "without an end": (lambda: tarred({"a": b"1"})[:1024], BadArchive, "end mark"),
    "cut in a file": (lambda: tarred({"a": bytes(9000)})[:4096], BadArchive, "damaged"),
    "flipped header": (lambda: flipped(tarred({"a": b"1", "b": b"2"}), 1024 + 30), BadArchive, "header"),
    "flipped gz": (lambda: flipped(tarred(mode="w:gz"), 100), BadArchive, "damaged"),
    "cut gz": (lambda: tarred(mode="w:gz")[:-6], BadArchive, "damaged"),
    "gz of no tar": (lambda: zlib.compress(b"hello" * 999, wbits=31), BadArchive, "damaged"),
    "no tar": (lambda: b"no archive at all" * 99, BadArchive, "damaged"),
    "long header": (lambda: _long_header(), BadArchive, "damaged"),
}  # fmt: skip


def _long_header() -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)


def rar(held=HELD, crc_off=0) -> bytes:
    """A RAR 5 of stored files, by hand."""
    out = b"Rar!\x1a\x07\x01\x00" + _rar_block(1, 0, b"\0")
    for name, content in held.items():
        head = (
            _vint(4)
            + _vint(len(content))
            + _vint(0o100644)
            + struct.pack("<L", zlib.crc32(content) ^ crc_off)
        )
        head += _vint(0) + _vint(1) + _vint(len(name.encode())) + name.encode()
        out += _rar_block(2, 2, head, content)
    return out + _rar_block(5, 0, b"\0")


def _rar_block(kind: int, flags: int, head: bytes, content: bytes = b"") -> bytes:
    body = _vint(kind) + _vint(flags) + (_vint(len(content)) if flags & 2 else b"") + head
    body = _vint(len(body)) + body
    return struct.pack("<L", zlib.crc32(body)) + body + content


def _vint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def listing(folder: Path) -> dict[str, bytes]:
    """The files below a folder, links followed."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
