"""One call of fetch(): what was asked, and how a single file gets its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import Offline
from ..events import FetchDone
from ..system.http import public
from . import already, ondrive, records
from .fetched import Fetched
from .links.parse import Link
from .partial import Part
from .records import Record
from .way import Way
from .whole import Watch, Whole, bring


@dataclass(frozen=True)
class Call:
    """One call of fetch()."""

    links: Sequence[Link]
    way: Way
    to: str | os.PathLike[str] | None
    named: bool | None = None
    extract: bool | None = None
    overwrite: bool = False
    keep_archive: bool | None = None
    offline: bool = False
    force: bool = False

    @property
    def link(self) -> Link:
        """The one that was asked for; the others are its mirrors."""
        return self.links[0]

    def file(self, to: Path) -> Fetched:
        """Fetch a file under its name."""
        if (
            known := already.file_there(
                to, self.link, self.way, offline=self.offline, overwrite=self.overwrite
            )
        ) is not None:
            return Fetched(to, known.url, known.sha256, known.size, True, None)
        self.online(to)
        if ondrive.is_there(to):
            came = self.bring(ondrive.aside(to, self.link.identity), to.name)
            ondrive.hand_over(came.part.finish(), to)
        else:
            came = self.bring(to)
            came.part.finish()
        self.done(to, came.size)
        record = self.record(came)
        records.remember_file(to, record)
        return Fetched(to, record.url, record.sha256, record.size, False, None)

    def online(self, to: Path) -> None:
        """Raise Offline where no server may be asked."""
        if self.offline:
            raise Offline(
                f"{to.name} is not here.",
                "no server is asked: offline=True, or COLAB_KIT_OFFLINE is set",
                "fetch it once with a network",
            )

    def bring(
        self, to: Path, name: str = "", watch: Callable[[Part], Watch] | None = None
    ) -> Whole:
        """Bring the file into a part of `to`."""
        return bring(self.links, to, self.way, name=name, watch=watch)

    def record(self, came: Whole) -> Record:
        """What is to be remembered of it."""
        return Record(
            self.link.identity, public(came.link.url), came.sha256, came.size, came.validator
        )

    def done(self, to: Path, size: int) -> None:
        """Say that it is there."""
        self.way.emit(FetchDone(to.name, to, size))
