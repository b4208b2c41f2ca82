"""A file of Google Drive or Docs by its id: where its bytes are, and why Google says no."""

from __future__ import annotations

import contextlib
import html
import re
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from ..errors import FetchError, LinkError, NotFound, Private, QuotaExceeded, RateLimited
from ..system.addresses import host
from ..system.filetypes import web_page
from ..system.http import Reply, Web, refusal
from ..system.retry import Sleep, retry, server_pause
from .hubs import reworded
from .links.address import name_from_header

HOPS = 6  # requests for one file, redirects apart: Google's own way needs two
PAGE = 512 << 10  # bytes read of a page
DOCUMENTS = {  # type in an address: kind, ending
    "document": ("doc", "docx"),
    "spreadsheets": ("sheet", "xlsx"),
    "presentation": ("slides", "pptx"),
    "drawings": ("drawing", "png"),
}
ANY = tuple(range(200, 600))  # each answer is looked at here
_ENGLISH = {"Accept-Language": "en"}  # Google's pages are told apart by their words
_OWN = "make a copy in your own Drive (File > Make a copy) and fetch that"
_MOUNT = "mount Drive and copy the file"
_SHARE = f"share it with 'Anyone with the link', or {_MOUNT}"


@dataclass(frozen=True)
class DriveFile:
    """Where the bytes of a file are. Drive refuses several connections to one file.

    url : gives the bytes; it may carry a confirmation, so it is not for showing
    name : as Drive calls it, "" where it does not say
    """

    url: str
    name: str
    size: int | None


class IsFolder(LinkError):
    """The id is a folder's: gdrive_folder.listing() tells what is in it."""


def export_url(id: str, kind: str = "document", format: str = "", *, resourcekey: str = "") -> str:
    """Tell where a Google Doc comes as a file.

    kind : "document", "spreadsheets", "presentation" or "drawings", as in its address, or "doc",
        "sheet", "slides", "drawing", as in a listing
    format : "pdf", "csv" …; "" for docx, xlsx, pptx or png
    """
    types = (type for type, (short, _) in DOCUMENTS.items() if kind in (type, short))
    type = next(types, "document")
    format = format or DOCUMENTS[type][1]
    url = f"https://docs.google.com/{type}/d/{id}/export"
    if type != "drawings":
        return f"{url}?{query(resourcekey, format=format)}"
    return f"{url}/{format}" + (f"?{query(resourcekey)}" if resourcekey else "")


def query(resourcekey: str, **params: str) -> str:
    """Give the parameters of an address, with the resource key if there is one."""
    return urlencode(params | ({"resourcekey": resourcekey} if resourcekey else {}))


def locate(
    id: str,
    web: Web,
    *,
    resourcekey: str = "",
    export: str = "",
    format: str = "",
    sleep: Sleep = time.sleep,
) -> DriveFile:
    """Find the bytes of a file, past Google's redirects and its virus-scan page.

    Six requests at most are made, and no byte of the file is read. The id of a Google Doc gives its
    export.

    Parameters
    ----------
    export : str
        Where it is exported, if it is known that this is a Google Doc: see `export_url`.
    format : str
        What a Google Doc is exported as.

    Raises
    ------
    Private, NotFound, RateLimited, QuotaExceeded
        Four different reasons, each with what to do about it.
    IsFolder
    FetchError
        Google's page asks the same again and again, or says something else.
    """
    params = query(resourcekey, id=id, export="download")
    start = export or f"https://drive.usercontent.google.com/download?{params}"
    walk = lambda: _walk(id, web, start, resourcekey, format)
    return retry(walk, server_pause, sleep, on=FetchError)


def _walk(id: str, web: Web, url: str, resourcekey: str, format: str) -> DriveFile:
    what = f"The file {id} on Google Drive could not be fetched."
    seen: set[str] = set()
    refused: FetchError | None = None  # before Google was asked what the id stands for
    while len(seen) < HOPS and url not in seen:
        seen.add(url)
        with web.ask(url, headers=_ENGLISH, accept=ANY) as reply:
            if (drive_file := _file(reply)) is not None:
                return drive_file
            page = page_of(reply)
            error = refusal_of(reply, page, what)
        path = urlsplit(reply.url).path
        if re.match(r"/drive/(u/\d+/)?folders/", path):
            folder = f"https://drive.google.com/drive/folders/{id}"
            raise IsFolder(what, "it is a folder", f"fetch the folder's own link: {folder}")
        exports = "/export" in path
        document = re.match(rf"/({'|'.join(DOCUMENTS)})/(u/\d+/)?d/", path)
        if document and not exports and error is None:
            url = export_url(id, document[1], format, resourcekey=resourcekey)
        elif refused is not None:
            raise error or refused
        elif error is not None:
            if exports or not (reply.status >= 500 or isinstance(error, NotFound)):
                raise error
            error.tries = min(error.tries, 2)  # each of them asks three times
            refused, url = error, f"https://drive.google.com/open?{query(resourcekey, id=id)}"
        elif not (url := confirmed(page, reply.url)):
            fix = f"open https://drive.google.com/file/d/{id} in a browser"
            raise FetchError(what, f"Google sent a page in its place: {words_of(page)}", fix)
        elif resourcekey and "resourcekey=" not in url:  # the form forgets it
            url = f"{url}&{query(resourcekey)}"
    why = f"Google's page asked to confirm the download again after {len(seen)} requests"
    raise FetchError(what, why, f"try again later, or {_OWN}, or {_MOUNT}")


def _file(reply: Reply) -> DriveFile | None:
    """Read where the bytes are from an answer; None if it is a page."""
    header = reply.headers.get("Content-Disposition", "")
    is_page = not header and "html" in reply.headers.get("Content-Type", "html")
    if reply.status not in (200, 206) or is_page:
        return None
    return DriveFile(reply.url, name_from_header(header), None if reply.coding else reply.length)


def page_of(reply: Reply, most: int = PAGE) -> str:
    """Give the text of a page, at most so many bytes of it."""
    return reply.body(most, unpack=True).decode("utf-8", "replace")


def refusal_of(reply: Reply, page: str, what: str) -> FetchError | None:
    """Tell why Google sent this in place of a file; None for a page that may lead on to it.

    what : the error's first sentence
    """
    title, text = (web_page(page.encode()) or "").lower(), page.lower()
    asks_who = title.startswith(("sign in", "you need access", "request access"))
    if host(reply.url) == "accounts.google.com" or asks_who:
        why = "it is not shared with everyone: Google asks for an account"
        return Private(what, why, _SHARE)
    if "quota exceeded" in title or "too many users have viewed" in text:
        why = "too many people have fetched it, and Google gives it to nobody for up to a day"
        return QuotaExceeded(what, why, f"{_OWN}, or {_MOUNT}, or name a mirror")
    if "permission to download" in text:
        fix = "ask the owner to allow them"
        return Private(what, "its owner does not allow downloads", fix)
    sorry = urlsplit(reply.url).path.startswith("/sorry") or title.startswith("sorry")
    if reply.status == 429 or sorry or "automated queries" in text:
        shared = "Colab's machines share their addresses with others"
        why = f"Google answered that this machine asks too often; {shared}"
        fix = f"wait an hour, or {_MOUNT}; another source can be named with mirrors="
        busy = RateLimited(what, why, fix)
        busy.wait = refusal(reply).wait
        return busy
    if reply.status < 400:
        return None
    error = refusal(reply)
    why, fix = error.why, error.fix
    if isinstance(error, NotFound):
        why = "Google knows no such file: it was deleted, or the link is wrong"
        fix = "check the link, or ask who shared it"
    elif isinstance(error, Private):
        fix = _SHARE
    return reworded(error, what, why, fix)


def words_of(page: str) -> str:
    """Tell what a page says, in a few words."""
    caption = re.search(r'class="uc-error-(?:sub)?caption"[^>]*>(.{1,300}?)</p>', page, re.S)
    title = web_page(page.encode())
    if caption:
        return " ".join(html.unescape(re.sub(r"<[^>]*>", "", caption[1])).split())
    return "it is no web page" if title is None else f'its title is "{title}"'


class _Form(HTMLParser):
    """The form behind "download anyway"."""

    def __init__(self) -> None:
        super().__init__()
        self.action, self._within = "", False
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._within = values.get("id") == "download-form"
            self.action = values.get("action", "") if self._within else self.action
        elif tag == "input" and self._within and values.get("type") == "hidden":
            self.fields[values.get("name", "")] = values.get("value", "")

    @property
    def url(self) -> str:
        """Where it leads; "" without a form."""
        action, _, params = self.action.partition("?")
        return action and f"{action}?{urlencode(dict(parse_qsl(params)) | self.fields)}"


def confirmed(page: str, url: str) -> str:
    """Tell where the page's "download anyway" leads; "" if it leads nowhere at Google's.

    gdown knows Google's pages best; where it finds nothing, we look for the form.
    """
    try:
        from gdown.download import get_url_from_gdrive_confirmation

        target = str(get_url_from_gdrive_confirmation(page))
    except Exception:  # gdown is missing, of another version, or finds nothing
        form = _Form()
        form.feed(page)
        target = form.url
    with contextlib.suppress(ValueError):
        target = urljoin(url, target) if target else ""
        ours = host(target).endswith((".google.com", ".googleusercontent.com"))
        if target.startswith("https:") and ours:
            return target
    return ""
