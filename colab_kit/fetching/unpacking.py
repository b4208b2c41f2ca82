"""An archive becomes a folder: from Drive's copy, from where it is, while it comes, or afterwards.

The archive itself is kept where that is wanted. A killed call leaves no half folder.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import BadArchive, NotFound, Private
from ..events import Note
from ..system.addresses import public
from ..system.archives import external, unpack
from ..system.archives.limits import Unpacking, room
from ..system.archives.zip import Member
from ..system.files import make, sha256
from ..system.filetypes import HEAD
from . import place
from .download import Whole, bring, check_head, wrong_hash
from .links.address import Link
from .partial import Part
from .place import ArchiveShelf
from .plan import Options, Plan, Target
from .records import Record, mark, record_as_is, record_of_folder, remember_file
from .remote import Call, source_of
from .streaming import Changed, RemoteZip, TarFollower


@dataclass(frozen=True)
class Unpacker:
    """What a call does with an archive."""

    link: Link
    target: Target
    options: Options
    call: Call
    shelf: ArchiveShelf | None

    def run(self, plan: Plan) -> Record:
        """Unpack to `target.path`, whole or not at all."""
        to = self.target.path
        on_drive, near = place.is_on_drive(to), to
        if on_drive:
            near = place.fast_place(to, self.link.identity)
        elif os.path.lexists(to):
            near = to.with_name(f".{to.name}.new")
        if near != to:
            shutil.rmtree(near, ignore_errors=True)
        record = self._unpack(plan, near.with_name(self.target.file.name), near)
        if on_drive and self.target.single:
            place.move_to_drive(near, to)
        elif on_drive:
            place.move_folder_to_drive(near, to, force=self.options.force)
        elif near != to:
            place.replace(near, to)
        if self.target.single:
            remember_file(to, record)
        return record

    def _unpack(self, plan: Plan, archive: Path, to: Path) -> Record:
        """Unpack into the new folder `to`."""
        record = None
        if plan.step == "copy":
            return self._from_local(to)
        if plan.step == "restore" and plan.record is not None:
            record = self._from_drive(plan.record, archive, to)
        elif plan.step == "stream":
            record = self._from_server(archive, to)
        return record or self._downloaded(archive, to)

    def _from_local(self, to: Path) -> Record:
        source = place.local_path(self.link)
        record = record_as_is(source, self.link, str(source.stat().st_mtime_ns))
        if not record.sha256.startswith(self.options.sha256):
            raise wrong_hash(source, record.sha256, self.options.sha256)
        return self._from_file(source, to, replace(record, archive=str(source)))

    def _from_drive(self, record: Record, archive: Path, to: Path) -> Record | None:
        """Unpack the copy that an earlier session kept; None if it is damaged."""
        if self.shelf is None:
            return None
        make(archive.parent)
        copy = archive.with_name(f"{archive.name}.from-drive")
        if not self.shelf.bring(record, copy, self.call):
            return None
        try:
            return self._from_file(copy, to, replace(record, archive=str(self.shelf.path)))
        finally:
            copy.unlink(missing_ok=True)

    def _from_server(self, archive: Path, to: Path) -> Record | None:
        """Unpack it from where it is; None if the server or the archive does not allow that."""
        try:
            source = source_of(self.link, self.call, self.call.authorization(self.link))
            remote = RemoteZip(source, self.call, archive.name)
            if self.shelf is not None and self.shelf.takes(remote.size, self.options.keep_archive):
                return None
            members = self._members(remote)
            if members is None:
                return None
            if place.is_on_drive(self.target.path):
                files = sum(not member.folder for member in members)
                place.check_file_count(files, self.target.path, force=self.options.force)
            url, identity = public(self.link.url), self.link.identity
            record = Record(identity, url, "", remote.size, remote.version)
            remote.unpack(members, to, identity, lambda folder: mark(folder, record))
            return record_of_folder(to)
        except (Changed, Private, NotFound):  # a download knows which secret may help
            return None

    def _members(self, remote: RemoteZip) -> list[Member] | None:
        try:
            return remote.members()
        except BadArchive:
            check_head(remote.name, remote.read(0, HEAD), self.link)  # it may be a web page
            raise

    def _downloaded(self, archive: Path, to: Path) -> Record:
        """Download it; a tar is unpacked while it comes."""
        followers: list[TarFollower] = []
        links = [self.link, *self.options.mirrors]

        def follow(part: Part) -> TarFollower:
            for earlier in followers:
                earlier.end()
            followers.append(TarFollower(part, to, self.call.max_size))
            return followers[-1]

        is_tar = not archive.name.lower().endswith((".zip", ".7z", ".rar"))
        watch = (lambda part: follow(part).tick) if is_tar and not self.target.single else None
        try:
            whole = bring(links, archive, self.call, watch=watch)
        except BaseException:
            for follower in followers:
                follower.end()
            raise
        record = self._kept(whole, archive)
        try:
            if followers and followers[-1].done(lambda folder: mark(folder, record)):
                unpacked = record_of_folder(to) or record
            else:
                unpacked = self._from_file(whole.part.path, to, record)
        except Exception:
            whole.part.drop()
            raise
        self._put_away(whole.part, record)
        return unpacked

    def _kept(self, whole: Whole, archive: Path) -> Record:
        """Give the record, with where the archive is to be kept."""
        wish, path = self.options.keep_archive, ""
        if self.shelf is not None and self.shelf.takes(whole.size, wish):
            path = str(self.shelf.path)
        elif wish and archive.exists() and not self.options.overwrite:
            note = f"{archive} is there already and is left; the new archive is not kept."
            self.call.emit(Note(note, "warn"))
        elif wish:
            path = str(archive.absolute())
        return replace(whole.record(self.link), archive=path)

    def _put_away(self, part: Part, record: Record) -> None:
        """Keep the archive where the record says, or not."""
        if self.shelf is not None and record.archive == str(self.shelf.path):
            part.close()
            self.shelf.keep(part.path, record)
        elif record.archive:
            part.finish()
            return
        part.drop()

    def _from_file(self, archive: Path, to: Path, record: Record) -> Record:
        self.call.emit(Note(f"Unpacking {to.name} ({record.size / 2**20:.1f} MiB)."))
        limit, control = self.call.max_size, self.call.control
        if self.target.single:
            free = room(to.parent)
            job = Unpacking(str(archive), room=free, max_size=limit, control=control)
            size = external.decompress(archive, to, job)
            return replace(record, sha256=sha256(to), size=size)
        finish = lambda folder: mark(folder, record)
        say = lambda text: self.call.emit(Note(text, "warn"))
        unpack.unpack(archive, to, max_size=limit, control=control, finish=finish, say=say)
        return record_of_folder(to) or record
