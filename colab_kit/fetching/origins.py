"""Where a repository is: what people type or copy, as the address git is given, without a name or a password in it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import LinkError

_ALIASES = {
    "www.github.com": "github.com",
    "hf.co": "huggingface.co",
    "www.gitlab.com": "gitlab.com",
    "www.huggingface.co": "huggingface.co",
}
_HOSTS = (
    "github.com",
    "gist.github.com",
    "gitlab.com",
    "huggingface.co",
    "bitbucket.org",
    "codeberg.org",
)
_SCHEMES = ("https", "http", "ssh", "git", "file")
_KINDS = 'give an address as "https://github.com/owner/repository", or "owner/repository" on GitHub'


@dataclass(frozen=True)
class Origin:
    """A repository to clone.

    url : for git; it holds no name and no password
    name : what its folder is called
    title : what it is called in sentences: "owner/repository"
    refs : what the link says of branch, tag or commit: the shortest that it may be first, since a branch may have slashes
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
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/").removesuffix(".git")
        return f"{self.host}{path.lower() if self.host in _HOSTS else path}"

    @property
    def local(self) -> bool:
        """Whether what is sent stays on this machine."""
        return urlsplit(self.url).hostname in (None, "localhost", "127.0.0.1", "::1")

    def __repr__(self) -> str:
        return f"Origin({self.url!r})"


def origin(address: str | os.PathLike[str]) -> Origin:
    """Read an address: a link to a repository or into it, as copied from a browser; `owner/repository`; a folder.

    Raises
    ------
    LinkError
        It names no repository.

    Examples
    --------
    >>> origin("https://github.com/ann/course/tree/main/week1").refs
    ('main', 'main/week1')
    """
    text = os.fspath(address).strip() if isinstance(address, str | os.PathLike) else ""
    if (
        not isinstance(text, str)
        or not text
        or re.search(r"[\0-\x1f]", text)
        or text.startswith("-")
    ):
        raise LinkError(
            "This is no address of a repository.",
            f"it is {type(address).__name__} without one",
            _KINDS,
        )
    if os.path.isdir(path := os.path.expanduser(text)):
        return _folder(Path(os.path.abspath(path)))
    if isinstance(address, os.PathLike):
        raise LinkError(f"There is no repository at {text}.", "no such folder", _KINDS)
    if found := re.fullmatch(
        r"(?:ssh://)?git@([\w.-]+)[:/](.+)", text
    ):  # what GitHub's Clone button offers beside https
        host = _ALIASES.get(found[1].lower(), found[1].lower())
        text = (
            f"https://{host}/{found[2]}"
            if host in _HOSTS
            else text
            if "://" in text
            else f"ssh://git@{found[1]}/{found[2]}"
        )
    elif "://" not in text:
        first = text.partition("/")[0].lower()
        if _ALIASES.get(first, first) in _HOSTS:
            text = f"https://{text}"
        elif re.fullmatch(r"[\w.-]+/[\w.-]+", text, re.A) and not text.startswith("."):
            text = f"https://github.com/{text}"
        else:
            raise LinkError(
                f"There is no repository at {text}.",
                "it is no address, and no folder of that name is here",
                _KINDS,
            )
    return _parsed(text)


def _folder(path: Path) -> Origin:
    name = path.name.removesuffix(".git") or "repository"
    return Origin(path.as_uri(), path.parent.name if name == "" else name, path.name)


def _parsed(text: str) -> Origin:
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as err:
        raise LinkError(
            "This address cannot be read.", "it has no proper server name", _KINDS
        ) from err
    if parts.scheme not in _SCHEMES or (parts.scheme != "file" and not host):
        raise LinkError(
            f"git cannot fetch from {parts.scheme or 'this'}: addresses.",
            f"git speaks {', '.join(_SCHEMES)}",
            _KINDS,
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    host, scheme = _ALIASES.get(host, host), parts.scheme
    if scheme == "file":
        return Origin(f"file://{parts.path}", _folder_name(parts.path), parts.path)
    if host in _HOSTS and scheme in ("http", "git"):
        scheme = "https"
    path, rest = _split(host, [unquote(word) for word in parts.path.split("/") if word])
    if not path:
        raise LinkError("This address names no repository.", f"{host} has many", _KINDS)
    ssh_user = f"{parts.username}@" if scheme == "ssh" and parts.username else ""
    netloc = f"{ssh_user}{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    title = "/".join(path).removesuffix(".git")
    refs, inside = _shown(rest)
    if scheme == "ssh":
        user = password = ""
    return Origin(
        f"{scheme}://{netloc}/{'/'.join(path)}",
        _folder_name(title),
        title,
        refs,
        inside,
        user,
        password,
    )


def _split(host: str, words: list[str]) -> tuple[list[str], list[str]]:
    """The words of the path that name the repository, and those that say what of it."""
    match host:
        case "github.com" | "bitbucket.org" | "codeberg.org":
            return (words[:2], words[2:]) if len(words) > 1 else ([], [])
        case "huggingface.co":
            end = 3 if words[:1] in (["datasets"], ["spaces"]) else 2
            return (words[:end], words[end:]) if len(words) >= end else ([], [])
        case "gist.github.com":
            return ([words[-1] if len(words) < 3 else words[1]], []) if words else ([], [])
    if "-" in words:  # GitLab, also one's own: /group/subgroup/project/-/tree/main
        return words[: words.index("-")], words[words.index("-") + 1 :]
    return words, []


def _shown(rest: list[str]) -> tuple[tuple[str, ...], str]:
    """The refs that a link into a repository may mean, and the path it shows."""
    match rest:
        case [
            "tree" | "blob" | "raw" | "src" | "blame" | "edit" | "resolve" | "commits" as kind,
            *words,
        ] if words:
            words = (
                words[1:]
                if kind == "src" and words[0] in ("branch", "tag", "commit") and len(words) > 1
                else words
            )
            words = (
                words[2:]
                if words[:2] in (["refs", "heads"], ["refs", "tags"]) and len(words) > 2
                else words
            )
            return tuple("/".join(words[: end + 1]) for end in range(min(len(words), 6))), "/".join(
                words[1:]
            )
        case ["commit", word, *_] | ["releases", "tag", word, *_] | ["tags", word, *_]:
            return (word,), ""
        case ["pull", number, *_] if number.isdecimal():
            return (f"pull/{number}/head",), ""
    return (), ""


def _folder_name(path: str) -> str:
    name = re.sub(
        r'[<>:"|?*\\\s]+',
        "-",
        unquote(path).rstrip("/").removesuffix("/.git").rpartition("/")[2].removesuffix(".git"),
    )
    return name if name not in ("", ".", "..") else "repository"
