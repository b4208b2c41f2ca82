"""Hugging Face, Kaggle and the forges: what a repository holds, who may ask, what a refusal means.

Over plain HTTPS: their own clients are not needed. The addresses and headers are those of
huggingface_hub 1.27 and kagglesdk 0.1; this was tested against imitations, not against the hosts.
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
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urljoin

from ..errors import ColabKitError, FetchError, LinkError, NotFound, Private
from ..system.addresses import public
from ..system.files import parse
from ..system.http import Web
from ..system.retry import Sleep, retry, server_pause
from .links.address import path_part

HUB = "https://huggingface.co"
MOST = 100_000  # files of a listing
PAGE, PAGE_TIME = 64 << 20, 300.0  # bytes and seconds of one page of it
SECRETS = {  # service: the names of its secret
    "huggingface": ("HF_TOKEN",),
    "github": ("GITHUB_TOKEN", "GH_TOKEN"),
    "gitlab": ("GITLAB_TOKEN",),
    "kaggle": ("KAGGLE_API_TOKEN",),
}

Find = Callable[[str], str | None]  # gives a secret by its name
Kind = TypeVar("Kind", bound=FetchError)


class HubFile(NamedTuple):
    """A file in a repository of Hugging Face.

    path : relative to the folder that was listed, and safe to write
    sha256 : "" for a small file, which Git keeps by another hash
    """

    url: str
    path: str
    size: int
    sha256: str


def hf_listing(
    id: str, web: Web, *, token: str | None = None, sleep: Sleep = time.sleep
) -> list[HubFile]:
    """List all files of a repository on Hugging Face, or of a folder in it.

    Parameters
    ----------
    id : str
        "datasets/O/N@REV:PATH", "models/…" or "spaces/…"; without @REV it is main, without :PATH
        all of it.
    token : str, optional
        What Authorization says, as `authorization` gives it. It goes to huggingface.co alone.

    Raises
    ------
    LinkError
        This is no such id.
    FetchError
        Private, NotFound and others.
    """
    pattern = r"(datasets|models|spaces)/([\w.-]+(?:/[\w.-]+)?)(?:@([^:]+))?(?::(.*))?"
    if (match := re.fullmatch(pattern, id)) is None:
        fix = "give its address, such as https://huggingface.co/datasets/OWNER/NAME"
        raise LinkError(f"{id} is no repository on Hugging Face.", "", fix)
    kind, name, revision, path = match.groups()
    revision, folder = quote(revision or "main", safe=""), (path or "").strip("/")
    files = f"{HUB}/{'' if kind == 'models' else kind + '/'}{name}/resolve/{revision}"
    inside = folder and f"/{quote(folder, safe='')}"
    tree = f"{HUB}/api/{kind}/{name}/tree/{revision}{inside}?recursive=true"
    listed = []
    for row in _rows(tree, web, token, sleep):
        path, lfs = str(row["path"]), row.get("lfs") or {}
        if row.get("type") != "file" or not f"{path}/".startswith(folder and f"{folder}/"):
            continue
        below = path.removeprefix(folder).strip("/") or path.rpartition("/")[2]
        safe = "/".join(map(path_part, below.split("/")))
        oid = str(lfs.get("oid", "")).removeprefix("sha256:")
        sha256 = oid if re.fullmatch("[0-9a-f]{64}", oid) else ""
        size = int(lfs.get("size", row.get("size", 0)))
        listed.append(HubFile(f"{files}/{quote(path)}", safe, size, sha256))
    return listed


def _rows(url: str, web: Web, token: str | None, sleep: Sleep) -> Iterator[dict[str, Any]]:
    """Give the rows of all pages; each page's Link header names the next."""
    seen, count = {url}, 0
    while url:
        try:
            page = partial(_page, url, web, token)
            rows, following = retry(page, server_pause, sleep, on=FetchError)
        except (Private, NotFound) as err:
            raise explained(err, "huggingface") from err
        yield from rows
        count += len(rows)
        url = urljoin(url, following) if following else ""
        elsewhere = url and not url.startswith(f"{HUB}/")  # a token must not go there
        if url in seen or elsewhere or count > MOST:
            why = "its listing does not end"
            if count > MOST:
                why = f"it lists more than {MOST:,} files"
            raise _unlisted(url, why, "give the address of one file, or of a folder in it")
        seen.add(url)


def _page(url: str, web: Web, token: str | None) -> tuple[list[dict[str, Any]], str]:
    """Give the rows of one page, and the address of the next; "" after the last."""
    with web.ask(url, token=token, headers={"Accept": "application/json"}, accept=(200,)) as reply:
        body = reply.body(PAGE, seconds=PAGE_TIME, unpack=True)
        link = re.search(r'<([^>]+)>\s*;[^,]*\brel="?next\b', reply.headers.get("Link", ""))
    with suppress(ValueError):
        rows = parse(bytes(body))
        if isinstance(rows, list) and all(isinstance(row, dict) and "path" in row for row in rows):
            return rows, link[1] if link else ""
    raise _unlisted(url, "the answer is not the listing that was expected", "try again later")


def _unlisted(url: str, why: str, fix: str) -> FetchError:
    return FetchError(f"{public(url)} could not be listed.", why, fix)


def authorization(service: str, token: str | None, find: Find) -> str | None:
    """Tell what Authorization says to a service: the given token, else the known secret, else None.

    Kaggle's key may be given as "user:key" or as the content of kaggle.json; that file's own place
    is looked at, too.

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
    for name in SECRETS.get(service, ()):
        if value := _secret(find, name):
            return _header(service, value)
    return _kaggle_key(find) if service == "kaggle" else None


def _header(service: str, token: str) -> str:
    if service == "kaggle" and token.startswith("{"):
        token = _of_kaggle_json(token)  # half a kaggle.json is no token
    # http.client would quote another one in its error
    if not re.fullmatch(r"[\x21-\x7e]+( [\x21-\x7e]+)?", token):
        why = "it has spaces, line breaks or signs that no token has"
        fix = "copy it anew, without what stands around it"
        raise LinkError("The given token cannot be a token.", why, fix)
    if re.match(r"(bearer|basic|token) ", token, re.I):
        return token
    return _basic(token) if service == "kaggle" and ":" in token else f"Bearer {token}"


def _basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _of_kaggle_json(text: str) -> str:
    """Tell what Authorization says by a kaggle.json; "" if this is none."""
    with suppress(ValueError, KeyError, TypeError):
        key = json.loads(text)
        return _basic(f"{key['username']}:{key['key']}")
    return ""


def _secret(find: Find, name: str) -> str:
    with suppress(ColabKitError):
        return (find(name) or "").strip()
    return ""


def _kaggle_key(find: Find) -> str | None:
    user, key = _secret(find, "KAGGLE_USERNAME"), _secret(find, "KAGGLE_KEY")
    if user and key:
        return _basic(f"{user}:{key}")
    with suppress(OSError, ValueError, RuntimeError):
        folder = Path(os.path.expanduser(os.environ.get("KAGGLE_CONFIG_DIR") or "~/.kaggle"))
        return _of_kaggle_json((folder / "kaggle.json").read_text(encoding="utf-8")) or None
    return None


_KAGGLE = (
    "make an API token at kaggle.com/settings and put it into Colab's secrets as KAGGLE_USERNAME "
    "and KAGGLE_KEY"
)
_HUB = (
    "accept the conditions on its page, then put a token of huggingface.co/settings/tokens into "
    "Colab's secrets as HF_TOKEN"
)


def explained(err: FetchError, service: str, url: str = "") -> FetchError:
    """Give the same kind of error, with a fix that suits the service; others stay as they are.

    url : what was asked for
    """
    fix = _fix(err, service, url)
    return reworded(err, err.what, err.why, fix) if fix else err


def reworded(err: Kind, what: str, why: str, fix: str) -> Kind:
    """Give the same kind of error with other sentences."""
    error = type(err)(what, why, fix)
    error.tries, error.wait, error.__cause__ = err.tries, err.wait, err.__cause__
    return error


def _fix(err: FetchError, service: str, url: str) -> str:
    """Tell what to do about a refusal of a service; "" where the service has no part in it."""
    is_private, is_gone = isinstance(err, Private), isinstance(err, NotFound)
    if not (is_private or is_gone):
        return ""
    match service:
        case "kaggle":
            rules = "accept its rules on its page first, and " if "/competitions/" in url else ""
            fix = f"{rules}{_KAGGLE}"
            return f"check the link; if it is not public: {fix}" if is_gone else fix
        case "huggingface" if is_private:
            if err.code == "GatedRepo":
                return _HUB
            unknown = "check the link: what does not exist gets this answer, too"
            return f"{unknown}. If it is private or gated: {_HUB}"
        case "github" | "gitlab":
            private = "check the link; if the repository is private, put a token that may read it"
            return f"{private} into Colab's secrets as {SECRETS[service][0]}"
    return ""
