"""Colab VMs on paper: their mounts, and a door that mounts or fails as planned. For the tests of
the rooms about mounting.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from colab_kit.colab.drive import Drive
from colab_kit.colab.mount_plan import MountRequest, Site
from colab_kit.colab.mounting import mount_at
from colab_kit.errors import DriveError


class World:
    """One VM. `failures` are raised one a call; after them the door mounts, unless `for_ever`:
    then the last one stays.
    """

    def __init__(
        self,
        where: str = "colab",
        *failures: BaseException,
        for_ever: bool = False,
        page: bool | None = True,
        client: str = "",
    ):
        self.failures, self.for_ever = list(failures), for_ever
        self.calls: list[tuple[str, float, bool, bool]] = []
        self.rows: list[str] = []
        self.heard: list[Any] = []
        self.slept: list[float] = []
        self.asked = 0
        self._page = page
        self.site = Site(
            where,
            table=self.table,
            door=self.door,
            page=self.page,
            client=client,
            sleep=self.slept.append,
        )

    def table(self) -> str:
        return "\n".join(self.rows)

    def page(self) -> bool | None:
        self.asked += 1
        return self._page

    def has(self, point: Path, kind: str = "fuse.drive") -> Path:
        (point / "MyDrive").mkdir(parents=True)
        self.rows.append(f"drive {str(point).replace(' ', chr(92) + '040')} {kind} rw 0 0")
        return point

    def door(self, mountpoint: str, timeout_s: float, *, readonly: bool, force: bool) -> None:
        self.calls.append((mountpoint, timeout_s, readonly, force))
        if self.failures:
            raise (
                self.failures[0]
                if self.for_ever and len(self.failures) == 1
                else self.failures.pop(0)
            )
        assert not Path(mountpoint).exists() or not list(Path(mountpoint).iterdir()), (
            "google.colab refuses a folder with files"
        )
        self.has(Path(mountpoint))

    def mount(self, point: Path, **options: Any) -> Drive:
        return mount_at(self.site, MountRequest(point, **options), emit=self.heard.append)

    @property
    def said(self) -> str:
        return "\n".join(event.text for event in self.heard)


def failing(again: int = 0, what: str = "It failed.") -> DriveError:
    """An error as the door gives it."""
    error = DriveError(what, "no consent", "tick every box")
    error.again = again
    return error


def tree(folder: Path) -> dict[str, str | None]:
    """All that lies in it: the text of files, None for folders, and where links point."""
    found: dict[str, str | None] = {}
    for path in sorted(folder.rglob("*")):
        text = (
            f"-> {path.readlink()}"
            if path.is_symlink()
            else None
            if path.is_dir()
            else path.read_text()
        )
        found[path.relative_to(folder).as_posix()] = text
    return found


def laid(folder: Path, files: dict[str, str] | Iterable[str]) -> Path:
    """Write these files there."""
    for name, text in (files if isinstance(files, dict) else dict.fromkeys(files, "text")).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def dies(patch: pytest.MonkeyPatch, point: Path) -> None:
    """Let the mountpoint answer as a mount does whose program was killed."""

    def dead(really: Any) -> Any:
        def call(path: Any = ".", *args: Any, **options: Any) -> Any:
            if not isinstance(path, int) and Path(os.fsdecode(path)).is_relative_to(point):
                raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN), str(path))
            return really(path, *args, **options)

        return call

    for name in ("stat", "lstat", "listdir", "scandir"):
        patch.setattr(os, name, dead(getattr(os, name)))


def deletions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is deleted from now on: name, and bytes as it went. On Drive they go to the Trash,
    which counts.
    """
    seen, unlink = [], os.unlink

    def watched(path: Any, **how: Any) -> None:
        found = os.lstat(path)
        unlink(path, **how)
        seen.append((Path(path).name, found.st_size))

    monkeypatch.setattr(os, "unlink", watched)
    return seen
