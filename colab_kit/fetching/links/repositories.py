"""Where a repository is: what people type or copy, as the address that git is given.

No name and no password is in that address.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from ...errors import LinkError

_ALIASES = {
    "www.github.com": "github.com",
    "hf.co": "huggingface.co",
    "www.gitlab.com": "gitlab.com",
    "www.huggingface.co": "huggingface.co",
}
_HOSTS = ("github.com gist.github.com gitlab.com huggingface.co bitbucket.org codeberg.org").split()
_SCHEMES = ("https", "http", "ssh", "git", "file")
_VIEWS = ("tree", "blob", "raw", "src", "blame", "edit", "resolve", "commits")
_LONGEST_REF = 6  # words of a path that a branch's name may have


@dataclass(frozen=True)
class Repository:
    """A repository to clone.

    url : for git; it holds no name and no password
    name : what its folder is called
    title : what it is called in sentences: "owner/repository"
    refs : the branches, tags or commits that the link may mean, the shortest first, since a branch
        may have slashes
    inside : the folder or file of the repository that the link shows, if `refs` is one word
    user, password : those of the link, for this call alone
    """

    url: str
    name: str
    title: str
    refs: tuple[str, ...] = ()
    inside: str = ""
    user: str = ""
    password: str = ""

    @property
    def host(self) -> str:
        """The server, with its port; "" for a folder of this machine."""
        return urlsplit(self.url).netloc.rpartition("@")[2].lower()

    @property
    def key(self) -> str:
        """Two addresses of one repository have the same."""
        path = urlsplit(self.url).path.rstrip("/").removesuffix(".git")
        return f"{self.host}{path.lower() if self.host in _HOSTS else path}"

    @property
    def local(self) -> bool:
        """Whether what is sent stays on this machine."""
        return urlsplit(self.url).hostname in (None, "localhost", "127.0.0.1", "::1")

    def __repr__(self) -> str:
        return f"Repository({self.url!r})"


def parse_repository(address: str | os.PathLike[str]) -> Repository:
    """Read an address: a link to a repository or into it, `owner/repository`, or a folder.

    Raises
    ------
    LinkError
        It names no repository.

    Examples
    --------
    >>> parse_repository("https://github.com/ann/course/tree/main/week1").refs
    ('main', 'main/week1')
    """
    text = os.fspath(address).strip() if isinstance(address, str | os.PathLike) else ""
    if not isinstance(text, str) or not text or re.search(r"[\0-\x1f]|^-", text):
        why = f"it is a {type(address).__name__} without an address in it"
        _refuse("This is no address of a repository.", why)
    if os.path.isdir(path := os.path.expanduser(text)):
        folder = Path(os.path.abspath(path))
        bare = folder.name.removesuffix(".git") or folder.parent.name
        return Repository(folder.as_uri(), bare or "repository", folder.name)
    if isinstance(address, os.PathLike):
        _refuse(f"There is no repository at {text}.", "there is no such folder")
    return _parsed(_spelled_out(text))


def _refuse(what: str, why: str) -> NoReturn:
    fix = 'give an address as "https://github.com/owner/repository", or "owner/repository"'
    raise LinkError(what, why, f"{fix} on GitHub")


def _spelled_out(text: str) -> str:
    """Give the address with its scheme and its host."""
    # what GitHub's Clone button offers beside https
    if match := re.fullmatch(r"(?:ssh://)?git@([\w.-]+)[:/](.+)", text):
        host = _ALIASES.get(match[1].lower(), match[1].lower())
        if host in _HOSTS:
            return f"https://{host}/{match[2]}"
        return text if "://" in text else f"ssh://git@{match[1]}/{match[2]}"
    if "://" in text:
        return text
    first = text.partition("/")[0].lower()
    if _ALIASES.get(first, first) in _HOSTS:
        return f"https://{text}"
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", text, re.A):
        return f"https://github.com/{text}"
    why = "it is no address, and no folder of that name is here"
    _refuse(f"There is no repository at {text}.", why)


def _parsed(text: str) -> Repository:
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        _refuse("This address cannot be read.", "it has no proper server name")
    scheme = parts.scheme
    if scheme == "file":
        return Repository(f"file://{parts.path}", _folder_name(parts.path), parts.path)
    if scheme not in _SCHEMES or not host:
        what = f"git cannot fetch from {scheme or 'this'}: addresses."
        _refuse(what, f"git speaks {', '.join(_SCHEMES)}")
    host = _ALIASES.get(host, host)
    if host in _HOSTS and scheme in ("http", "git"):
        scheme = "https"
    path, rest = _split(host, [unquote(word) for word in parts.path.split("/") if word])
    if not path:
        _refuse("This address names no repository.", f"{host} has many")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    netloc = f"[{host}]" if ":" in host else host
    if port:
        netloc = f"{netloc}:{port}"
    if scheme == "ssh":
        netloc = f"{parts.username}@{netloc}" if parts.username else netloc
        user = password = ""
    url, title = f"{scheme}://{netloc}/{'/'.join(path)}", "/".join(path).removesuffix(".git")
    return Repository(url, _folder_name(title), title, *_shown(rest), user, password)


def _split(host: str, words: list[str]) -> tuple[list[str], list[str]]:
    """Give the words of the path that name the repository, and those that say what of it."""
    end = 2
    match host:
        case "gist.github.com":
            return words[:1] if len(words) < 2 else words[1:2], []
        case "huggingface.co":
            end = 3 if words[:1] in (["datasets"], ["spaces"]) else 2
        case "github.com" | "bitbucket.org" | "codeberg.org":
            pass
        case _ if "-" in words:  # GitLab, also one's own: /group/subgroup/project/-/tree/main
            end = words.index("-")
            return words[:end], words[end + 1 :]
        case _:
            return words, []
    return (words[:end], words[end:]) if len(words) >= end else ([], [])


def _shown(rest: list[str]) -> tuple[tuple[str, ...], str]:
    """Give the refs that a link into a repository may mean, and the path it shows."""
    match rest:
        case [view, word, *words] if view in _VIEWS:
            words = [word, *words]
            if view == "src" and word in ("branch", "tag", "commit") and len(words) > 1:
                words = words[1:]
            if words[:2] in (["refs", "heads"], ["refs", "tags"]) and len(words) > 2:
                words = words[2:]
            ends = range(1, min(len(words), _LONGEST_REF) + 1)
            return tuple("/".join(words[:end]) for end in ends), "/".join(words[1:])
        case ["commit", word, *_] | ["releases", "tag", word, *_] | ["tags", word, *_]:
            return (word,), ""
        case ["pull", number, *_] if number.isdecimal():
            return (f"pull/{number}/head",), ""
    return (), ""


def _folder_name(path: str) -> str:
    last = unquote(path).rstrip("/").removesuffix("/.git").rpartition("/")[2].removesuffix(".git")
    name = re.sub(r'[<>:"|?*\\\s]+', "-", last)
    return name if name not in ("", ".", "..") else "repository"
