"""One question to a server and its answer.

Redirects are followed without tokens, https is never left, and each refusal says its fix.
"""

from __future__ import annotations

import email.utils
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

from ..errors import FetchError, LinkError, NotFound, Offline, Private, RateLimited, Truncated
from .filetypes import message, web_page
from .retry import retry, server_pause

TIMEOUT = (10, 60)  # seconds to connect, and of silence while reading
HOPS = 10
LONGEST_WAIT = 60.0  # seconds: a server that asks for more is given up
AGENT = "colab-kit (https://github.com/OWNER/colab_kit)"  # Zenodo and others want a name
CONNECTIONS = 16  # kept open to a host
_OFFLINE = "check the connection (Kaggle: Settings, Internet on), or put the file there by hand"
_CUT = "run the cell again: it goes on from what has come"
_BUSY = "the server is busy: try again later, or name another source with mirrors="
_PRIVATE = "the file is not public: ask its owner to share it, or give token="

T = TypeVar("T")
_Error = TypeVar("_Error", bound=FetchError)


class Reply:
    """An answer whose body is still to be read.

    url : where it came from in the end
    status : its HTTP status
    headers : by name, in any case
    length : bytes of the body; None if the server does not say
    """

    def __init__(self, response: Any, url: str) -> None:
        self._response, self.url, self._read = response, url, 0
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        length = self.headers.get("Content-Length", "")
        is_number = length.isascii() and length.isdigit() and len(length) < 19
        self.length = int(length) if is_number else None

    @property
    def packed(self) -> bool:
        """Whether the body was packed for the way, though nobody asked for it."""
        return bool(self.codings)

    @property
    def codings(self) -> set[str]:
        """How the body was packed: gzip, br …"""
        words = self.headers.get("Content-Encoding", "").split(",")
        return {word.strip().lower() for word in words} - {"identity", "aws-chunked", ""}

    def read(self, most: int, *, unpack: bool = False) -> bytes:
        """The next bytes of the body, `most` of them unless it ends; b"" at its end.

        Raises
        ------
        Truncated
            The connection ended before the body did.
        """
        import requests
        import urllib3

        raw, broken = self._response.raw, (urllib3.exceptions.HTTPError, requests.RequestException)
        try:
            chunk: bytes = raw.read(most, decode_content=unpack)
        except (*broken, OSError, ValueError, AttributeError) as err:  # the last: hung up
            raise cut(self.url, root(err)) from bare(err)
        self._read += len(chunk)
        have = raw.tell() if unpack else self._read
        if not chunk and self.length is not None and have < self.length:
            raise cut(self.url, f"after {have:,} of {self.length:,} bytes")
        return chunk

    def head(self, most: int = 4096) -> bytes:
        """The beginning of a body that is read for its words only; b"" if it does not come."""
        with suppress(FetchError):
            return self.read(most, unpack=True)
        return b""

    def hang_up(self) -> None:
        """End a reading that waits, from another thread: it raises Truncated there."""
        sock = getattr(getattr(self._response.raw, "connection", None), "sock", None)
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it; a body not read to its end ends the connection too."""
        self._response.close()

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Web:
    """The way to servers.

    Threads share the connections. Proxies and certificates are the environment's.
    """

    def __init__(self, session: Any = None) -> None:
        self._session, self._own = session, session is None

    @property
    def session(self) -> Any:
        if self._session is None:
            import requests
            from requests.adapters import HTTPAdapter

            self._session = requests.Session()
            for scheme in ("https://", "http://"):
                self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=0))
        return self._session

    def ask(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        accept: tuple[int, ...] = (200, 206),
    ) -> Reply:
        """Ask once, follow the redirects, and give the answer if its status is one of `accept`.

        Parameters
        ----------
        token : str, optional
            What Authorization says, as in "Bearer …". It goes to the host of `url` alone: a
            redirect to another host leaves it behind.

        Raises
        ------
        FetchError
            Offline, NotFound, Private, RateLimited …: `tries` says whether another try may help.
            No error holds an address's query.
        """
        what, target = f"{public(url)} could not be fetched.", url
        for _ in range(HOPS):
            own_token = token if same_origin(target, url) else None
            response = self._get(target, headers or {}, own_token)
            if not response.is_redirect:
                reply = Reply(response, target)
                if reply.status not in accept:
                    with reply:
                        raise refusal(reply)
                return reply
            response.close()
            before, target = target, _redirected(target, response.headers["Location"])
            schemes = "https:" if before.startswith("https:") else ("https:", "http:")
            if not target.startswith(schemes):
                where = public(target) or "nowhere"
                why = f"{host(before)} redirects to {where}, which is not encrypted"
                raise FetchError(what, why, "give an https address")
        why = f"{host(target)} redirected {HOPS} times without an end"
        raise FetchError(what, why, "open the address in a browser and copy the file's own link")

    def _get(self, url: str, headers: Mapping[str, str], token: str | None) -> Any:
        import requests

        sent = {"User-Agent": AGENT, "Accept-Encoding": "identity", "Accept": "*/*", **headers}
        auth = None if token is None else _Token(token)  # a .netrc would override a header
        how = {"stream": True, "timeout": TIMEOUT, "allow_redirects": False}
        what, server = f"{public(url)} could not be fetched.", host(url)
        try:
            return self.session.get(url, headers=sent, auth=auth, **how)
        except requests.Timeout as err:
            why = f"{server} did not answer in time"
            raise _again(Offline(what, why, _OFFLINE), 2) from bare(err)
        except requests.exceptions.SSLError as err:
            why = f"{server} has no certificate that can be trusted: {root(err)}"
            raise Offline(what, why, "see whether the address is right") from bare(err)
        except requests.ConnectionError as err:
            why = f"{server} cannot be reached: {root(err)}"
            raise _again(Offline(what, why, _OFFLINE), 2) from bare(err)
        except (requests.RequestException, ValueError) as err:  # urllib3 raises the latter
            why = f"it is no address to fetch from: {root(err)}"
            raise LinkError(what, why, "correct the address") from bare(err)

    def close(self) -> None:
        """Let go of the connections, if they are ours."""
        if self._own and self._session is not None:
            self._session.close()

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Token:
    """Puts a token into one request."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = self.token
        return request


def refusal(reply: Reply) -> FetchError:
    """The error that an answer is when we cannot use its status."""
    status, head = reply.status, reply.head()
    words = message(head)
    if not words and (title := web_page(head)) is not None:
        words = f'a page titled "{title}"'
    what = f"{public(reply.url)} could not be fetched."
    why = f"{host(reply.url)} answered {status} {reply._response.reason or ''}".rstrip()
    why += f": {words}" if words else ""
    if status in (408, 425, 429) or status >= 500:
        busy = _again(RateLimited(what, why, _BUSY), 4)
        busy.wait = retry_after(reply.headers.get("Retry-After", ""))
        if busy.wait is not None and busy.wait > LONGEST_WAIT:
            busy.tries, busy.why = 1, f"{why}, and asks to come again in {busy.wait:,.0f} s"
        return busy
    if status in (404, 410):
        return NotFound(what, why, "the file is not there (any more): check the address")
    if status in (401, 403):
        private = Private(what, why, _PRIVATE)
        private.code = reply.headers.get("X-Error-Code", "")
        return private
    return FetchError(what, why, "check the address")


def patiently(attempt: Callable[[], T], sleep: Callable[[float], object]) -> T:
    """Ask a server as often as its failures deserve: after 1, 2, 4 s, or what it asks for."""
    return retry(attempt, server_pause, sleep, on=FetchError)


def cut(url: str, how: str) -> Truncated:
    """The error for a body that ended too early; another try goes on."""
    why = f"{host(url)} cut the connection: {how}"
    return _again(Truncated(f"{public(url)} did not come whole.", why, _CUT), 4)


def _again(error: _Error, tries: int) -> _Error:
    error.tries = tries
    return error


def retry_after(text: str) -> float | None:
    """Seconds, from seconds or a date."""
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


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


def _redirected(url: str, location: str) -> str:
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
