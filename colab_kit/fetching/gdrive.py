"""Google Drive and Docs by their ids: where a file's bytes are, what lies in a folder, and why Google says no."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from ..errors import FetchError, LinkError, NotFound, Private, QuotaExceeded, RateLimited
from ..system.filetypes import web_page
from ..system.http import Reply, Web, host, patiently, refusal
from .names import name_from_header
from .pages import DOCUMENTS, Form, Names, View, safe_name, said_by
from .pages import Entry as Entry

HOPS = 6  # requests for one file, redirects apart: Google's own way needs two
PAGE, LONGEST_PAGE = 512 << 10, 32 << 20  # bytes read of a page, and of a folder's
MOST, DEEPEST = 10_000, 20  # files and folders in a listing, and folders in one another
_ANY = tuple(range(200, 600))  # each answer is looked at here
_ASKS = {"Accept-Language": "en"}  # Google's pages are told apart by their words
_BROWSES = {**_ASKS, "User-Agent": "Mozilla/5.0 (compatible; colab-kit)"}
_OWN = "make a copy in your own Drive (File > Make a copy) and fetch that, or mount Drive and copy the file"
_SHARE = "share it with 'Anyone with the link', or mount Drive and copy it"
_LATER = "wait an hour, or mount Drive and copy it; another source can be named with mirrors="


@dataclass(frozen=True)
class Found:
    """Where the bytes of a file are. Drive refuses several connections to one file: never ask it for parallel ranges.

    url : gives the bytes; it may carry a confirmation, so it is not for showing
    name : as Drive calls it, "" where it does not say
    """

    url: str
    name: str
    size: int | None
    ranges: bool = False


class IsFolder(LinkError):
    """The id is not a file's but a folder's: `listing` tells what lies in it."""


def export_url(id: str, kind: str = "document", format: str = "", *, resourcekey: str = "") -> str:
    """Where a Google Doc comes as a file.

    kind : "document", "spreadsheets", "presentation" or "drawings", as in its address, or an Entry's "doc", "sheet" …
    format : "pdf", "csv" …; else docx, xlsx, pptx or png
    """
    type_ = next(
        (type_ for type_, (short, _) in DOCUMENTS.items() if kind in (type_, short)), "document"
    )
    how = format or DOCUMENTS[type_][1]
    if type_ == "drawings":
        return f"https://docs.google.com/{type_}/d/{id}/export/{how}" + (
            f"?{_query(resourcekey)}" if resourcekey else ""
        )
    return f"https://docs.google.com/{type_}/d/{id}/export?{_query(resourcekey, format=how)}"


def _query(resourcekey: str, **said: str) -> str:
    return urlencode(said | ({"resourcekey": resourcekey} if resourcekey else {}))


def locate(
    id: str,
    web: Web,
    *,
    resourcekey: str = "",
    export: str = "",
    format: str = "",
    sleep: Callable[[float], object] = time.sleep,
) -> Found:
    """Find the bytes of a file, past Google's redirects and its virus-scan page, in six requests at most. No byte of it is read.

    An id of a Google Doc gives its export.

    Parameters
    ----------
    export : str
        Where it is exported, if it is known that this is a Google Doc: see `export_url`.
    format : str
        What a Google Doc is exported as.

    Raises
    ------
    Private, NotFound, RateLimited, QuotaExceeded
        Four different things, each with what to do about it.
    IsFolder
    FetchError
        Google's page asks the same again and again, or says something else.
    """
    query = _query(resourcekey, id=id, export="download")
    start = export or f"https://drive.usercontent.google.com/download?{query}"
    return patiently(lambda: _walk(id, web, start, resourcekey, format), sleep)


def _walk(id: str, web: Web, url: str, resourcekey: str, format: str) -> Found:
    what = f"The file {id} on Google Drive could not be fetched."
    seen: set[str] = set()
    refused: FetchError | None = None  # before it was asked what the id stands for
    while len(seen) < HOPS and url not in seen:
        seen.add(url)
        with web.ask(url, headers=_ASKS, accept=_ANY) as reply:
            if (found := _file(reply)) is not None:
                return found
            page = _page(reply, PAGE)
            error = judged(reply, page, what)
        parts = urlsplit(reply.url)
        if re.match(r"/drive/(u/\d+/)?folders/", parts.path):
            folder = f"https://drive.google.com/drive/folders/{id}"
            raise IsFolder(what, "it is a folder", f"fetch the folder's own link: {folder}")
        if (
            (doc := re.match(rf"/({'|'.join(DOCUMENTS)})/(u/\d+/)?d/", parts.path))
            and "/export" not in parts.path
            and error is None
        ):
            url = export_url(id, doc[1], format, resourcekey=resourcekey)
        elif refused is not None:
            raise refused if error is None else error
        elif (
            error is not None
            and "/export" not in parts.path
            and (reply.status >= 500 or isinstance(error, NotFound))
        ):
            error.tries = min(error.tries, 2)  # each of them asks three times
            refused, url = error, f"https://drive.google.com/open?{_query(resourcekey, id=id)}"
        elif error is not None:
            raise error
        elif not (url := confirmed(page, reply.url)):
            fix = f"open https://drive.google.com/file/d/{id} in a browser"
            raise FetchError(what, f"Google sent a page in its place: {said_by(page)}", fix)
        elif resourcekey and "resourcekey=" not in url:  # the form forgets it
            url = f"{url}&{urlencode({'resourcekey': resourcekey})}"
    raise FetchError(
        what,
        f"Google's page asked to confirm the download again after {len(seen)} requests",
        f"try again later, or {_OWN}",
    )


def judged(reply: Reply, page: str, what: str) -> FetchError | None:
    """Why Google sent this in place of a file; None for a page that may lead on to it. `what` is the error's first sentence."""
    path, title, text = (
        urlsplit(reply.url).path,
        (web_page(page.encode()) or "").lower(),
        page.lower(),
    )
    if host(reply.url) == "accounts.google.com" or title.startswith(
        ("sign in", "you need access", "request access")
    ):
        return Private(what, "it is not shared with everyone: Google asks for an account", _SHARE)
    if "quota exceeded" in title or "too many users have viewed" in text:
        return QuotaExceeded(
            what,
            "too many people have fetched it, and Google gives it to nobody for up to a day",
            f"{_OWN}, or name a mirror",
        )
    if "permission to download" in text:
        return Private(what, "its owner does not allow downloads", "ask the owner to allow them")
    if (
        reply.status == 429
        or path.startswith("/sorry")
        or "automated queries" in text
        or title.startswith("sorry")
    ):
        why = "Google answered that this machine asks too often; Colab's machines share their addresses with others"
        error: FetchError = RateLimited(what, why, _LATER)
        error.wait = refusal(reply).wait
        return error
    if reply.status < 400:
        return None
    error = refusal(reply)
    error.what = what
    error.args = (what,)
    match error:
        case NotFound():
            error.why, error.fix = (
                "Google knows no such file: it was deleted, or the link is wrong",
                "check the link, or ask who shared it",
            )
        case Private():
            error.fix = _SHARE
    return error


def confirmed(page: str, url: str) -> str:
    """Where the page's "download anyway" leads: gdown finds it, or where gdown cannot, we do. "" if it leads nowhere at Google's."""
    try:
        from gdown.download import get_url_from_gdrive_confirmation

        found = str(get_url_from_gdrive_confirmation(page))
    except (
        Exception
    ):  # gdown is missing, is of another kind, or finds nothing: it has many ways to say so
        form = Form()
        form.feed(page)
        found = form.url
    with contextlib.suppress(ValueError):
        found = urljoin(url, found) if found else ""
        if found.startswith("https:") and host(found).endswith(
            (".google.com", ".googleusercontent.com")
        ):
            return found
    return ""


def listing(
    id: str,
    web: Web,
    *,
    resourcekey: str = "",
    deadline: float = 120.0,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[str, list[Entry]]:
    """The title of a folder and all files below it, however many and however nested.

    We read Google's embedded view of the folder ourselves and ask gdown only where that cannot be understood: gdown 5.2, which
    Colab has, stops at 50 files a folder and gives None for a failure; gdown 6 reads the same view as we do, without a time
    limit, and follows folders that hold one another without an end. Forms, sites and maps have no bytes and are left out.

    Raises
    ------
    Private, NotFound, RateLimited
        As for a file.
    FetchError
        It has more than 10,000 files, it takes longer than `deadline` seconds, or cannot be understood.
    """
    until = clock() + deadline
    try:
        return _walked(id, resourcekey, web, until, sleep, clock)
    except _Unread as err:
        if (second := _by_gdown(id, until - clock())) is None:
            raise _unlisted(id, err.why) from err
        return second


class _Unread(FetchError):
    """A folder's page came and cannot be understood."""


def _walked(
    id: str,
    resourcekey: str,
    web: Web,
    until: float,
    sleep: Callable[[float], object],
    clock: Callable[[], float],
) -> tuple[str, list[Entry]]:
    title, files, seen = "", [], {id}  # type: str, list[Entry], set[str]
    todo: list[tuple[tuple[str, ...], str, str]] = [((), id, resourcekey)]
    while todo:
        above, folder, key = todo.pop(0)
        if clock() > until:
            raise _unlisted(id, f"reading it took too long: {len(files):,} files were found so far")
        name, rows = patiently(partial(_read, folder, key, web), sleep)
        title, names = title or name, Names()
        for row in rows:
            if row.kind != "folder":
                files.append(
                    Entry(
                        row.id, "/".join((*above, names.take(row.path))), row.kind, row.resourcekey
                    )
                )
            elif row.id not in seen:  # else a folder that holds itself, or is linked twice
                seen.add(row.id)
                todo.append(((*above, names.take(row.path)), row.id, row.resourcekey))
        if len(files) > MOST or len(seen) > MOST or len(above) > DEEPEST:
            raise _unlisted(
                id,
                f"it has more than {MOST:,} files, or more than {DEEPEST} folders in one another",
            )
    return title, files


def _read(folder: str, key: str, web: Web) -> tuple[str, list[Entry]]:
    """A folder's title and what lies in it; the `path` of these is the bare name, the kind may be folder."""
    query = _query(key, id=folder)
    with web.ask(
        f"https://drive.google.com/embeddedfolderview?{query}", headers=_BROWSES, accept=_ANY
    ) as reply:
        page = _page(reply, LONGEST_PAGE)
        view = View()
        view.feed(page)
        error = (
            None
            if view.rows and reply.status == 200
            else judged(reply, page, f"The folder {folder} on Google Drive could not be listed.")
        )
    if error is not None:
        raise error
    if not view.rows and (view.entries or "flip-" not in page):
        raise _Unread("", f"Google's page cannot be understood: {said_by(page)}")
    return view.title, view.rows


def _unlisted(id: str, why: str) -> FetchError:
    return FetchError(
        f"The folder {id} on Google Drive could not be listed.",
        why,
        "put the files into one zip on Drive and share that",
    )


def _by_gdown(id: str, seconds: float) -> tuple[str, list[Entry]] | None:
    """The listing as gdown reads it, within so many seconds; None if it cannot. It keeps no cookies and writes nothing."""
    got: list[Any] = []
    top = os.path.join(
        tempfile.gettempdir(), ""
    )  # it wants a folder's name to hang the paths on, and makes none

    def ask() -> None:
        try:
            from gdown import download_folder

            got.extend(
                download_folder(
                    id=id, output=top, quiet=True, use_cookies=False, skip_download=True
                )
                or ()
            )
        except (
            BaseException
        ):  # SystemExit, RecursionError … it is another thread: nobody else would hear of them
            got.clear()

    worker = threading.Thread(
        target=ask, daemon=True, name="gdown's listing"
    )  # gdown has no time limit: it is left behind
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        worker.start()
        worker.join(max(1.0, seconds))
    if worker.is_alive() or not got:
        return None
    shelves: dict[str, Names] = {}
    entries = []
    for file in got[:MOST]:
        folder, _, name = str(file.path).rpartition("/")
        folder = "/".join(safe_name(part) for part in folder.split("/")) if folder else ""
        entries.append(
            Entry(
                str(file.id),
                f"{folder}/{shelves.setdefault(folder, Names()).take(name)}".lstrip("/"),
                "file",
            )
        )
    title = str(got[0].local_path).removeprefix(top).removesuffix(str(got[0].path)).strip("/")
    return title, entries


def _file(reply: Reply) -> Found | None:
    """What an answer says of the file that it is; None if it is none."""
    said = reply.headers.get("Content-Disposition", "")
    if (
        reply.status not in (200, 206)
        or not said
        and "html" in reply.headers.get("Content-Type", "html")
    ):
        return None
    return Found(reply.url, name_from_header(said), None if reply.packed else reply.length)


def _page(reply: Reply, most: int) -> str:
    page = b""
    while len(page) < most and (piece := reply.read(min(1 << 16, most - len(page)), unpack=True)):
        page += piece
    return page.decode("utf-8", "replace")
