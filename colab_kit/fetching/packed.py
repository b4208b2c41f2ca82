"""A file that is packed: fetched and unpacked, on the way where that can be; the archive itself is kept where it is wanted."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import BadArchive, NotFound, Private
from ..events import Note
from ..system.archives import external, unpack
from ..system.archives.limits import Unpacking, room
from ..system.files import make, sha256
from ..system.filetypes import HEAD
from ..system.http import public
from . import already, kept, local, ondrive, records, remote
from .aims import Aim
from .call import Call
from .fetched import Fetched
from .follow import Follow
from .partial import Part
from .records import Record
from .way import source_of
from .whole import authorized, looked_at


@dataclass(frozen=True)
class Packed:
    """What a call of fetch() does with an archive."""

    call: Call

    def folder(self, found: Aim, to: Path) -> Fetched:
        """Fetch and unpack to `to`, unless an earlier call did."""
        there = already.file_there if found.single else already.folder_there
        if (
            known := there(
                to,
                self.call.link,
                self.call.way,
                offline=self.call.offline,
                overwrite=self.call.overwrite,
            )
        ) is not None:
            return _unpacked(to, known, True)
        far = ondrive.is_there(to)
        near = (
            ondrive.aside(to, self.call.link.identity)
            if far
            else to
            if not os.path.lexists(to)
            else to.with_name(f".{to.name}.new")
        )
        shutil.rmtree(near, ignore_errors=True) if near != to else None
        archive = near.with_name(found.file.name) if far or near != to else found.file
        record = self._unpack(archive, near, found)
        if far:
            if found.single:
                ondrive.hand_over(near, to)
            else:
                ondrive.hand_over_folder(near, to, force=self.call.force)
        elif near != to:
            _swap(near, to)
        if found.single:
            records.remember_file(to, record)
        self.call.done(to, record.bytes or record.size)
        return _unpacked(to, record, False)

    def _unpack(self, archive: Path, to: Path, found: Aim) -> Record:
        """Unpack into the new folder `to`: from Drive, from where it lies, while it comes, or when it has come."""
        drive = None if self.call.keep_archive is False or found.single else kept.drive_there()
        shelf = None if drive is None else kept.Shelf(drive, archive.name, self.call.link.identity)
        if self.call.link.kind == "file":
            source = local.there(self.call)
            digest = sha256(source)
            local.same_hash(source, digest, self.call.way)
            record = Record(
                self.call.link.identity,
                self.call.link.url,
                digest,
                source.stat().st_size,
                already.validator_of_file(source),
                archive=str(source),
            )
            return self._from_file(source, to, record, found.single)
        if shelf is not None and (on_drive := self._from_drive(shelf, archive, to)) is not None:
            return on_drive
        self.call.online(to)
        if (streamed := self._from_there(archive, to, found, shelf)) is not None:
            return streamed
        follows: list[Follow] = []
        records_: list[Record] = []

        def watch(part: Part) -> Follow:
            for earlier in follows:
                earlier.end()
            follows.append(
                Follow(
                    part,
                    to,
                    max_size=self.call.way.max_size,
                    finish=lambda folder: self._mark(folder, records_),
                )
            )
            return follows[-1]

        try:
            came = self.call.bring(
                archive, watch=watch if _is_tar(archive.name) and not found.single else None
            )
        except BaseException:
            for follow in follows:
                follow.end()
            raise
        records_.append(record := self._where(self.call.record(came), archive, shelf, came.size))
        try:
            if not (follows and follows[-1].done()):
                records_[0] = self._from_file(came.part.path, to, record, found.single)
        except Exception:
            came.part.drop()
            raise
        self._put_away(came.part, archive, shelf, record)
        return records_[0]

    def _where(self, record: Record, archive: Path, shelf: kept.Shelf | None, size: int) -> Record:
        """The record, with where the archive is to be kept."""
        if shelf is not None and kept.room(size, self.call.keep_archive, kept.drive_there()):
            return replace(record, archive=str(shelf.path))
        if self.call.keep_archive and archive.exists() and not self.call.overwrite:
            self.call.way.emit(
                Note(
                    f"{archive} is there already and is left; the archive that came is not kept.",
                    "warn",
                )
            )
            return record
        return replace(record, archive=str(archive.absolute()) if self.call.keep_archive else "")

    def _put_away(
        self, part: Part, archive: Path, shelf: kept.Shelf | None, record: Record
    ) -> None:
        """Keep the archive where the record says, or not."""
        if shelf is not None and record.archive == str(shelf.path):
            part.close()
            shelf.keep(part.path, record)
            part.drop()
        elif record.archive:
            part.finish()
        else:
            part.drop()

    def _from_file(self, archive: Path, to: Path, record: Record, single: bool) -> Record:
        found = [record]
        self.call.way.emit(Note(f"Unpacking {to.name} ({record.size / 2**20:.1f} MiB)."))
        if single:
            free, way = room(to.parent), self.call.way
            job = Unpacking(str(archive), room=free, max_size=way.max_size, control=way.control)
            size = external.decompress(archive, to, job)
            return replace(record, sha256=sha256(to), size=size)
        unpack.unpack(
            archive,
            to,
            max_size=self.call.way.max_size,
            control=self.call.way.control,
            finish=lambda folder: self._mark(folder, found),
        )
        return found[0]

    def _mark(self, folder: Path, found: list[Record]) -> None:
        files, size = records.counted(folder)
        found[0] = replace(found[0], files=files, bytes=size)
        records.mark(folder, found[0])

    def _from_drive(self, shelf: kept.Shelf, archive: Path, to: Path) -> Record | None:
        """From the copy that an earlier session kept, if there is one that is still right."""
        record = shelf.record()
        wrong = record is None or any(
            not record.sha256.startswith(h)
            for kind, h in self.call.way.hashes.items()
            if kind == "sha256"
        )
        if (
            record is None
            or wrong
            or not (
                self.call.offline
                or self.call.way.hashes
                or already.still(record, self.call.link, self.call.way, archive.name)
            )
        ):
            return None
        make(archive.parent)
        came = archive.with_name(f"{archive.name}.from-drive")
        if not shelf.fetch(record, came, self.call.way.emit, self.call.way.control):
            return None
        try:
            return self._from_file(came, to, replace(record, archive=str(shelf.path)), False)
        finally:
            came.unlink(missing_ok=True)

    def _from_there(
        self, archive: Path, to: Path, found: Aim, shelf: kept.Shelf | None
    ) -> Record | None:
        """Unpacked on the way, where nobody wants the archive itself and the server allows it."""
        part = Part(archive, self.call.link.identity)
        plain = (
            self.call.link.kind == "http" and not self.call.link.lfs and len(self.call.links) == 1
        )
        if (
            self.call.keep_archive
            or self.call.way.hashes
            or not plain
            or not archive.name.lower().endswith(".zip")
            or part.restore()
        ):
            return None
        try:
            source = source_of(
                self.call.link, self.call.way, authorized(self.call.link, self.call.way)
            )
            far = remote.Remote(
                source, self.call.way.web, control=self.call.way.control, sleep=self.call.way.sleep
            )
            if kept.room(
                far.size, self.call.keep_archive, None if shelf is None else kept.drive_there()
            ):
                return None
            try:
                members = remote.streamable(far, archive.name)
            except BadArchive:
                looked_at(
                    archive.name, far.read(0, HEAD), self.call.link
                )  # a web page is told as what it is
                raise
            if members is None:
                return None
            if ondrive.is_there(found.target):
                ondrive.few_enough(
                    sum(not member.folder for member in members),
                    found.target,
                    force=self.call.force,
                )
            files, size = (
                sum(not member.folder for member in members),
                sum(member.size for member in members),
            )
            done = Record(
                self.call.link.identity,
                public(self.call.link.url),
                "",
                far.size,
                far.validator,
                files,
                size,
            )
            remote.unpack_from(
                far,
                members,
                to,
                name=archive.name,
                identity=self.call.link.identity,
                max_size=self.call.way.max_size,
                emit=self.call.way.emit,
                control=self.call.way.control,
                finish=lambda folder: records.mark(folder, done),
            )
            return done
        except (remote.Changed, Private, NotFound):  # the other way knows which secret may help
            return None


def _is_tar(name: str) -> bool:
    return not name.lower().endswith((".zip", ".7z", ".rar"))


def _unpacked(to: Path, record: Record, cached: bool) -> Fetched:
    """What is given for an unpacked folder: the one folder that holds all, if there is one."""
    inside = (
        []
        if to.is_file()
        else [
            path
            for path in to.iterdir()
            if path.name not in (records.MARK, "__MACOSX", ".DS_Store")
        ]
    )
    path = inside[0] if len(inside) == 1 and inside[0].is_dir() else to
    archive = Path(record.archive) if record.archive else None
    return Fetched(path, record.url, record.sha256 or None, record.size, cached, archive)


def _swap(new: Path, to: Path) -> None:
    old = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.old")
    to.rename(old)
    new.rename(to)
    shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink()
