"""One question to a server and its answer: redirects followed without tokens, https never left, each refusal told with its fix."""

from __future__ import annotations

import email.utils
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from ..errors import FetchError, LinkError, NotFound, Offline, Private, RateLimited, Truncated
from .filetypes import message, web_page

TIMEOUT = (10, 60)  # seconds to connect, and of silence while reading
HOPS = 10
LONGEST_WAIT = 60.0  # seconds: a server that asks for more is given up
AGENT = "colab-kit (https://github.com/OWNER/colab_kit)"  # Zenodo and others want a name
CONNECTIONS = 16  # kept open to a host
_OFFLINE = "check the connection (Kaggle: Settings, Internet on), or put the file there by hand"
_CUT = "run the cell again: it goes on from what has come"

T = TypeVar("T")


class Reply:
    """An answer whose body is still to be read.

    url : where it came from in the end; status : of it; headers : by name, in any case
    """

    def __init__(self, response: Any, url: str) -> None:
        self._response, self.url = response, url
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        length = self.headers.get("Content-Length", "")
        self.length = (
            int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None
        )  # bytes of the body
        self._read = 0

    @property
    def packed(self) -> bool:
        """Whether the body was packed for the way, though nobody asked for it."""
        return bool(self.codings)

    @property
    def codings(self) -> set[str]:
        """How: gzip, br …"""
        return {
            word.strip().lower() for word in self.headers.get("Content-Encoding", "").split(",")
        } - {"identity", "aws-chunked", ""}

    def read(self, most: int, *, unpack: bool = False) -> bytes:
        """The next bytes of the body, `most` of them unless it ends; b"" at its end.

        Raises
        ------
        Truncated
            The connection ended before the body did.
        """
        import requests
        import urllib3

        raw = self._response.raw
        try:
            chunk: bytes = raw.read(most, decode_content=unpack)
        except (
            urllib3.exceptions.HTTPError,
            requests.RequestException,
            OSError,
            ValueError,
            AttributeError,
        ) as err:  # the last: hung up
            raise cut(self.url, root(err)) from bare(err)
        self._read += len(chunk)
        have = raw.tell() if unpack else self._read
        if not chunk and self.length is not None and have < self.length:
            raise cut(self.url, f"after {have:,} of {self.length:,} bytes")
        return chunk

    def head(self, most: int = 4096) -> bytes:
        """The beginning of a body that is read for its words only: what does not come is not missed."""
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
    """The way to servers: connections are kept and shared by threads, proxies and certificates are the environment's."""

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
            What Authorization says, as in "Bearer …". It goes to the host of `url` alone: a redirect to another one leaves it behind.

        Raises
        ------
        FetchError
            Offline, NotFound, Private, RateLimited …: `tries` says whether another try may help. No query of an address is in it.
        """
        asked, target = url, url
        for _ in range(HOPS):
            response = self._get(
                target, headers or {}, token if same_origin(target, asked) else None
            )
            if not response.is_redirect:
                reply = Reply(response, target)
                if reply.status not in accept:
                    with reply:
                        raise refusal(reply)
                return reply
            response.close()
            target, before = _leads(target, response.headers["Location"]), target
            if not target.startswith(("https:", "http:")) or (
                before.startswith("https:") and not target.startswith("https:")
            ):
                why = f"{host(before)} redirects to {public(target) or 'nowhere'}, which is not encrypted"
                raise FetchError(
                    f"{public(asked)} could not be fetched.", why, "give an https address"
                )
        why = f"{host(target)} redirected {HOPS} times without an end"
        raise FetchError(
            f"{public(asked)} could not be fetched.",
            why,
            "open the address in a browser and copy the file's own link",
        )

    def _get(self, url: str, headers: Mapping[str, str], token: str | None) -> Any:
        import requests

        said = {"User-Agent": AGENT, "Accept-Encoding": "identity", "Accept": "*/*", **headers}
        auth = None if token is None else _Says(token)  # as auth=: a .netrc would override a header
        what = f"{public(url)} could not be fetched."
        try:
            return self.session.get(
                url, stream=True, timeout=TIMEOUT, allow_redirects=False, headers=said, auth=auth
            )
        except requests.Timeout as err:
            raise _again(
                Offline(what, f"{host(url)} did not answer in time", _OFFLINE), 2
            ) from bare(err)
        except requests.exceptions.SSLError as err:
            raise Offline(
                what,
                f"{host(url)} has no certificate that can be trusted: {root(err)}",
                "see whether the address is right",
            ) from bare(err)
        except requests.ConnectionError as err:
            raise _again(
                Offline(what, f"{host(url)} cannot be reached: {root(err)}", _OFFLINE), 2
            ) from bare(err)
        except (
            requests.RequestException,
            ValueError,
        ) as err:  # urllib3's LocationParseError is the latter
            raise LinkError(
                what, f"it is no address to fetch from: {root(err)}", "correct the address"
            ) from bare(err)

    def close(self) -> None:
        """Let go of the connections, if they are ours."""
        if self._own and self._session is not None:
            self._session.close()

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Says:
    """Puts a token into one request."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = self.token
        return request


def refusal(reply: Reply) -> FetchError:
    """The error that an answer is when its status is none we can use."""
    status, where = reply.status, public(reply.url)
    head = reply.head()
    said = message(head) or (
        f'a page titled "{title}"' if (title := web_page(head)) is not None else ""
    )
    what = f"{where} could not be fetched."
    why = f"{host(reply.url)} answered {status} {reply._response.reason or ''}".rstrip() + (
        f": {said}" if said else ""
    )
    if status in (408, 425, 429) or status >= 500:
        error = _again(
            RateLimited(
                what,
                why,
                "the server is busy: try again later, or name another source with mirrors=",
            ),
            4,
        )
        error.wait = retry_after(reply.headers.get("Retry-After", ""))
        if error.wait is not None and error.wait > LONGEST_WAIT:
            error.tries, error.why = 1, f"{why}, and asks to come again in {error.wait:,.0f} s"
        return error
    if status in (404, 410):
        return NotFound(what, why, "the file is not there (any more): check the address")
    if status in (401, 403):
        return Private(
            what, why, "the file is not public: ask its owner to share it, or give token="
        )
    return FetchError(what, why, "check the address")


def patiently(attempt: Callable[[], T], sleep: Callable[[float], object]) -> T:
    """Try as often as the failures deserve: after 1, 2, 4 seconds, or what the server asks for."""
    number = 0
    while True:
        try:
            return attempt()
        except FetchError as err:
            number += 1
            if number >= err.tries:
                raise
            sleep(2.0 ** (number - 1) if err.wait is None else err.wait)


def cut(url: str, how: str) -> Truncated:
    """A body that ended too early; another try goes on."""
    return _again(
        Truncated(
            f"{public(url)} did not come whole.", f"{host(url)} cut the connection: {how}", _CUT
        ),
        4,
    )


Kind = TypeVar("Kind", bound=FetchError)


def _again(error: Kind, tries: int) -> Kind:
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


def public(url: str) -> str:
    """The address without query, name and password: what may be shown and written down."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"[?#].*|//[^/@]*@", "", url)
    return (
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        if parts.scheme and parts.netloc
        else url.partition("?")[0]
    )


def host(url: str) -> str:
    """The server's name, for sentences."""
    try:
        return urlsplit(url).hostname or "the server"
    except ValueError:
        return "the server"


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses are of one server: a token for the one may go to the other."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, ""
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def _leads(url: str, location: str) -> str:
    """Where a redirect leads; nowhere, if its address is none."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def root(err: BaseException) -> str:
    """The innermost cause in a few words, without addresses' queries."""
    while (
        inner := getattr(err, "reason", None)
        or next((a for a in err.args if isinstance(a, BaseException)), None)
    ) is not None:
        if not isinstance(inner, BaseException):
            break
        err = inner
    return _unqueried(re.sub(r"^.*object at 0x[0-9a-f]+>: ", "", str(err)) or type(err).__name__)


def bare(err: BaseException) -> Exception:
    """The cause as it may be shown: requests puts whole addresses, tokens included, into its messages."""
    return ConnectionError(f"{type(err).__name__}: {_unqueried(str(err))}")


def _unqueried(text: str) -> str:
    return re.sub(r"//[^/\s@]*@", "//", re.sub(r"\?[^\s'\")]+", "", text))
