"""A link that means several files: a Drive folder, or a repository of Hugging Face.

Each file is fetched as if it were alone, and one that fails does not end the others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import ColabKitError, FetchError, Offline
from ..events import Event, FetchDone, FetchProgress, FetchStarted, Note
from ..system.addresses import public
from ..system.files import make
from . import gdrive, gdrive_folder, hubs
from .fetched import Fetched
from .links.address import Link, clean_name
from .place import bring_file
from .plan import Options, Target, plan
from .records import adopt, look
from .remote import Call, Remote, one_at_a_time, resolve

THREADS = 4  # files at once; of Drive fewer: it refuses who asks too much
TICK = 0.1
NAMED = 8  # failures that are named


@dataclass(frozen=True)
class Member:
    """A file of several.

    path : its place below the folder
    size, sha256 : None and "" where the listing does not say them
    """

    link: Link
    path: str
    size: int | None = None
    sha256: str = ""


def members_of(link: Link, call: Call) -> tuple[str, list[Member]]:
    """Give the folder's name, and its files.

    Raises
    ------
    FetchError
    """
    sleep = lambda seconds: call.wait(seconds, link.name or "The folder")
    if link.kind == "gdrive-folder":
        title, entries = gdrive_folder.listing(
            link.id, call.web, resourcekey=link.resourcekey, sleep=sleep
        )
        files = [Member(_drive_link(entry), entry.path) for entry in entries]
        return clean_name(title) or link.id, files
    token = hubs.authorization("huggingface", call.token, call.find)
    files = []
    for file in hubs.hf_listing(link.id, call.web, token=token, sleep=sleep):
        name = Path(file.path).name
        own = Link("http", file.url, name, public(file.url), "huggingface")
        files.append(Member(own, file.path, file.size, file.sha256))
    return link.name or clean_name(link.id.partition("@")[0]) or "files", files


def _drive_link(entry: gdrive_folder.Entry) -> Link:
    id, key, name = entry.id, entry.resourcekey, Path(entry.path).name
    kind, url = "gdrive", f"https://drive.google.com/uc?id={id}"
    if entry.kind != "file":
        kind, url = "gdoc", gdrive.export_url(id, entry.kind, resourcekey=key)
    return Link(kind, url, name, f"gdrive:{id}", "drive", id=id, resourcekey=key)


def fetch_all(
    link: Link, to: str | os.PathLike[str] | None, call: Call, *, offline: bool
) -> Fetched:
    """Fetch all files of a folder into `to`, or into a folder of its name.

    What is there already stays.

    Raises
    ------
    FetchError
        Some files did not come, and it names them. The others are there, and the next call fetches
        only those that are missing.
    """
    url = public(link.url)
    if offline:
        fix = "use the folder that is here"
        raise Offline(f"The files of {url} are not known.", "no server is asked (offline)", fix)
    title, members = members_of(link, call)
    if not members:
        why, fix = f"{url} lists no files", "see whether it is shared with everyone"
        raise FetchError(f"The folder {title} is empty.", why, fix)
    folder = Path(title if to is None else os.path.expanduser(to))
    make(folder)
    sizes = [member.size for member in members]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    job = _Job(title, folder, call, total)
    call.emit(FetchStarted(title, url, total))
    with ThreadPoolExecutor(2 if link.service == "drive" else THREADS) as pool:
        try:
            job.attend([pool.submit(job.fetch, member) for member in members])
        finally:
            job.halt.set()
            pool.shutdown(wait=True, cancel_futures=True)
    job.pass_on_notes()
    if job.failed:
        call.check_stop(title)  # it failed them all
        raise _summed_up(job, len(members))
    call.emit(FetchDone(title, folder, job.done))
    return Fetched(folder, url, None, job.done, job.new == 0, None)


@dataclass
class _Job:
    """What the threads share.

    done : bytes that have come or were there
    new : files that have come
    """

    title: str
    folder: Path
    call: Call
    total: int | None
    halt: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: int = 0
    new: int = 0
    failed: dict[str, FetchError] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def attend(self, futures: Sequence[Future[None]]) -> None:
        """Tell the caller how it goes until all are done."""
        for future in futures:
            while not future.done():
                wait([future], timeout=TICK)
                self.call.emit(FetchProgress(self.title, self.done, self.total))
                self.pass_on_notes()
                self.call.check_stop(self.title)
            future.result()  # nothing unforeseen is swallowed

    def pass_on_notes(self) -> None:
        """Emit in the caller's thread what the other threads noted."""
        with self.lock:
            notes, self.notes = self.notes, []
        for note in notes:
            self.call.emit(note)

    def count(self, size: int, new: int = 0) -> None:
        with self.lock:
            self.done += size
            self.new += new

    def fetch(self, member: Member) -> None:
        if self.halt.is_set():
            return
        before = 0

        def hear(event: Event) -> None:
            nonlocal before
            if isinstance(event, FetchProgress):
                self.count(event.done - before)
                before = event.done
            elif isinstance(event, Note):
                with self.lock:
                    self.notes.append(event)

        to = self.folder / member.path
        hashes = {"sha256": member.sha256} if member.sha256 else {}
        call = replace(self.call, emit=hear, hashes=hashes)
        try:
            make(to.parent)
            with one_at_a_time(to, hear, call.control):
                self._fetch(member, to, call)
        except FetchError as err:
            self.failed[member.path] = err
        except ColabKitError as err:
            self.failed[member.path] = FetchError(err.what, err.why, err.fix)
        except OSError as err:
            what, fix = (
                f"{member.path} could not be written.",
                "free some room, or give another to=",
            )
            self.failed[member.path] = FetchError(what, str(err), fix)

    def _fetch(self, member: Member, to: Path, call: Call) -> None:
        link, remote = member.link, None
        here = look(to, to, link, member.sha256, None)
        if member.size is not None:
            remote = Remote("", member.size, "")
        elif here.exists and not here.is_mine:
            remote = resolve(link, call)
        todo = plan(link, remote, here, Target(to), Options(sha256=member.sha256))
        for note in todo.notes:
            call.emit(note)
        if todo.step == "use":
            if todo.record is None:
                adopt(here, link, remote)
            self.count(here.size or 0)
            return
        bring_file([link], to, to, call)
        self.count(0, new=1)


def _summed_up(job: _Job, files: int) -> FetchError:
    errors = list(job.failed.values())
    named = [f"{path} ({err.why or err.what})" for path, err in [*job.failed.items()][:NAMED]]
    if len(errors) > NAMED:
        named.append(f"and {len(errors) - NAMED} more")
    fixes = [*(err.fix for err in errors if err.fix), "see whether they are shared"]
    kinds = {type(err) for err in errors}
    kind = kinds.pop() if len(kinds) == 1 else FetchError
    did_not = f"{len(errors)} of the {files} files of {job.title} did not come"
    what = f"{did_not}; the others are in {job.folder}."
    return kind(what, "; ".join(named), f"the same call fetches only these; {fixes[0]}")
