"""Listings: how the programs for 7z and rar are asked, and what their lists say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import UnsafeArchive


@dataclass(frozen=True)
class Listed:
    """One line of a program's list."""

    name: str
    size: int
    folder: bool
    link: bool
    locked: bool


@dataclass(frozen=True)
class How:
    """How a program is asked, and its list understood."""

    list_command: Callable[[str, Path], list[str]]
    unpack_command: Callable[[str, Path, Path], list[str]]
    parse: Callable[[str], Iterator[Listed]]


def _of_7z(lines: str) -> Iterator[Listed]:
    for fact in _facts(lines, "Path", " = "):
        mode = fact.get("Attributes", "")
        folder = fact.get("Folder") == "+" or mode.startswith("D")
        link = (
            mode.rpartition(" ")[2].startswith(("l", "c", "b", "p", "s"))
            and len(mode.rpartition(" ")[2]) >= 10
        )
        link = link or any(key.endswith("Link") and value.strip() for key, value in fact.items())
        yield Listed(
            fact["Path"], _figure(fact.get("Size")), folder, link, fact.get("Encrypted") == "+"
        )


def _of_unrar(lines: str) -> Iterator[Listed]:
    for fact in _facts("\n".join(line.strip() for line in lines.splitlines()), "Name", ": "):
        kind = fact.get("Type", "")
        yield Listed(
            fact["Name"],
            _figure(fact.get("Size")),
            kind == "Directory",
            kind not in ("File", "Directory"),
            "encrypted" in fact.get("Flags", ""),
        )


SEVEN = How(
    lambda program, archive: [program, "l", "-slt", "-ba", "-p", "-sccUTF-8", "--", str(archive)],
    lambda program, archive, to: [
        program,
        "x",
        "-y",
        "-bd",
        "-p",
        "-sccUTF-8",
        f"-o{to}",
        "--",
        str(archive),
    ],
    _of_7z,
)
UNRAR = How(
    lambda program, archive: [program, "lt", "-cfg-", "-c-", "-p-", "--", str(archive)],
    lambda program, archive, to: [
        program,
        "x",
        "-cfg-",
        "-c-",
        "-p-",
        "-o-",
        "-y",
        "-idq",
        "--",
        str(archive),
        f"{to}/",
    ],
    _of_unrar,
)


def _facts(lines: str, first: str, between: str) -> Iterator[dict[str, str]]:
    """The blocks of a list, each from the line that names a member to the next empty one."""
    for block in lines.replace("\r\n", "\n").split("\n\n"):
        fact: dict[str, str] = {}
        for line in block.split("\n"):
            key, found, value = line.partition(between if between in line else between.rstrip())
            if found and fact.setdefault(key.strip(), value) != value:
                raise UnsafeArchive(
                    "The archive holds a file that cannot be named.",
                    f"{value!r} in its list",
                    "do not use this file",
                )
        if first in fact:
            yield fact


def _figure(text: str | None) -> int:
    return int(text) if text and text.strip().isascii() and text.strip().isdigit() else 0
