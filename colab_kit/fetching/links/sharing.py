"""Links of Google Drive, Dropbox and OneDrive: what people copy, and the file behind it."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from urllib.parse import quote

from .address import Address, Link, decoded_name, identity, normal, page, plain, refuse, suggested

# the documents of Google, with the format that keeps most
_DOCS = {"document": "docx", "spreadsheets": "xlsx", "presentation": "pptx", "drawings": "png"}
_ONE_SHEET = ("csv", "tsv", "pdf")  # formats in which gid= selects a sheet
_SHARE = "open the file's menu, Share, Copy link, and give that link"
# parameters that say how a page is shown, not which file it is
_VIEW = ("e", "web", "csf", "download", "action", "at", "cid", "ithint", "em")


def drive(address: Address) -> Link:
    """Read drive.google.com, docs.google.com, drive.usercontent.google.com."""
    params = address.params
    key, id = params.get("resourcekey", ""), params.get("id", "")
    match _unprefixed(address.parts):
        case ["file", "d", id, *_]:
            return drive_file(id, key)
        case ["drive", "folders", id, *_] | ["folders", id, *_]:
            return drive_folder(id, key)
        case ["drive", "mobile", "folders", id, *_]:
            return drive_folder(id, key)
        case ["folderview" | "embeddedfolderview", *_] if id:
            return drive_folder(id, key)
        case ["uc" | "open" | "download", *_] if id:
            return drive_file(id, key)
        case [kind, "d", "e", *_] | [kind, "d", _, "gviz" | "pub", *_] if kind in _DOCS:
            return plain(address, "drive", name="")  # published to the web
        case [kind, "d", id, *rest] if kind in _DOCS:
            return _document(address, kind, id, rest)
    fix = "open the file's menu, Share, Anyone with the link, and copy the link given there"
    page(address, "it is a view of Google Drive, and names no file", fix)


def _unprefixed(parts: list[str]) -> list[str]:
    """Give the words without /u/0, /b/0 and /a/DOMAIN, which only say who is looking."""
    if parts[:1] == ["a"]:
        parts = parts[2:]
    for n, part in enumerate(parts[:-1]):
        if part in ("u", "b") and parts[n + 1].isdigit():
            return parts[:n] + parts[n + 2 :]
    return parts


def drive_file(id: str, key: str = "") -> Link:
    """Give a file of Drive by its id and its resource key."""
    url = f"https://drive.google.com/uc?id={_checked(id)}{_keyed('&', key)}"
    return Link("gdrive", url, "", f"gdrive:{id}", "drive", id=id, resourcekey=key)


def drive_folder(id: str, key: str = "") -> Link:
    """Give a folder of Drive by its id and its resource key."""
    url = f"https://drive.google.com/drive/folders/{_checked(id)}{_keyed('?', key)}"
    return Link("gdrive-folder", url, "", f"gdrive:{id}", "drive", id=id, resourcekey=key)


def _keyed(mark: str, key: str) -> str:
    value = quote(key, safe="", errors="surrogateescape")
    return key and f"{mark}resourcekey={value}"


def _checked(id: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", id) or id in ("view", "edit", "preview"):
        why = "a Drive id is letters, digits, - and _"
        refuse("The Drive link names no file.", why, "copy the whole link again: Share, Copy link")
    return id


def _document(address: Address, kind: str, id: str, rest: list[str]) -> Link:
    params = address.params
    exported = rest[:1] == ["export"]
    wish = params.get("format") or params.get("exportFormat") or "".join(rest[1:2] * exported)
    export = wish.lower() if re.fullmatch(r"[A-Za-z0-9]{2,6}", wish) else _DOCS[kind]
    in_fragment = re.search(r"(?:^|&)gid=(\d+)", address.fragment)
    gid = params.get("gid", "") or (in_fragment[1] if in_fragment else "")
    one = re.fullmatch(r"[0-9]+", gid) and export in _ONE_SHEET and kind == "spreadsheets"
    sheet = f"&gid={gid}" if one else ""
    key = params.get("resourcekey", "")
    query = f"?format={export}{sheet}{_keyed('&', key)}"
    if kind == "drawings":
        query = f"/{export}{_keyed('?', key)}"
    url = f"https://docs.google.com/{kind}/d/{_checked(id)}/export{query}"
    note = f"the link shows a document of Google; it is exported as {export}"
    same = f"gdrive:{id}?format={export}{sheet}"
    return Link("gdoc", url, "", same, "drive", () if exported else (note,), id, key, export)


def dropbox(address: Address) -> Link:
    """Read dropbox.com and dl.dropboxusercontent.com."""
    of_content = address.host == "dl.dropboxusercontent.com"
    match address.parts:
        case ["s", _, name] | ["scl", "fi", _, name]:
            name = decoded_name(name)
        case ["s" | "sh" | "t", _, *_] | ["scl", "fi" | "fo", _, *_]:
            name = ""  # a folder comes as a zip that the server names
        case _ if of_content:
            return plain(address, "dropbox")
        case _:
            page(address, "it is your own view of Dropbox", _SHARE)
    same = f"https://www.dropbox.com{normal('/' + '/'.join(address.parts))}"
    if of_content:
        return Link("http", address.url, name, same, "dropbox")
    url = f"https://www.dropbox.com{address.path}?{_query(address, 'dl', 'raw')}dl=1"
    notes = ("the link shows a page of Dropbox; dl=1 asks for the file itself",)
    asks_for_file = address.params.get("dl") == "1"
    return Link("http", url, name, same, "dropbox", () if asks_for_file else notes)


def _query(address: Address, *without: str) -> str:
    """Give the query without some parameters, ready to be added to."""
    pairs = [pair for pair in address.query.split("&") if pair]
    return "".join(f"{pair}&" for pair in pairs if pair.partition("=")[0] not in without)


def sharepoint(address: Address) -> Link:
    """Read a share link of OneDrive for work, of any organisation."""
    if "download.aspx" in address.path.lower():
        return plain(address, "onedrive", drop=_VIEW)
    direct = "." in address.path.rpartition("/")[2] and ":" not in address.path
    url = f"{address.base}{address.path}?{_query(address, 'download')}download=1"
    name = suggested(address) if direct else ""
    return Link("http", url, name, identity(address, _VIEW), "onedrive")


def onedrive(address: Address) -> Link:
    """Read onedrive.live.com and the short 1drv.ms."""
    notes: tuple[str, ...] = ()
    if address.host == "1drv.ms":
        if len(address.parts) < 2:
            page(address, "it names no file", _SHARE)
        long = f"https://1drv.ms{normal(address.path)}".encode()
        code = base64.urlsafe_b64encode(long).decode().rstrip("=")
        url = f"https://api.onedrive.com/v1.0/shares/u!{code}/root/content"
        notes = ("the link shows a page of OneDrive; api.onedrive.com is asked for the file",)
        return Link("http", url, "", url, "onedrive", notes)
    of_page = address.params.get("resid") and address.parts != ["download"]
    if address.host == "onedrive.live.com" and of_page:
        notes = ("the link shows a page of OneDrive; its /download address is asked for the file",)
        address = replace(address, path="/download")
    return plain(address, "onedrive", notes=notes, name="", drop=_VIEW)
