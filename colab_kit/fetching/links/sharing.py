"""Links of Google Drive, Dropbox and OneDrive: what was copied from a page or a Share button, and the file behind it."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from urllib.parse import quote

from ..names import clean_name, decoded
from .address import Address, Link, identity, normal, page, plain, refuse, suggested

_DOCS = {
    "document": "docx",
    "spreadsheets": "xlsx",
    "presentation": "pptx",
    "drawings": "png",
}  # and the format that keeps most
_ONE_SHEET = ("csv", "tsv", "pdf")  # formats in which gid= chooses
_OWN_VIEW = "open the file's menu, Share, Anyone with the link, and copy the link given there"


def drive(address: Address) -> Link:
    """drive.google.com, docs.google.com, drive.usercontent.google.com."""
    parts, params = _unprefixed(address.parts), address.params
    key, given = params.get("resourcekey", ""), params.get("id", "")
    match parts:
        case ["file", "d", given, *_]:
            return drive_file(given, key)
        case (
            ["drive", "folders", given, *_]
            | ["folders", given, *_]
            | ["drive", "mobile", "folders", given, *_]
        ):
            return drive_folder(given, key)
        case ["folderview" | "embeddedfolderview", *_] if given:
            return drive_folder(given, key)
        case ["uc" | "open" | "download", *_] if given:
            return drive_file(given, key)
        case [kind, "d", "e", *_] | [kind, "d", _, "gviz" | "pub", *_] if (
            kind in _DOCS
        ):  # published to the web
            return plain(address, "drive", name="")
        case [kind, "d", given, *rest] if kind in _DOCS:
            return _document(address, kind, given, rest)
    page(address, "it is a view of Google Drive, and names no file", _OWN_VIEW)


def _unprefixed(parts: list[str]) -> list[str]:
    """Without /u/0, /b/0 and /a/DOMAIN, which only say who is looking."""
    if parts[:1] == ["a"]:
        parts = parts[2:]
    at = next(
        (n for n, part in enumerate(parts[:-1]) if part in ("u", "b") and parts[n + 1].isdigit()),
        None,
    )
    return parts if at is None else parts[:at] + parts[at + 2 :]


def drive_file(given: str, resourcekey: str = "") -> Link:
    """A file of Drive by its id."""
    given = _checked(given)
    return Link(
        "gdrive",
        f"https://drive.google.com/uc?id={given}{_keyed('&', resourcekey)}",
        "",
        f"gdrive:{given}",
        "drive",
        id=given,
        resourcekey=resourcekey,
    )


def drive_folder(given: str, resourcekey: str = "") -> Link:
    """A folder of Drive by its id."""
    given = _checked(given)
    url = f"https://drive.google.com/drive/folders/{given}{_keyed('?', resourcekey)}"
    return Link(
        "gdrive-folder", url, "", f"gdrive:{given}", "drive", id=given, resourcekey=resourcekey
    )


def _keyed(mark: str, resourcekey: str) -> str:
    return (
        f"{mark}resourcekey={quote(resourcekey, safe='', errors='surrogateescape')}"
        if resourcekey
        else ""
    )


def _checked(given: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", given) or given in ("view", "edit", "preview"):
        refuse(
            "The Drive link names no file.",
            "a Drive id is letters, digits, - and _",
            "copy the whole link again: Share, Copy link",
        )
    return given


def _document(address: Address, kind: str, given: str, rest: list[str]) -> Link:
    given, params = _checked(given), address.params
    asked = (
        params.get("format")
        or params.get("exportFormat")
        or (rest[1] if rest[:1] == ["export"] and len(rest) > 1 else "")
    )
    export = asked.lower() if re.fullmatch(r"[A-Za-z0-9]{2,6}", asked) else _DOCS[kind]
    gid = params.get("gid", "") or (
        found[1] if (found := re.search(r"(?:^|&)gid=(\d+)", address.fragment)) else ""
    )
    sheet = (
        f"&gid={gid}"
        if re.fullmatch(r"[0-9]+", gid) and export in _ONE_SHEET and kind == "spreadsheets"
        else ""
    )
    key = params.get("resourcekey", "")
    url = f"https://docs.google.com/{kind}/d/{given}/export"
    url += (
        f"/{export}{_keyed('?', key)}"
        if kind == "drawings"
        else f"?format={export}{sheet}{_keyed('&', key)}"
    )
    notes = (
        ()
        if rest[:1] == ["export"]
        else (f"a document of Google was asked for; it is exported as {export}",)
    )
    return Link(
        "gdoc",
        url,
        "",
        f"gdrive:{given}?format={export}{sheet}",
        "drive",
        notes,
        given,
        key,
        export,
    )


def dropbox(address: Address) -> Link:
    """dropbox.com and dl.dropboxusercontent.com."""
    match address.parts:
        case ["s", _, name] | ["scl", "fi", _, name]:
            name = clean_name(decoded(name))
        case ["s" | "sh" | "t", _, *_] | ["scl", "fi" | "fo", _, *_]:
            name = ""  # a folder comes as a zip that the server names
        case _ if address.host == "dl.dropboxusercontent.com":
            return plain(address, "dropbox")
        case _:
            page(
                address,
                "it is your own view of Dropbox",
                "open the file's menu, Share, Copy link, and give that link",
            )
    same = f"https://www.dropbox.com{normal('/' + '/'.join(address.parts))}"
    if address.host == "dl.dropboxusercontent.com":
        return Link("http", address.url, name, same, "dropbox")
    asked = [
        pair
        for pair in address.query.split("&")
        if pair and pair.partition("=")[0] not in ("dl", "raw")
    ]
    notes = (
        ()
        if address.params.get("dl") == "1"
        else ("a Dropbox page was asked for; dl=1 asks for the file itself",)
    )
    return Link(
        "http",
        f"https://www.dropbox.com{address.path}?{'&'.join([*asked, 'dl=1'])}",
        name,
        same,
        "dropbox",
        notes,
    )


def sharepoint(address: Address) -> Link:
    """A share link of OneDrive for work, of any organisation."""
    if "download.aspx" in address.path.lower():
        return plain(address, "onedrive", drop=_SEEN)
    asked = [
        pair for pair in address.query.split("&") if pair and pair.partition("=")[0] != "download"
    ]
    direct = "." in address.path.rpartition("/")[2] and ":" not in address.path
    url = f"{address.base}{address.path}?{'&'.join([*asked, 'download=1'])}"
    return Link(
        "http", url, suggested(address) if direct else "", identity(address, _SEEN), "onedrive"
    )


_SEEN = (
    "e",
    "web",
    "csf",
    "download",
    "action",
    "at",
    "cid",
    "ithint",
    "em",
)  # how a page is shown, not what


def onedrive(address: Address) -> Link:
    """onedrive.live.com and the short 1drv.ms."""
    if address.host == "1drv.ms":
        if len(address.parts) < 2:
            page(
                address,
                "it names no file",
                "open the file's menu, Share, Copy link, and give that link",
            )
        long = f"https://1drv.ms{normal(address.path)}"
        url = f"https://api.onedrive.com/v1.0/shares/u!{base64.urlsafe_b64encode(long.encode()).decode().rstrip('=')}/root/content"
        return Link(
            "http",
            url,
            "",
            url,
            "onedrive",
            ("a OneDrive page was asked for; the file is asked of api.onedrive.com",),
        )
    if (
        address.host == "onedrive.live.com"
        and address.params.get("resid")
        and address.parts != ["download"]
    ):
        notes = ("a OneDrive page was asked for; the file is asked of onedrive.live.com/download",)
        there = replace(address, path="/download")
        return plain(there, "onedrive", notes=notes, name="", drop=_SEEN)
    return plain(address, "onedrive", name="", drop=_SEEN)
