"""One whole file from the first of its links that gives it.

It is checked before it gets its name: a web page is never saved as the file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import (
    FetchError,
    GotHtml,
    GotLfsPointer,
    HashMismatch,
    LinkError,
    NoSpace,
    NotFound,
    Offline,
    Private,
    Stopped,
    Truncated,
)
from ..events import Callback, Control, FetchDone, Note
from ..system.addresses import public
from ..system.files import make
from ..system.filetypes import Pointer, contradicts, lfs_pointer, message, web_page
from ..system.http import Web
from ..system.retry import Sleep
from . import hubs
from .http_download import Download
from .links.address import Link
from .links.parse import parse_link
from .partial import Part, writing
from .records import Record
from .remote import Call, Source, one_at_a_time, source_of

Watch = Callable[[Part], Callable[[], None]]  # gives what is called at each look at the part


@dataclass(frozen=True)
class Whole:
    """A file that came; it is still a part, and `part.finish()` gives it its name."""

    part: Part
    link: Link

    @property
    def sha256(self) -> str:
        """Of the file, in hex."""
        return self.part.digests["sha256"].hexdigest()

    @property
    def size(self) -> int:
        """Bytes."""
        return self.part.total or 0

    def record(self, link: Link) -> Record:
        """Give the record of the file of `link`, also if a mirror gave it."""
        url, version = public(self.link.url), self.part.version
        return Record(link.identity, url, self.sha256, self.size, version)


def get(
    urls: str | Sequence[str],
    to: Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    token: str | None = None,
    emit: Callback | None = None,
    control: Control | None = None,
    sleep: Sleep | None = None,
) -> Path:
    """Fetch one file from the first of its mirrors that gives it.

    One that is there and has the right hash is not fetched again.

    Parameters
    ----------
    urls : str or list of str
        Any links that fetch() takes.
    to : Path
        The file's name; its folder is made.
    md5, sha256 : str
        Hex digests; of sha256 the first 8 digits or more are enough, as in the names of torch's
        weight files.

    Raises
    ------
    FetchError
        No mirror gave the file. Addresses appear in it without their queries.
    """
    hashes = checked_hashes({"md5": md5, "sha256": sha256})
    links = [parse_link(url) for url in ([urls] if isinstance(urls, str) else urls)]
    if has_hashes(to, hashes):
        return to
    emit, control = emit or (lambda event: None), control or Control()
    with Web(control=control) as web:
        call = Call(web, emit, hashes, token, control=control, sleep=sleep)
        with one_at_a_time(to, emit, control):
            if has_hashes(to, hashes):
                return to  # another process was faster
            size = bring(links, to, call).part.finish().stat().st_size
        emit(FetchDone(to.name, to, size))
    return to


def checked_hashes(hashes: Mapping[str, str | None]) -> dict[str, str]:
    """Check the hashes, and give them in small letters.

    Raises
    ------
    LinkError
        One is malformed.
    """
    checked = {}
    for kind, digest in hashes.items():
        if digest is None:
            continue
        digits = {"md5": "{32}", "sha256": "{8,64}"}[kind]
        if not isinstance(digest, str) or not re.fullmatch(f"[0-9a-fA-F]{digits}", digest.strip()):
            why = f"a {kind} has {digits[1:-1].replace(',', ' to ')} hex digits"
            raise LinkError(f"{digest!r} is no {kind}.", why, f"correct {kind}=")
        checked[kind] = digest.strip().lower()
    return checked


def has_hashes(path: Path, hashes: Mapping[str, str]) -> bool:
    """Tell whether a file is there and has these hashes; False if there are none to compare."""
    if not hashes or not path.is_file():
        return False
    for kind, wanted in hashes.items():
        with open(path, "rb") as file:
            if not hashlib.file_digest(file, kind).hexdigest().startswith(wanted):
                return False
    return True


def bring(
    links: Sequence[Link], to: Path, call: Call, *, name: str = "", watch: Watch | None = None
) -> Whole:
    """Bring the file that the links mean into a part of `to`.

    Parameters
    ----------
    name : str
        The file's name, by which its content is checked; "": that of `to`.
    watch : callable(part), optional
        Reads the part while it comes; what it gives is called at each look and may raise.

    Raises
    ------
    FetchError
        No link gave it. What came from a server that can continue stays for the next call.
    """
    failures: list[FetchError] = []
    with writing(to):
        make(to.parent)
        for link in links:
            mine = replace(call, token=None) if failures else call
            try:
                return _Bringing(link, to, mine, name or to.name, watch).run()
            except (NoSpace, Stopped):
                raise
            except FetchError as err:
                failures.append(err)
                if len(failures) < len(links):
                    what = f"{public(link.url)} did not give {to.name} ({err.why or err.what})"
                    call.emit(Note(f"{what}; the next source is asked.", "warn"))
    raise _summed_up(to, failures)


def _summed_up(to: Path, failures: Sequence[FetchError]) -> FetchError:
    if len(failures) == 1:
        return failures[0]
    # a server that answered knows more than one that was not reached
    cause = next((err for err in failures if not isinstance(err, Offline)), failures[-1])
    why = "; ".join(dict.fromkeys(err.why or err.what for err in failures))
    what = f"{to.name} could not be fetched from any of its {len(failures)} sources."
    error = type(cause)(what, why, cause.fix)
    error.__cause__ = cause
    return error


class _IsPointer(Exception):
    """What came is Git LFS's note of where the file is."""

    def __init__(self, pointer: Pointer) -> None:
        self.pointer = pointer


@dataclass(frozen=True)
class _Bringing:
    """One link's file on its way into a part of `to`."""

    link: Link
    to: Path
    call: Call
    name: str
    watch: Watch | None

    def run(self) -> Whole:
        """Ask as anyone may; where that is refused, ask with a secret of the service."""
        token, service = self.call.authorization(self.link), self.link.service
        try:
            return self._from(token)
        except (Private, NotFound) as err:
            if token is None and service:
                token = hubs.authorization(service, None, self.call.find)
                if token is not None:
                    return self._from_private(token)
            raise hubs.explained(err, service, self.link.url) from err

    def _from_private(self, token: str) -> Whole:
        try:
            return self._from(token)
        except (Private, NotFound) as err:
            raise hubs.explained(err, self.link.service, self.link.url) from err

    def _from(self, token: str | None) -> Whole:
        """Give the file, also where Git LFS keeps it elsewhere."""
        source, hashes = source_of(self.link, self.call, token), self.call.hashes
        try:
            return self._download(source, hashes)
        except _IsPointer as err:
            pointer = err.pointer
        try:
            if self.link.lfs:
                wanted = hashes.get("sha256", "")
                if not pointer.sha256.startswith(wanted):
                    raise wrong_hash(self.name, pointer.sha256, wanted)
                note = f"its {pointer.size:,} bytes are fetched from there"
                self.call.emit(Note(f"{self.name} is kept by Git LFS: {note}."))
                source = Source(self.link.lfs, token)
                return self._download(source, {**hashes, "sha256": pointer.sha256})
        except _IsPointer:
            pass
        why = f"{public(self.link.url)} gives Git LFS's note of where the file is, not the file"
        fix = "copy the link behind the page's download button, or clone with git lfs installed"
        raise GotLfsPointer(f"{self.name} did not come.", why, fix)

    def _download(self, source: Source, hashes: Mapping[str, str]) -> Whole:
        part = Part(self.to, self.link.identity, hashes=tuple(hashes))
        Download(
            source,
            part,
            self.call,
            hashes=hashes,
            check=lambda head: check_head(self.name, head, self.link),
            unpack=not self.to.name.lower().endswith((".gz", ".tgz", ".svgz")),
            tick=self.watch(part) if self.watch else lambda: None,
        ).run()
        return Whole(part, self.link)


def check_head(name: str, head: bytes, link: Link) -> None:
    """Raise what these first bytes say, if they cannot be the file's."""
    if (pointer := lfs_pointer(head)) is not None:
        raise _IsPointer(pointer)
    reason = contradicts(name, head)
    if reason is None:
        return
    kind: type[FetchError] = FetchError
    fix = "give to= the ending that it has; or, if it should be one, ask for an undamaged file"
    if not head:
        kind = Truncated
        fix = "see whether the file at its source is empty; name another one with mirrors="
    elif web_page(head) is not None:
        kind, opened = GotHtml, f"open {public(link.url)} in a browser"
        fix = f"{opened} and copy the link of the download; for a page, end to= with .html"
    elif message(head) is not None:
        kind, fix = GotHtml, "the link has expired or the file is not public: copy its link anew"
    raise kind(f"{name} did not come from {public(link.url)}.", reason, fix)


def wrong_hash(name: object, digest: str, wanted: str) -> HashMismatch:
    """Give the error for a file with another sha256 than was given."""
    what = f"{name} is not the file that the sha256 stands for."
    return HashMismatch(what, f"its sha256 is {digest}, not {wanted}", "compare the sha256")
