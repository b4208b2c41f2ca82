"""One whole file from the first of its links that gives it: looked at before it gets its name, then hashed, then renamed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
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
from ..events import Control, Event, FetchDone, Note
from ..system.files import make
from ..system.filetypes import Pointer, contradicts, lfs_pointer, message, web_page
from ..system.http import Web, public
from . import hubs
from .http_download import Download
from .links.parse import Link, understand
from .partial import Part, unwritable
from .source import Source
from .way import Way, one_at_a_time, source_of


@dataclass(frozen=True)
class Whole:
    """A file that came: under its name, unless it was asked to stay a part."""

    part: Part
    link: Link
    sha256: str
    size: int
    validator: str


class _Pointed(Exception):
    def __init__(self, pointer: Pointer) -> None:
        self.pointer = pointer


def get(
    urls: str | Sequence[str],
    to: Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    token: str | None = None,
    emit: Callable[[Event], None] | None = None,
    control: Control | None = None,
    web: Web | None = None,
    sleep: Callable[[float], object] | None = None,
) -> Path:
    """Fetch one file from the first of its mirrors that gives it; one that is there and has the right hash is not fetched again.

    Parameters
    ----------
    urls : any links that fetch() takes
    to : the file's name; its folder is made
    md5, sha256 : hex digests; of sha256 its first 8 digits or more will do, as in the names of torch's weight files

    Raises
    ------
    FetchError
        No mirror gave the file. Addresses appear in it without their queries.
    """
    wanted = checked_hashes({"md5": md5, "sha256": sha256})
    if wanted and to.is_file() and has(to, wanted):
        return to
    links = [understand(url) for url in ([urls] if isinstance(urls, str) else urls)]
    with nullcontext(web) if web is not None else Web() as opened:
        way = Way(opened, emit or (lambda event: None), wanted, token, None, control, sleep=sleep)
        with one_at_a_time(to, way):
            if wanted and to.is_file() and has(to, wanted):
                return to  # another process was faster
            came = bring(links, to, way)
            came.part.finish()
        way.emit(FetchDone(to.name, to, came.size))
    return to


def checked_hashes(hashes: Mapping[str, str | None]) -> dict[str, str]:
    """The hashes that were given, in small letters.

    Raises
    ------
    LinkError
        One is malformed.
    """
    found = {}
    for kind, digest in hashes.items():
        if digest is None:
            continue
        least, most = {"md5": (32, 32), "sha256": (8, 64)}[kind]
        if not isinstance(digest, str) or not re.fullmatch(
            rf"[0-9a-fA-F]{{{least},{most}}}", digest.strip()
        ):
            raise LinkError(
                f"{digest!r} is no {kind}.", f"a {kind} has {most} hex digits", f"correct {kind}="
            )
        found[kind] = digest.strip().lower()
    return found


def has(path: Path, hashes: Mapping[str, str]) -> bool:
    """Whether a file has these hashes."""
    import hashlib

    for kind, wanted in hashes.items():
        with open(path, "rb") as file:
            if not hashlib.file_digest(file, kind).hexdigest().startswith(wanted):
                return False
    return True


def bring(
    links: Sequence[Link],
    to: Path,
    way: Way,
    *,
    name: str = "",
    watch: Callable[[Part], Watch] | None = None,
) -> Whole:
    """Bring the file that the links mean into a part of `to`; the caller gives it its name by `part.finish()`.

    Parameters
    ----------
    name : what the file is called, for looking at its content; of `to` if empty
    watch : callable(part), optional: who wants to read it while it comes, and may end it by raising at its ticks

    Raises
    ------
    FetchError
        No link gave it. What came from a server that can go on stays for the next call.
    """
    try:
        make(to.parent)
    except OSError as err:
        raise unwritable(to.parent, err) from err
    failures: list[tuple[Link, FetchError]] = []
    for number, link in enumerate(links):
        mine = way if number == 0 else replace(way, token=None)
        try:
            return _with_a_secret(link, to, mine, name or to.name, watch)
        except (NoSpace, Stopped):
            raise
        except FetchError as err:
            failures.append((link, err))
            if number + 1 < len(links):
                way.emit(
                    Note(
                        f"{public(link.url)} did not give {to.name} ({err.why or err.what}); the next source is asked.",
                        "warn",
                    )
                )
        except OSError as err:
            raise unwritable(to, err) from err
    raise _summed_up(to, failures)


def _summed_up(to: Path, failures: Sequence[tuple[Link, FetchError]]) -> FetchError:
    if len(failures) == 1:
        return failures[0][1]
    telling = next(
        (err for _, err in failures if not isinstance(err, Offline)), failures[-1][1]
    )  # one that answered knows more
    why = "; ".join(dict.fromkeys(err.why or err.what for _, err in failures))
    error = type(telling)(
        f"{to.name} could not be fetched from any of its {len(failures)} sources.", why, telling.fix
    )
    error.__cause__ = telling
    return error


def _with_a_secret(
    link: Link, to: Path, way: Way, name: str, watch: Callable[[Part], Watch] | None
) -> Whole:
    """Ask as anyone may; where that is not enough and a secret of the service is known, ask with it."""
    given = authorized(link, way)
    try:
        return _from(link, to, way, name, given, watch)
    except (Private, NotFound) as err:
        found = (
            None if given or not link.service else hubs.authorization(link.service, None, way.find)
        )
        if found is None:
            raise hubs.explained(err, link.service) from err
    try:
        return _from(link, to, way, name, found, watch)
    except (Private, NotFound) as err:
        raise hubs.explained(err, link.service) from err


def authorized(link: Link, way: Way) -> str | None:
    """What Authorization says for the token that was given; None if none was."""
    return hubs.authorization(link.service, way.token, lambda name: None) if way.token else None


def _from(
    link: Link,
    to: Path,
    way: Way,
    name: str,
    token: str | None,
    watch: Callable[[Part], Watch] | None,
) -> Whole:
    source = source_of(link, way, token)
    check = lambda head: looked_at(name, head, link)
    try:
        return _download(source, link, to, way, check, way.hashes, watch)
    except _Pointed as found:
        pointer = found.pointer
        if not link.lfs:
            raise _only_pointer(name, link) from None
    way.emit(
        Note(
            f"{name} is kept by Git LFS: its {pointer.size:,} bytes are fetched from where they lie."
        )
    )
    again = Source(link.lfs, token, connections=source.connections)
    hashes = {"sha256": pointer.sha256, **way.hashes}
    if not pointer.sha256.startswith(hashes["sha256"]):
        why = f"Git LFS says that the file's sha256 is {pointer.sha256}, and sha256= is {hashes['sha256']}"
        raise HashMismatch(
            f"{name} is not the file that the sha256 stands for.",
            why,
            "compare the sha256 with the repository's file",
        )
    try:
        return _download(again, link, to, way, check, {**hashes, "sha256": pointer.sha256}, watch)
    except _Pointed:
        raise _only_pointer(name, link) from None


def _only_pointer(name: str, link: Link) -> GotLfsPointer:
    why = f"{public(link.url)} gives Git LFS's note of where the file is, not the file"
    return GotLfsPointer(
        f"{name} did not come.",
        why,
        "copy the link behind the page's download button, or clone with git lfs installed",
    )


def _download(
    source: Source,
    link: Link,
    to: Path,
    way: Way,
    check: Callable[[bytes], None],
    hashes: Mapping[str, str],
    watch: Callable[[Part], Watch] | None,
) -> Whole:
    part = Part(to, link.identity, hashes=tuple(hashes))
    down = Download(
        source,
        part,
        web=way.web,
        emit=way.emit,
        hashes=hashes,
        check=check,
        max_size=way.max_size,
        unpack=not to.name.lower().endswith((".gz", ".tgz", ".svgz")),
        control=way.control,
        sleep=way.sleep,
        tick=(Watch() if watch is None else watch(part)).tick,
    )
    down.run()
    return Whole(part, link, part.digests["sha256"].hexdigest(), part.total or 0, part.validator)


class Watch:
    """Who reads a part while it comes: told at each look of the one who brings it."""

    def tick(self) -> None:
        """Raise to end it."""


def looked_at(name: str, head: bytes, link: Link) -> None:
    """Raise what these first bytes say, if they cannot be the file's."""
    if (pointer := lfs_pointer(head)) is not None:
        raise _Pointed(pointer)
    reason = contradicts(name, head)
    if reason is None:
        return
    what = f"{name} did not come from {public(link.url)}."
    if not head:
        raise Truncated(
            what,
            reason,
            "see whether the file at its source is empty; name another one with mirrors=",
        )
    if web_page(head) is not None:
        fix = f"open {public(link.url)} in a browser and copy the link of the download itself; for a page, end to= with .html"
        raise GotHtml(what, reason, fix)
    if message(head) is not None:
        raise GotHtml(
            what, reason, "the link has expired or the file is not public: copy its link anew"
        )
    raise FetchError(
        what,
        reason,
        "give to= the ending that it has; if it should be one, the file is damaged at its source",
    )
