"""A folder of Google Drive: all files below it, each under a name that is safe to write."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..errors import FetchError
from ..events import Control
from ..system.connections import Errand, Overdue
from ..system.http import Web
from ..system.retry import Sleep, retry, server_pause
from .gdrive import ANY, DOCUMENTS, page_of, query, refusal_of, words_of
from .links.address import path_part

PAGE = 32 << 20  # bytes read of a folder's page
MOST, DEEPEST = 10_000, 20  # files and folders in a listing, and folders in one another
# Google's pages are told apart by their words
_HEADERS = {"Accept-Language": "en", "User-Agent": "Mozilla/5.0 (compatible; colab-kit)"}
_KINDS = "|".join(DOCUMENTS)


@dataclass(frozen=True)
class Entry:
    """A file in a folder.

    path : relative and safe to write, unique in its listing
    kind : file, doc, sheet, slides or drawing; within this module also folder
    """

    id: str
    path: str
    kind: str
    resourcekey: str = ""


class _Unread(FetchError):
    """A folder's page came and cannot be understood."""


def listing(
    id: str,
    web: Web,
    *,
    resourcekey: str = "",
    deadline: float = 120.0,
    sleep: Sleep = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[str, list[Entry]]:
    """Give the title of a folder and all files below it, in whatever number and depth.

    We read Google's embedded view of the folder ourselves, and ask gdown only where that cannot be
    understood: gdown 5.2, which Colab has, stops at 50 files a folder and gives None for a failure;
    gdown 6 reads the same view without a time limit, and follows folders that hold one another
    without an end. Forms, sites and maps have no bytes and are left out.

    Raises
    ------
    Private, NotFound, RateLimited
        As for a file.
    FetchError
        It has more than 10,000 files, it takes longer than `deadline` seconds, or cannot be
        understood.
    """
    until = clock() + deadline
    title, files, seen = "", list[Entry](), {id}
    folders = [Entry(id, "", "folder", resourcekey)]
    try:
        while folders:
            folder = folders.pop(0)
            if clock() > until:
                count = f"{len(files):,} files were found so far"
                raise _unlisted(id, f"reading it took too long: {count}")
            name, rows = retry(partial(_read, folder, web), server_pause, sleep, on=FetchError)
            title, names = title or name, Names()
            for row in rows:
                if row.kind == "folder" and row.id in seen:
                    continue  # a folder that holds itself, or is linked twice
                path = f"{folder.path}/{names.take(row.path)}".lstrip("/")
                entry = Entry(row.id, path, row.kind, row.resourcekey)
                if row.kind == "folder":
                    seen.add(row.id)
                    folders.append(entry)
                else:
                    files.append(entry)
            depth = folder.path.count("/") + bool(folder.path)
            if len(files) > MOST or len(seen) > MOST or depth > DEEPEST:
                limits = f"{MOST:,} files, or more than {DEEPEST} folders in one another"
                raise _unlisted(id, f"it has more than {limits}")
    except _Unread as err:
        if (entries := _by_gdown(id, web.control, until - clock())) is None:
            raise _unlisted(id, err.why) from err
        return entries
    return title, files


def _read(folder: Entry, web: Web) -> tuple[str, list[Entry]]:
    """Give a folder's title and what is in it; the `path` of these is the bare name."""
    params = query(folder.resourcekey, id=folder.id)
    url = f"https://drive.google.com/embeddedfolderview?{params}"
    with web.ask(url, headers=_HEADERS, accept=ANY) as reply:
        page, view = page_of(reply, PAGE), _View()
        view.feed(page)
        if view.rows and reply.status == 200:
            return view.title, view.rows
        error = refusal_of(reply, page, _what(folder.id))
    if error is not None:
        raise error
    if not view.rows and (view.entries or "flip-" not in page):
        raise _Unread("", f"Google's page cannot be understood: {words_of(page)}")
    return view.title, view.rows


def _what(id: str) -> str:
    return f"The folder {id} on Google Drive could not be listed."


def _unlisted(id: str, why: str) -> FetchError:
    return FetchError(_what(id), why, "put the files into one zip on Drive and share that")


def _by_gdown(id: str, control: Control, seconds: float) -> tuple[str, list[Entry]] | None:
    """Give the listing as gdown reads it, within so many seconds; None if it cannot.

    It keeps no cookies and writes nothing.
    """
    files: list[Any] = []
    top = os.path.join(tempfile.gettempdir(), "")  # gdown wants a folder's name, and makes none
    options: dict[str, Any] = {
        "output": top,
        "quiet": True,
        "use_cookies": False,
        "skip_download": True,
    }

    def ask() -> None:
        try:
            from gdown import download_folder

            files.extend(download_folder(id=id, **options) or ())
        except BaseException:  # SystemExit, RecursionError: nobody else hears of this thread's
            files.clear()

    # gdown has no time limit: its thread is left behind
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(Overdue):
            Errand(ask).result(_what(id), control, max(1.0, seconds))
    if not files:
        return None
    folders: dict[str, Names] = {}
    entries = []
    for file in files[:MOST]:
        *above, name = str(file.path).split("/")
        folder = "/".join(map(path_part, above))
        name = folders.setdefault(folder, Names()).take(name)
        entries.append(Entry(str(file.id), f"{folder}/{name}".lstrip("/"), "file"))
    title = str(files[0].local_path).removeprefix(top).removesuffix(str(files[0].path))
    return title.strip("/"), entries


class _View(HTMLParser):
    """The embedded view of a folder: its title, its links, and the number of its entries."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.entries = "", 0
        self.rows: list[Entry] = []
        self._into, self._href, self._text, self._name = "", "", "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        classes = values.get("class", "").split()
        self.entries += "flip-entry" in classes
        if tag == "a":
            self._href, self._text, self._name = values.get("href", ""), "", ""
        if tag == "title" or "flip-entry-title" in classes:
            self._into = tag

    def handle_data(self, data: str) -> None:
        if self._into == "title":
            self.title += data
        elif self._into:
            self._name += data
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        self._into = "" if tag == self._into else self._into
        if tag == "a" and self._href:
            row = _row_of(self._href, (self._name or self._text).strip())
            self.rows += [] if row is None else [row]
            self._href = ""


def _row_of(href: str, name: str) -> Entry | None:
    """Tell what a link in a folder's view leads to."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    params = {key: values[0] for key, values in parse_qs(parts.query).items()}
    key, id = params.get("resourcekey", ""), params.get("id", "")
    if parts.hostname not in ("drive.google.com", "docs.google.com"):
        return None
    if match := re.match(rf"/(?:a/[^/]+/)?({_KINDS})/(?:u/\d+/)?d/([\w-]+)", parts.path):
        kind, ending = DOCUMENTS[match[1]]
        name = name if name.lower().endswith(f".{ending}") else f"{name}.{ending}"
        return Entry(match[2], name, kind, key)
    if match := re.match(r"/(?:drive/(?:u/\d+/)?folders|(file)/(?:u/\d+/)?d)/([\w-]+)", parts.path):
        return Entry(match[2], name, match[1] or "folder", key)
    views = ("/open", "/uc", "/folderview", "/embeddedfolderview")
    if parts.path in views and re.fullmatch(r"[\w-]+", id):
        return Entry(id, name, "folder" if "folder" in parts.path else "file", key)
    return None


class Names:
    """The names in one folder: each safe and unique."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}  # each name, and the last number that was given to it

    def take(self, name: str) -> str:
        """Give the name to write it under; if it is taken, with " (1)" before its ending."""
        name = free = path_part(name)
        stem, ending = os.path.splitext(name)
        while free in self._numbers:
            self._numbers[name] += 1
            free = f"{stem} ({self._numbers[name]}){ending}"
        self._numbers[free] = 0
        return free
