"""A link that means several files: a Drive folder, a repository of Hugging Face. Each is fetched as by itself; one that fails ends none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ColabKitError, FetchError, Offline, Stopped
from ..events import FetchDone, FetchProgress, FetchStarted, Note
from ..system.files import make
from ..system.http import public
from . import already, gdrive, hubs, records
from .fetched import Fetched
from .links.parse import Link, safe_name
from .records import Record
from .way import Way, one_at_a_time
from .whole import bring

HANDS = 4  # files at once; of Drive fewer: it refuses who asks too much
TICK = 0.1
MANY = 8  # failures that are named


@dataclass(frozen=True)
class One:
    """A file of several: its link, its place below the folder, its size and sha256 where they are told."""

    link: Link
    path: str
    size: int | None = None
    sha256: str = ""


def listed(link: Link, way: Way) -> tuple[str, list[One]]:
    """What the folder is called, and its files.

    Raises
    ------
    FetchError
    """
    if link.kind == "gdrive-folder":
        title, entries = gdrive.listing(link.id, way.web, resourcekey=link.resourcekey)
        return safe_name(title) or link.id, [One(_on_drive(entry), entry.path) for entry in entries]
    token = hubs.authorization("huggingface", way.token, way.find)
    files = hubs.hf_listing(link.id, way.web, token=token)
    found = [
        One(Link("http", url, Path(path).name, public(url), "huggingface"), path, size, sha)
        for url, path, size, sha in files
    ]
    return link.name or safe_name(link.id.partition("@")[0].rpartition("/")[2]) or "files", found


def _on_drive(entry: gdrive.Entry) -> Link:
    if entry.kind == "file":
        return Link(
            "gdrive",
            f"https://drive.google.com/uc?id={entry.id}",
            Path(entry.path).name,
            f"gdrive:{entry.id}",
            "drive",
            id=entry.id,
            resourcekey=entry.resourcekey,
        )
    url = gdrive.export_url(entry.id, entry.kind, resourcekey=entry.resourcekey)
    return Link(
        "gdoc",
        url,
        Path(entry.path).name,
        f"gdrive:{entry.id}",
        "drive",
        id=entry.id,
        resourcekey=entry.resourcekey,
    )


def fetch_all(link: Link, to: str | os.PathLike[str] | None, way: Way, *, offline: bool) -> Fetched:
    """Fetch all files of a folder into `to`, or into a folder of its name; what is there already stays.

    Raises
    ------
    FetchError
        Some did not come: it names them. The others are there, and the next call fetches only these.
    """
    if offline:
        raise Offline(
            f"The files of {public(link.url)} are not known.",
            "no server is asked (offline)",
            "use the folder that is here",
        )
    title, files = listed(link, way)
    folder = Path(title) if to is None else Path(os.path.expanduser(to))
    if not files:
        raise FetchError(
            f"The folder {title} is empty.",
            f"{public(link.url)} lists no files",
            "see whether it is shared with everyone",
        )
    make(folder)
    job = _Job(folder, way)
    total = (
        sum(one.size or 0 for one in files) if all(one.size is not None for one in files) else None
    )
    way.emit(FetchStarted(title, public(link.url), total))
    with ThreadPoolExecutor(2 if link.service == "drive" else HANDS) as pool:
        try:
            for future in [pool.submit(job.one, one) for one in files]:
                while not future.done():
                    wait([future], timeout=TICK)
                    way.emit(FetchProgress(title, job.done, total))
                    job.hear(way.emit)
                    if way.control is not None and way.control.stopped:
                        raise Stopped(
                            f"{title} was not fetched to its end.",
                            way.control.reason,
                            "the same call goes on from what has come",
                        )
                future.result()  # nothing unforeseen is swallowed
        finally:
            job.halt.set()
            pool.shutdown(wait=True, cancel_futures=True)
    job.hear(way.emit)
    if job.failed:
        raise _summed_up(title, folder, len(files), job.failed)
    way.emit(FetchDone(title, folder, job.done))
    return Fetched(folder, public(link.url), None, job.done, job.new == 0, None)


def _summed_up(title: str, folder: Path, files: int, failed: dict[str, FetchError]) -> FetchError:
    named = "; ".join(
        f"{path} ({err.why or err.what})" for path, err in list(failed.items())[:MANY]
    )
    more = f"; and {len(failed) - MANY} more" if len(failed) > MANY else ""
    fixes = list(dict.fromkeys(err.fix for err in failed.values() if err.fix))
    kinds = {type(err) for err in failed.values()}
    kind = kinds.pop() if len(kinds) == 1 else FetchError
    fix = (
        f"the same call fetches only these; {fixes[0] if fixes else 'see whether they are shared'}"
    )
    return kind(
        f"{len(failed)} of the {files} files of {title} did not come; the others are in {folder}.",
        named + more,
        fix,
    )


class _Job:
    """What the threads share."""

    def __init__(self, folder: Path, way: Way) -> None:
        self.folder, self.way = folder, way
        self.halt, self.lock = threading.Event(), threading.Lock()
        self.done = self.new = 0
        self.failed: dict[str, FetchError] = {}
        self.news: list[Note] = []

    def hear(self, emit: Callable[[Note], None]) -> None:
        """Say in the caller's thread what the others had to say."""
        with self.lock:
            news, self.news = self.news, []
        for note in news:
            emit(note)

    def one(self, one: One) -> None:
        if self.halt.is_set():
            return
        before = 0

        def told(event: object) -> None:
            nonlocal before
            if isinstance(event, FetchProgress):
                with self.lock:
                    self.done += event.done - before
                before = event.done
            elif isinstance(event, Note):
                with self.lock:
                    self.news.append(event)

        to = self.folder / one.path
        way = replace(self.way, emit=told, hashes={"sha256": one.sha256} if one.sha256 else {})
        try:
            make(to.parent)
            with one_at_a_time(to, way):
                self._fetched(one, to, way)
        except FetchError as err:
            with self.lock:
                self.failed[one.path] = err
        except ColabKitError as err:
            with self.lock:
                self.failed[one.path] = FetchError(err.what, err.why, err.fix)
        except OSError as err:
            with self.lock:
                self.failed[one.path] = FetchError(
                    f"{one.path} could not be written.",
                    str(err),
                    "free some room, or give to= another folder",
                )

    def _fetched(self, one: One, to: Path, way: Way) -> None:
        known = records.of_file(to)
        mine = known is not None and known.identity == one.link.identity
        if (
            mine
            and known is not None
            and (
                already.has_all(known, to, way.hashes)
                if way.hashes
                else one.size in (None, known.size)
            )
        ):
            self.done += known.size
            return
        if (
            not mine
            and already.file_there(to, one.link, way, offline=False, overwrite=False) is not None
        ):
            self.done += to.stat().st_size
            return
        came = bring([one.link], to, way)
        came.part.finish()
        with self.lock:
            self.new += 1
        records.remember_file(
            to,
            Record(one.link.identity, public(one.link.url), came.sha256, came.size, came.validator),
        )
