"""What a link means: the address that gives the file, its name, and which spellings are the same.

No server is asked, and the disk is not looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn
from urllib.parse import unquote

from . import git_hosts, sharing, stores
from .address import Address, Link, clean_name, plain, read, refuse, shown

LONGEST = 8192  # characters; servers take no longer address
Meaning = Callable[[Address], Link | None]
_MEANINGS: dict[Meaning, str] = {
    sharing.drive: "drive.google.com docs.google.com drive.usercontent.google.com",
    sharing.dropbox: "dropbox.com dl.dropboxusercontent.com dl.dropbox.com",
    sharing.onedrive: "1drv.ms onedrive.live.com api.onedrive.com",
    git_hosts.github: "github.com githubtocolab.com",
    git_hosts.raw: "raw.githubusercontent.com media.githubusercontent.com",
    git_hosts.codeload: "codeload.github.com api.github.com",
    git_hosts.gist: "gist.github.com gist.githubusercontent.com",
    git_hosts.colab: "colab.research.google.com",
    git_hosts.gitlab: "gitlab.com",
    git_hosts.bitbucket: "bitbucket.org",
    stores.huggingface: "huggingface.co hf.co",
    stores.kaggle: "kaggle.com",
    stores.zenodo: "zenodo.org sandbox.zenodo.org",
    stores.doi: "doi.org dx.doi.org",
    stores.google_bucket: (
        "storage.googleapis.com commondatastorage.googleapis.com storage.cloud.google.com"
    ),
}
_HOSTS = {host: meaning for meaning, hosts in _MEANINGS.items() for host in hosts.split()}
_FAMILIES: dict[str, Meaning] = {
    "sharepoint.com": sharing.sharepoint,
    "storage.googleapis.com": stores.google_bucket,
    "amazonaws.com": stores.s3,
}
_SCHEMES = {"hf": stores.hf, "gs": stores.google_bucket, "s3": stores.s3, "kaggle": stores.kaggle}
_HTTP_TOO = ("storage.googleapis.com", "commondatastorage.googleapis.com")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.S)  # a single letter: a disk of Windows
# misspelled https://
_TYPED = re.compile(r"(?:h*t{1,3}p{1,3}s{0,3}|h+ps?|hxxps?)(?:[:;.,]+[/\\]+|//+)(?=[^\s/\\])", re.I)
_NAKED = "magnet data blob mailto javascript about urn git ssh ftp sftp doi view-source".split()
_GIT = ("git", "ssh", "git+ssh", "git+https", "git+http", "ssh+git")
_SCP = re.compile(r"[\w.-]+@([\w-]+(?:\.[\w-]+)+):([\w./-]*)")
_GIT_PLACE = re.compile(r"[\w+]+://(?:[^/@]*@)?([\w.-]+)(?::\d+)?/([\w./-]+)")
# an address without its scheme: user:password@, host/path?key=, host:port
_NO_SCHEME = re.compile(
    r"[^/\\\s@]*:[^/\\\s@]*@|[\w.-]+\.[a-z]{2,}/[^?\s]*\?[\w.-]+="
    r"|(localhost|[\w-]+(\.[\w-]+)+):\d+(/|$)",
    re.I,
)
_QUOTES = {"<": ">", '"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "(": ")"}
_MARKDOWN = re.compile(
    r"!?\[[^\]]*\]\(\s*<?((?:[A-Za-z0-9+.-]+://|www\.)[^\s<>]+?)>?(?:\s+\"[^\"]*\")?\s*\)", re.S
)
_SEVERAL = re.compile(r"[\s,;|](?:https?|hf|gs|s3|ftp)://|[A-Za-z0-9]https?://", re.I)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_INVISIBLE = " \t\r\n\v\f\u00a0\u200b\u200c\u200d\u2060\ufeff"
_KINDS = (
    "give an https:// address, a link of Drive, GitHub, Hugging Face, Kaggle, gs://, s3://, hf:// "
    "or a path"
)


def parse_link(url: str | os.PathLike[str]) -> Link:
    """Say what a link means, without a server and without a look at the disk.

    Pages that show a file become the file's own address; spaces, quotes, <> and Markdown around a
    link are taken off. A text is a path of this machine if it begins with no scheme, with no www.
    and with no host that is known here.

    Raises
    ------
    LinkError
        It cannot mean a file: a folder to clone, a page, a misspelled address, a scheme that
        cannot be fetched. The error shows no query and no password.

    Examples
    --------
    >>> parse_link("https://github.com/o/r/blob/main/data.zip").url
    'https://raw.githubusercontent.com/o/r/main/data.zip'
    """
    if isinstance(url, os.PathLike):
        path = url.__fspath__()
        if isinstance(path, str | bytes):
            return _path(os.fsdecode(path))
    if not isinstance(url, str):
        what = f"A link is text, and this is of type {type(url).__name__}."
        refuse(what, "only text and paths are links", "give one link in quotes")
    shorter = "copy the link again: it should have less than 2,000"
    if len(url) > LONGEST:
        _refused(url, f"it has {len(url):,} characters", shorter)
    text = _cleaned(url)
    if not text:
        refuse("The link is empty.", "there is nothing in the quotes", _KINDS)
    before_query = text.partition("?")[0]
    if _SEVERAL.search(before_query) or re.search(r"\s(https?|hf|gs|s3|ftp)://", text, re.I):
        fix = "give one at a time, the others of the same file as mirrors=[...]"
        _refused(text, "there are several links in it", fix)
    if _CONTROL.search(text):
        why = "there is a control character, such as a line's end, inside it"
        _refused(text, why, "copy the link again")
    link = _meant(text)
    if link.kind != "file" and len(link.url) > LONGEST:
        _refused(text, f"it has {len(link.url):,} characters when written out", shorter)
    return link


def _cleaned(text: str) -> str:
    """Give the link without what people copy along with it."""
    while True:
        before, text = text, text.strip(_INVISIBLE)
        if text[:1] in ("'", '"'):
            text = text.rstrip(",;")
        if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
            text = text[1:-1]
        elif match := _MARKDOWN.fullmatch(text):
            text = match[1]
        if text == before:
            return text


def _meant(text: str) -> Link:
    """Give the link of a cleaned text, by its scheme or its look."""
    split = _SCHEME.fullmatch(text)
    scheme, rest = (split[1].lower(), split[2]) if split else ("", "")
    if scheme in ("http", "https"):
        return _web(scheme, text, rest)
    if scheme == "file":
        return _file(text, rest)
    if scheme == "gdrive" or (scheme in _SCHEMES and rest.startswith("//")):
        return _short(scheme, text)
    if scheme in _GIT or _SCP.match(text):
        match = _SCP.match(text) or _GIT_PLACE.match(text)
        place = f"{match[1]}/{match[2]}".removesuffix(".git") if match else "HOST/OWNER/NAME"
        why = "it is git's own kind of address, for a whole repository"
        _refused(text, why, f'use kit.clone("https://{place}")')
    if match := _TYPED.match(text):
        _did_you_mean(text, text[match.end() :])
    if scheme and (rest.startswith("//") or scheme in _NAKED):
        _refused(text, f"{scheme}: is no kind of link that can be fetched", _KINDS)
    bare = text.removeprefix("//")
    begin = re.split(r"[/?#:]", bare)[0].lower()
    if re.match(r"www\.[^./\\\s]+\.", text, re.I) or _meaning(begin):
        return _web("https", f"https://{bare}", f"//{bare}")
    if _NO_SCHEME.match(text):
        _did_you_mean(text, text)
    return _path(text)


def _web(scheme: str, text: str, rest: str) -> Link:
    """Read http and https."""
    twice = re.match(r"///|//(https?[:/]|:*[/\\])", rest, re.I)
    if not rest.startswith("//") or twice:
        _did_you_mean(text, re.sub(r"^[:/\\]*(https?[:/\\]+)*", "", rest, flags=re.I))
    address = read(f"{scheme}:{rest}", text)
    meaning, host = _meaning(address.host), address.host.removeprefix("www.")
    if meaning and not address.port:
        if host in _HOSTS and host not in _HTTP_TOO:
            address = replace(address, scheme="https")
        return meaning(replace(address, host=host)) or plain(address)
    if "/-/" in address.path:
        return git_hosts.gitlab(address) or plain(address)
    return plain(address)


def _meaning(host: str) -> Meaning | None:
    """Give the function that understands the links of this host."""
    families = (meaning for end, meaning in _FAMILIES.items() if host.endswith(f".{end}"))
    return _HOSTS.get(host.removeprefix("www.")) or next(families, None)


def _short(scheme: str, text: str) -> Link:
    """Read hf:// gs:// s3:// kaggle:// gdrive://."""
    rest = text.partition(":")[2].lstrip("/")
    address = replace(read(f"https://{scheme}/{rest}", text), scheme=scheme, host="", spelled="")
    if scheme == "gdrive":
        parts = address.parts or [""]
        meaning = sharing.drive_folder if parts[0] == "folders" else sharing.drive_file
        return meaning(parts[-1], address.params.get("resourcekey", ""))
    link = _SCHEMES[scheme](address)
    if link is None:
        _refused(text, "its bucket has no name that can exist", "copy the link again")
    return link


def _file(text: str, rest: str) -> Link:
    """Read file:///path."""
    rest = re.split(r"[?#]", rest)[0]
    host, path = "", rest.removeprefix("/")
    if rest.startswith("//"):
        host, _, path = rest[2:].partition("/")
    if host not in ("", "localhost", "~") or not (path or host) or not rest.startswith("/"):
        fix = 'give the path itself, as in "/content/data.zip"'
        _refused(text, "it names another computer, or no path", fix)
    path = unquote(path, errors="surrogateescape")
    of_windows = re.match(r"[A-Za-z]:[/\\]", path)
    return _path(path if of_windows else f"{host.removeprefix('localhost')}/{path}")


def _path(path: str) -> Link:
    """Read a path of this machine."""
    if not path or len(path) > LONGEST or _CONTROL.search(path):
        why = "it is empty, too long, or has a control character inside"
        _refused(path, why, "give the path of one file")
    name = clean_name(path.rstrip("/\\"))
    same = os.path.normpath(path).encode("utf-8", "backslashreplace").decode()
    return Link("file", path, "" if name == "~" else name, f"file:{same}")


def _did_you_mean(text: str, rest: str) -> NoReturn:
    fix = "copy the whole link, as in https://host/file.zip"
    begin = ""
    if rest:
        scheme = "http" if re.match(r"(localhost|[\d.]+)(:\d+)?(/|$)", rest) else "https"
        fix = f"did you mean {shown(f'{scheme}://{rest}')} ?"
        begin = text.removesuffix(rest) if text.endswith(rest) else ""
    what = f"{begin}{shown(f'https://{rest}')[8:] or 'It'} is no link as it was given."
    refuse(what, "its beginning is not spelled http:// or https://", fix)


def _refused(text: str, why: str, fix: str) -> NoReturn:
    refuse(f"{shown(text)} cannot be fetched.", why, fix)
