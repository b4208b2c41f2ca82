"""Hugging Face, Kaggle and the forges: what lies in a repository, who may ask, and what to do about a no.

Over plain HTTPS: their own clients are not needed. The addresses and headers are those that huggingface_hub 1.27 and
kagglesdk 0.1 use; this was tested against imitations, not against the hosts themselves.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

from ..errors import ColabKitError, FetchError, LinkError, NotFound, Private
from ..system.http import Reply, Web, patiently, public
from .pages import safe_name

HUB = "https://huggingface.co"
MOST = 100_000  # files of a listing
PAGE = 64 << 20  # bytes of one page of it
_SECRETS = {
    "huggingface": ("HF_TOKEN",),
    "github": ("GITHUB_TOKEN", "GH_TOKEN"),
    "gitlab": ("GITLAB_TOKEN",),
    "kaggle": ("KAGGLE_API_TOKEN",),
}


def hf_listing(
    id: str, web: Web, *, token: str | None = None, sleep: Callable[[float], object] = time.sleep
) -> list[tuple[str, str, int, str]]:
    """All files of a repository on Hugging Face, or of a folder in it: address, path, size in bytes, sha256.

    Parameters
    ----------
    id : str
        "datasets/O/N@REV:PATH", "models/…" or "spaces/…"; without @REV it is main, without :PATH all of it.
    token : str, optional
        What Authorization says, as `authorization` gives it. It goes to huggingface.co alone.

    Returns
    -------
    list of (url, path, size, sha256)
        path : relative to PATH, and safe to write; sha256 : "" for a small file, which Git keeps by another hash

    Raises
    ------
    LinkError
        This is no such id.
    FetchError
        Private, NotFound …
    """
    found = re.fullmatch(
        r"(datasets|models|spaces)/([\w.-]+(?:/[\w.-]+)?)(?:@([^:]+))?(?::(.*))?", id
    )
    if found is None:
        raise LinkError(
            f"{id} is no repository on Hugging Face.",
            "",
            "give its address, such as https://huggingface.co/datasets/OWNER/NAME",
        )
    kind, name, rev, under = found[1], found[2], found[3] or "main", (found[4] or "").strip("/")
    files = f"{HUB}/{'' if kind == 'models' else kind + '/'}{name}/resolve/{quote(rev, safe='')}"
    tree = f"{HUB}/api/{kind}/{name}/tree/{quote(rev, safe='')}{'/' + quote(under, safe='') if under else ''}?recursive=true"
    listed = []
    for row in _rows(tree, web, token, sleep):
        path = str(row["path"])
        if row.get("type") == "file" and (
            not under or path == under or path.startswith(f"{under}/")
        ):
            lfs = row.get("lfs") or {}
            kept = path.removeprefix(under).strip("/") or path.rpartition("/")[2]
            safe = "/".join(safe_name(part) for part in kept.split("/"))
            listed.append(
                (
                    f"{files}/{quote(path)}",
                    safe,
                    int(lfs.get("size", row.get("size", 0))),
                    _sha256(lfs),
                )
            )
    return listed


def _rows(
    url: str, web: Web, token: str | None, sleep: Callable[[float], object]
) -> Iterator[dict[str, Any]]:
    """The rows of all pages; each page's Link header names the next."""
    seen, count = {url}, 0
    while url:
        try:
            rows, more = patiently(partial(_rows_of_page, url, web, token), sleep)
        except (Private, NotFound) as err:
            raise explained(err, "huggingface") from err
        yield from rows
        count += len(rows)
        url = urljoin(url, more) if more else ""
        if (
            url in seen or url and not url.startswith(f"{HUB}/") or count > MOST
        ):  # a token must not go elsewhere
            why = (
                f"it lists more than {MOST:,} files" if count > MOST else "its listing does not end"
            )
            raise FetchError(
                f"{public(url)} could not be listed.",
                why,
                "give the address of one file, or of a folder in it",
            )
        seen.add(url)


def _rows_of_page(url: str, web: Web, token: str | None) -> tuple[list[dict[str, Any]], str]:
    with web.ask(url, token=token, headers={"Accept": "application/json"}, accept=(200,)) as reply:
        try:
            rows = json.loads(_all(reply))
            if not isinstance(rows, list) or not all(
                isinstance(row, dict) and "path" in row for row in rows
            ):
                raise TypeError(type(rows))
        except (ValueError, TypeError) as err:
            raise FetchError(
                f"{public(url)} could not be listed.",
                "the answer is not the listing that was expected",
                "try again later",
            ) from err
        link = re.search(r'<([^>]+)>\s*;[^,]*\brel="?next\b', reply.headers.get("Link", ""))
        return rows, link[1] if link else ""


def _all(reply: Reply) -> bytes:
    body = b""
    while len(body) < PAGE and (piece := reply.read(1 << 20, unpack=True)):
        body += piece
    return body


def _sha256(lfs: dict[str, Any]) -> str:
    oid = str(lfs.get("oid", "")).removeprefix("sha256:")
    return oid if re.fullmatch("[0-9a-f]{64}", oid) else ""


def authorization(service: str, token: str | None, find: Callable[[str], str | None]) -> str | None:
    """What Authorization says to a service: the given token, else the secret that `find` knows for it, else None.

    Kaggle's key may be given as "user:key" or as the content of kaggle.json; that file's own place counts too.

    Parameters
    ----------
    service : str
        "huggingface", "github", "gitlab", "kaggle"; another one, or "", has only the given token.
    find : callable
        `kit.secret`, or what stands for it. Its errors count as nothing found.

    Raises
    ------
    LinkError
        The token cannot be one. It is not quoted.
    """
    if token is not None and token.strip():
        return _header(service, token.strip())
    for name in _SECRETS.get(service, ()):
        if value := _sought(find, name):
            return _header(service, value)
    return _kaggle_key(find) if service == "kaggle" else None


def _header(service: str, token: str) -> str:
    if service == "kaggle" and token.startswith("{"):
        with suppress(ValueError, KeyError, TypeError):
            known = json.loads(token)
            return _basic(str(known["username"]), str(known["key"]))
        token = ""  # half a kaggle.json is no token
    if not re.fullmatch(
        r"[\x21-\x7e]+( [\x21-\x7e]+)?", token
    ):  # http.client would quote it in its error
        why = "it has spaces, line breaks or signs that no token has"
        raise LinkError(
            "The given token cannot be a token.", why, "copy it anew, without what stands around it"
        )
    if re.match(r"(bearer|basic|token) ", token, re.I):
        return token
    user, colon, key = token.partition(":")
    return _basic(user, key) if service == "kaggle" and colon else f"Bearer {token}"


def _basic(user: str, key: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"


def _sought(find: Callable[[str], str | None], name: str) -> str:
    with suppress(ColabKitError):
        return (find(name) or "").strip()
    return ""


def _kaggle_key(find: Callable[[str], str | None]) -> str | None:
    user, key = _sought(find, "KAGGLE_USERNAME"), _sought(find, "KAGGLE_KEY")
    if user and key:
        return _basic(user, key)
    place = Path(os.environ.get("KAGGLE_CONFIG_DIR") or "~/.kaggle").expanduser() / "kaggle.json"
    with suppress(OSError, ValueError, KeyError, TypeError, RuntimeError):
        known = json.loads(place.read_text())
        return _basic(str(known["username"]), str(known["key"]))
    return None


_KAGGLE = "make an API token at kaggle.com/settings and put it into Colab's secrets as KAGGLE_USERNAME and KAGGLE_KEY"
_ACCEPT = "accept its rules on its page first, and "
_AGREE = "accept the conditions on its page, then "
_HUB = "put a token of huggingface.co/settings/tokens into Colab's secrets as HF_TOKEN"
_FORGES = {"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN"}


def explained(err: FetchError, service: str) -> FetchError:
    """The same kind of error, with a fix that suits the service; an error that has nothing to do with the service stays as it is."""
    fix = _fix(err, service)
    if not fix:
        return err
    told = type(err)(err.what, err.why, fix)
    told.tries, told.wait = err.tries, err.wait
    told.__cause__ = err.__cause__
    return told


def _fix(err: FetchError, service: str) -> str:
    private, gone = isinstance(err, Private), isinstance(err, NotFound)
    contest = "/competitions/" in err.what or "competition" in err.why
    if service == "kaggle" and (private or gone):
        fix = f"{_ACCEPT if contest else ''}{_KAGGLE}"
        return f"check the link; if it is not public: {fix}" if gone else fix
    if service == "huggingface" and private:
        if re.search("restricted|gated|awaiting", err.why, re.I):
            return f"{_AGREE}{_HUB}"
        return f"check the link: what does not exist gets this answer, too. If it is private or gated: {_AGREE}{_HUB}"
    if service in _FORGES and (private or gone):
        return f"check the link; if the repository is private, put a token that may read it into Colab's secrets as {_FORGES[service]}"
    return ""
