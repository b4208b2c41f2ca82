"""Addresses as they may be shown and written down: without query, name and password."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urljoin, urlsplit


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def public(url: str) -> str:
    """The address without query, name and password: what may be shown and written down."""
    parts = _split(url)
    if parts is None:
        return re.sub(r"[?#].*|//[^/@]*@", "", url)
    if parts.scheme and parts.netloc:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return url.partition("?")[0]


def host(url: str) -> str:
    """The server's name, for sentences."""
    parts = _split(url)
    return (parts.hostname if parts else None) or "the server"


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses are of one server: a token for the one may go to the other."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str]:
    parts = _split(url)
    return (parts.scheme, parts.netloc.rpartition("@")[2].lower()) if parts else (url, "")


def redirected(url: str, location: str) -> str:
    """Where a redirect leads; "" if its address is none."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def root(err: BaseException) -> str:
    """The innermost cause in a few words, without addresses' queries."""
    while True:
        inner = getattr(err, "reason", None)
        inner = inner or next((a for a in err.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        err = inner
    return _unqueried(re.sub(r"^.*object at 0x[0-9a-f]+>: ", "", str(err)) or type(err).__name__)


def bare(err: BaseException) -> Exception:
    """The cause as it may be shown: requests puts addresses and their tokens into its messages."""
    return ConnectionError(f"{type(err).__name__}: {_unqueried(str(err))}")


def _unqueried(text: str) -> str:
    return re.sub(r"//[^/\s@]*@", "//", re.sub(r"\?[^\s'\")]+", "", text))
