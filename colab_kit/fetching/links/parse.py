"""What a link means: which address gives the file, what it is called, and which other spellings are the same file. Nobody is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn
from urllib.parse import unquote

from ...errors import LinkError
from ..names import clean_name, name_from_header, safe_name
from . import git_hosts, sharing, stores
from .address import Address, Link, at, plain, read, refuse, shown

__all__ = ["Link", "name_from_header", "safe_name", "understand"]

LONGEST = 8192  # characters; servers take no longer address
_HOSTS: dict[str, Callable[[Address], Link | None]] = {
    "drive.google.com": sharing.drive, "docs.google.com": sharing.drive, "drive.usercontent.google.com": sharing.drive,
    "dropbox.com": sharing.dropbox, "dl.dropboxusercontent.com": sharing.dropbox, "dl.dropbox.com": sharing.dropbox,
    "1drv.ms": sharing.onedrive, "onedrive.live.com": sharing.onedrive, "api.onedrive.com": sharing.onedrive,
    "github.com": git_hosts.github, "raw.githubusercontent.com": git_hosts.raw, "media.githubusercontent.com": git_hosts.raw,
    "codeload.github.com": git_hosts.codeload, "api.github.com": lambda address: plain(address, "github"),
    "gist.github.com": git_hosts.gist, "gist.githubusercontent.com": git_hosts.gist,
    "githubtocolab.com": lambda address: git_hosts.github(at(address, "github.com", address.path)),
    "colab.research.google.com": git_hosts.colab, "gitlab.com": git_hosts.gitlab, "bitbucket.org": git_hosts.bitbucket,
    "huggingface.co": stores.huggingface, "hf.co": stores.huggingface, "kaggle.com": stores.kaggle,
    "zenodo.org": stores.zenodo, "sandbox.zenodo.org": stores.zenodo, "doi.org": stores.doi, "dx.doi.org": stores.doi,
    "storage.googleapis.com": stores.google_bucket, "commondatastorage.googleapis.com": stores.google_bucket,
    "storage.cloud.google.com": stores.google_bucket,
}  # fmt: skip
_FAMILIES = {
    "sharepoint.com": sharing.sharepoint,
    "storage.googleapis.com": stores.google_bucket,
    "amazonaws.com": stores.s3,
}
_SCHEMES = {"hf": stores.hf, "gs": stores.google_bucket, "s3": stores.s3, "kaggle": stores.kaggle}

_SCHEME = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.S
)  # a single letter is a disk of Windows
_TYPED = re.compile(
    r"(?:h*t{1,3}p{1,3}s{0,3}|h+ps?|hxxps?)(?:[:;.,]+[/\\]+|//+)(?=[^\s/\\])", re.I
)  # what fingers make of https://
_NAKED = (
    "magnet",
    "data",
    "blob",
    "mailto",
    "javascript",
    "about",
    "urn",
    "git",
    "ssh",
    "ftp",
    "sftp",
    "doi",
    "view-source",
)
_GIT = ("git", "ssh", "git+ssh", "git+https", "git+http", "ssh+git")
_SCP = re.compile(r"[\w.-]+@([\w-]+(?:\.[\w-]+)+):([\w./-]*)")
_QUOTES = {"<": ">", '"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "(": ")"}
_MARKDOWN = re.compile(
    r"!?\[[^\]]*\]\(\s*<?((?:[A-Za-z0-9+.-]+://|www\.)[^\s<>]+?)>?(?:\s+\"[^\"]*\")?\s*\)", re.S
)
_SEVERAL = re.compile(r"[\s,;|](?:https?|hf|gs|s3|ftp)://|[A-Za-z0-9]https?://", re.I)
_KINDS = "give an https:// address, a link of Drive, GitHub, Hugging Face, Kaggle …, gs://, s3://, hf:// or a path"
_INVISIBLE = " \t\r\n\v\f\u00a0\u200b\u200c\u200d\u2060\ufeff"


def understand(given: str | os.PathLike[str]) -> Link:
    """Say what a link means, without asking anybody and without looking at the disk.

    Pages that show a file become the file's own address; spaces, quotes, <> and Markdown around a link are taken off. What begins neither
    with a scheme, nor with www., nor with a host known here, is a path of this machine.

    Raises
    ------
    LinkError
        It cannot mean a file: a folder to clone, a page, a misspelled address, a scheme that is not fetched. It shows no query and no
        password.

    Examples
    --------
    >>> understand("https://github.com/o/r/blob/main/data.zip").url
    'https://raw.githubusercontent.com/o/r/main/data.zip'
    """
    if isinstance(given, os.PathLike):
        try:
            return _path(os.fsdecode(given))
        except TypeError as err:
            raise LinkError(
                "The path is none.",
                f"{type(given).__name__} gives no text",
                "give the path as text",
            ) from err
    if not isinstance(given, str):
        refuse(
            f"A link is text, and this is of type {type(given).__name__}.",
            "only text and paths are links",
            "give one link in quotes",
        )
    if len(given) > LONGEST:
        _refused(
            given,
            f"it has {len(given):,} characters",
            "copy the link again: it should have less than 2,000",
        )
    text = _cleaned(given)
    if not text:
        refuse("The link is empty.", "there is nothing in the quotes", _KINDS)
    if _SEVERAL.search(text.partition("?")[0]) or re.search(
        r"\s(?:https?|hf|gs|s3|ftp)://", text, re.I
    ):
        _refused(
            text,
            "there are several links in it",
            "give one at a time, the others of the same file as mirrors=[...]",
        )
    if re.search(r"[\x00-\x1f\x7f-\x9f]", text):
        _refused(
            text,
            "there is a control character, such as a line's end, inside of it",
            "copy the link again",
        )
    found = _told_apart(text)
    if found.kind != "file" and len(found.url) > LONGEST:
        _refused(
            text,
            f"it has {len(found.url):,} characters when written out",
            "copy the link again: it should have less than 2,000",
        )
    return found


def _cleaned(text: str) -> str:
    """Without what was copied along with it."""
    while True:
        before, text = text, text.strip(_INVISIBLE)
        if text[:1] in ("'", '"'):
            text = text.rstrip(",;")
        if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
            text = text[1:-1]
        elif found := _MARKDOWN.fullmatch(text):
            text = found[1]
        if text == before:
            return text


def _told_apart(text: str) -> Link:
    found = _SCHEME.fullmatch(text)
    scheme, rest = (found[1].lower(), found[2]) if found else ("", "")
    if scheme in ("http", "https"):
        return _web(scheme, text, rest)
    if scheme == "file":
        return _file(text, rest)
    if scheme == "gdrive" or (scheme in _SCHEMES and rest.startswith("//")):
        return _of_ours(scheme, text)
    if scheme in _GIT or _SCP.match(text):
        found = _SCP.match(text) or re.match(
            r"[\w+]+://(?:[^/@]*@)?([\w.-]+)(?::\d+)?/([\w./-]+)", text
        )
        place = f"{found[1]}/{found[2]}".removesuffix(".git") if found else "HOST/OWNER/NAME"
        _refused(
            text,
            "it is git's own kind of address, for a whole repository",
            f'use kit.clone("https://{place}")',
        )
    if found := _TYPED.match(text):
        _did_you_mean(text, text[found.end() :])
    if scheme and (rest.startswith("//") or scheme in _NAKED):
        _refused(text, f"{scheme}: is no kind of link that can be fetched", _KINDS)
    begin = re.split(r"[/?#:]", text.removeprefix("//"))[0].lower()
    if re.match(r"www\.[^./\\\s]+\.", text, re.I) or _meaning(begin):
        return _web("https", f"https://{text.removeprefix('//')}", "//" + text.removeprefix("//"))
    if re.match(
        r"[^/\\\s@]*:[^/\\\s@]*@|[\w.-]+\.[a-z]{2,}/[^?\s]*\?[\w.-]+=|(localhost|[\w-]+(\.[\w-]+)+):\d+(/|$)",
        text,
        re.I,
    ):
        _did_you_mean(text, text)
    return _path(text)


def _web(scheme: str, text: str, rest: str) -> Link:
    """http and https."""
    if (
        not rest.startswith("//")
        or rest.startswith("///")
        or re.match(r"//(https?[:/]|:*[/\\])", rest, re.I)
    ):
        _did_you_mean(text, re.sub(r"^[:/\\]*(https?[:/\\]+)*", "", rest, flags=re.I))
    address = read(f"{scheme}:{rest}", text)
    handler = _meaning(address.host)
    if handler and not address.port:
        known = address.host.removeprefix("www.") in _HOSTS
        if known and address.host.removeprefix("www.") not in (
            "storage.googleapis.com",
            "commondatastorage.googleapis.com",
        ):
            address = replace(address, scheme="https")
        return handler(replace(address, host=address.host.removeprefix("www."))) or plain(address)
    if "/-/" in address.path:
        return git_hosts.gitlab(address) or plain(address)
    return plain(address)


def _meaning(host: str) -> Callable[[Address], Link | None] | None:
    """Who understands the links of this host."""
    family = next((meaning for end, meaning in _FAMILIES.items() if host.endswith(f".{end}")), None)
    return _HOSTS.get(host.removeprefix("www.")) or family


def _of_ours(scheme: str, text: str) -> Link:
    """hf:// gs:// s3:// kaggle:// gdrive://."""
    rest = text.partition(":")[2].lstrip("/")
    address = replace(read(f"https://{scheme}/{rest}", text), scheme=scheme, host="", spelled="")
    if scheme == "gdrive":
        parts = address.parts or [""]
        meaning = sharing.drive_folder if parts[0] == "folders" else sharing.drive_file
        return meaning(parts[-1], address.params.get("resourcekey", ""))
    return _SCHEMES[scheme](address) or _refused(
        text, "its bucket has no name that can exist", "copy the link again"
    )


def _file(text: str, rest: str) -> Link:
    """file:///path."""
    rest = re.split(r"[?#]", rest)[0]
    host, _, path = (
        rest[2:].partition("/") if rest.startswith("//") else ("", "", rest.removeprefix("/"))
    )
    if host not in ("", "localhost", "~") or not (path or host) or not rest.startswith("/"):
        _refused(
            text,
            "it names another computer, or no path",
            'give the path itself, as in "/content/data.zip"',
        )
    path = unquote(path, errors="surrogateescape")
    return _path(
        path if re.match(r"[A-Za-z]:[/\\]", path) else f"{'~' if host == '~' else ''}/{path}"
    )


def _path(path: str) -> Link:
    """A path of this machine."""
    if not path or len(path) > LONGEST or re.search(r"[\x00-\x1f\x7f-\x9f]", path):
        _refused(
            path,
            "it is empty, too long, or has a control character inside",
            "give the path of one file",
        )
    name = clean_name(path.rstrip("/\\"))
    same = os.path.normpath(path).encode("utf-8", "backslashreplace").decode()
    return Link("file", path, "" if name == "~" else name, f"file:{same}")


def _did_you_mean(text: str, rest: str) -> NoReturn:
    scheme = "http" if re.match(r"(localhost|[\d.]+)(:\d+)?(/|$)", rest) else "https"
    fix = (
        f"did you mean {shown(f'{scheme}://{rest}')} ?"
        if rest
        else "copy the whole link, as in https://host/file.zip"
    )
    begin = text.removesuffix(rest) if rest and text.endswith(rest) else ""
    refuse(
        f"{begin}{shown(f'https://{rest}')[8:] or 'It'} is no link as it was given.",
        "its beginning is not spelled http:// or https://",
        fix,
    )


def _refused(text: str, why: str, fix: str) -> NoReturn:
    refuse(f"{shown(text)} cannot be fetched.", why, fix)
