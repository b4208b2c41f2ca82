"""What Google's pages and headers say: the way on, what lies in a folder, a file's name that is safe to write. Pure."""

from __future__ import annotations

import html
import os
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from ..system.filetypes import web_page

DOCUMENTS = {  # type in an address: kind, ending
    "document": ("doc", "docx"),
    "spreadsheets": ("sheet", "xlsx"),
    "presentation": ("slides", "pptx"),
    "drawings": ("drawing", "png"),
}


@dataclass(frozen=True)
class Entry:
    """A file in a folder. path : relative and safe to write, unique in its listing; kind : file, doc, sheet, slides or drawing."""

    id: str
    path: str
    kind: str
    resourcekey: str = ""


class Form(HTMLParser):
    """The form behind "download anyway"."""

    def __init__(self) -> None:
        super().__init__()
        self.action, self.fields, self._within = "", {}, False  # type: str, dict[str, str], bool

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._within = said.get("id") == "download-form"
            self.action = said.get("action", "") if self._within else self.action
        elif tag == "input" and self._within and said.get("type") == "hidden":
            self.fields[said.get("name", "")] = said.get("value", "")

    @property
    def url(self) -> str:
        """Where it leads; "" without a form."""
        action, _, query = self.action.partition("?")
        return f"{action}?{urlencode(dict(parse_qsl(query)) | self.fields)}" if action else ""


class View(HTMLParser):
    """The embedded view of a folder: its title, its links, and how many entries it seems to have."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.entries, self.rows = "", 0, []  # type: str, int, list[Entry]
        self._into, self._href, self._text, self._name = "", "", "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        classes = said.get("class", "").split()
        self.entries += "flip-entry" in classes
        if tag == "a":
            self._href, self._text, self._name = said.get("href", ""), "", ""
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
            row = row_of(self._href, (self._name or self._text).strip())
            self.rows += [] if row is None else [row]
            self._href = ""


def row_of(href: str, name: str) -> Entry | None:
    """What a link in a folder's view leads to."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    kinds = "|".join(DOCUMENTS)
    if parts.hostname not in ("drive.google.com", "docs.google.com"):
        return None
    if found := re.match(rf"/(?:a/[^/]+/)?({kinds})/(?:u/\d+/)?d/([\w-]+)", parts.path):
        kind, ending = DOCUMENTS[found[1]]
        return Entry(
            found[2],
            name if name.lower().endswith(f".{ending}") else f"{name}.{ending}",
            kind,
            query.get("resourcekey", ""),
        )
    if found := re.match(r"/(?:drive/(?:u/\d+/)?folders|(file)/(?:u/\d+/)?d)/([\w-]+)", parts.path):
        return Entry(found[2], name, "file" if found[1] else "folder", query.get("resourcekey", ""))
    if parts.path in ("/open", "/uc", "/folderview", "/embeddedfolderview") and re.fullmatch(
        r"[\w-]+", query.get("id", "")
    ):
        return Entry(
            query["id"],
            name,
            "folder" if "folder" in parts.path else "file",
            query.get("resourcekey", ""),
        )
    return None


def said_by(page: str) -> str:
    """What a page says, in a few words."""
    caption = re.search(r'class="uc-error-(?:sub)?caption"[^>]*>(.{1,300}?)</p>', page, re.S)
    title = web_page(page.encode())
    if caption:
        return " ".join(html.unescape(re.sub(r"<[^>]*>", "", caption[1])).split())
    return "it is no web page" if title is None else f'its title is "{title}"'


class Names:
    """The names in one folder: each safe and unique."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}  # each name, and the last number that was given to it

    def take(self, name: str) -> str:
        """The name to write it under: the same if that can be, else with " (1)" before its ending."""
        name = free = safe_name(name)
        stem, ending = os.path.splitext(name)
        while free in self._taken:
            self._taken[name] += 1
            free = f"{stem} ({self._taken[name]}){ending}"
        self._taken[free] = 0
        return free


def safe_name(name: str) -> str:
    """A name that is one component of a path: no slash, no "..", no control character, 200 bytes at most."""
    name = re.sub(r"[\x00-\x1f\x7f-\x9f]", "", name).replace("/", "_").replace("\\", "_").strip()
    name = name.encode("utf-8", "replace").decode()  # lone surrogates
    if len(name.encode()) > 200:
        stem, ending = os.path.splitext(name)
        ending = ending if len(ending.encode()) < 20 else ""
        name = stem.encode()[: 200 - len(ending.encode())].decode("utf-8", "ignore") + ending
    return "_" if name in ("", ".", "..") else name
