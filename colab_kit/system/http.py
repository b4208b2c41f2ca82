"""One question to a server and its answer.

Redirects are followed without tokens, https is never left, and each refusal says its fix. A stop
is heard before, between and within all of it, and each part of it has its time.
"""

from __future__ import annotations

import email.utils
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ..errors import (
    FetchError,
    LinkError,
    NotFound,
    Offline,
    Private,
    RateLimited,
    Stopped,
    Truncated,
)
from ..events import Control
from .addresses import bare, host, public, redirected, root, same_origin
from .archives.compressed import Tap, inflated
from .connections import Errand, Overdue, session, shut
from .filetypes import message, web_page
from .retry import retry, server_pause

TIMEOUT = (10, 60)  # seconds to connect, and of silence while reading
ANSWER = 120.0  # seconds from a question to the last header of its answer, redirects included
BODY = 60.0  # seconds for a body that is read for its words: a page, a listing
HEAD_SIZE, HEAD_TIME = 4096, 5.0  # bytes and seconds for the body of a refusal or a redirect
HEADERS = 256 << 10  # bytes of all headers of an answer; of them there are 100 at most
SLOWEST = 1000  # bytes a second: whoever sends less for a minute is hung up on
HOPS = 10
LONGEST_WAIT = 60.0  # seconds: a server that asks for more is given up
AGENT = "colab-kit (https://github.com/OWNER/colab_kit)"  # Zenodo and others want a name
_OFFLINE = "check the connection (Kaggle: Settings, Internet on), or put the file there by hand"
_CUT = "run the cell again: it goes on from what has come"
_BUSY = "the server is busy: try again later, or name another source with mirrors="
_SERVER = "fetch it with a browser, or name another source with mirrors="
_PRIVATE = "the file is not public: ask its owner to share it, or give token="

UNPACKED = ("gzip", "x-gzip", "deflate")  # packings of a body that are unpacked here

T = TypeVar("T")
_Error = TypeVar("_Error", bound=FetchError)


class Reply:
    """An answer whose body is still to be read.

    url : where it came from in the end
    status : its HTTP status
    headers : by name, in any case
    length : bytes of the body as it is sent; None if the server does not say, or sends chunks:
        then the chunks count, whatever else it says
    """

    def __init__(self, response: Any, url: str, control: Control | None = None) -> None:
        self._response, self.url, self._read = response, url, 0
        self.control = control or Control()
        self._pieces: Iterator[bytes] | None = None
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        length = self.headers.get("Content-Length", "").strip()
        is_number = length.isascii() and length.isdigit() and len(length) < 19
        counts = is_number and "Transfer-Encoding" not in self.headers
        self.length = int(length) if counts else None

    @property
    def coding(self) -> str:
        """How the body was packed for the way, though nobody asked for it; "" if it was not."""
        words = self.headers.get("Content-Encoding", "").split(",")
        codings = (word.strip().lower() for word in words)
        return ", ".join(one for one in codings if one not in ("", "identity", "aws-chunked"))

    def read(self, most: int, *, unpack: bool = False) -> bytes:
        """Give the next bytes of the body, `most` of them unless it ends; b"" at its end.

        It waits for as long as they come: whoever calls has another thread, which hangs up.

        Parameters
        ----------
        unpack : bool
            Unpack a body of one of UNPACKED; then it gives up to 1 MiB at once.

        Raises
        ------
        Truncated
            The connection ended before the body did.
        """
        if not unpack or self.coding not in UNPACKED:
            return self._read_raw(most)
        self._pieces = self._pieces or inflated(Tap(_Packed(self, most)))
        try:
            return next(self._pieces, b"")
        except (EOFError, zlib.error) as err:
            raise cut(self.url, f"it cannot be unpacked: {err}") from err

    def _read_raw(self, most: int) -> bytes:
        import requests
        import urllib3

        raw, broken = self._response.raw, (urllib3.exceptions.HTTPError, requests.RequestException)
        try:
            chunk: bytes = raw.read(most)
        except (*broken, OSError, ValueError, AttributeError) as err:  # the last: hung up
            raise cut(self.url, root(err)) from bare(err)
        self._read += len(chunk)
        if not chunk and self.length is not None and self._read < self.length:
            raise cut(self.url, f"after {self._read:,} of {self.length:,} bytes")
        return chunk

    def body(self, most: int, *, seconds: float = BODY, unpack: bool = False) -> bytes:
        """Give the next `most` bytes of the body, fewer only if it ends, all within `seconds`.

        Raises
        ------
        Stopped
        Truncated
            The connection ended before the body did, or the time was over.
        """

        def work() -> bytes:
            content = bytearray()
            while len(content) < most:
                if not (piece := self.read(min(1 << 20, most - len(content)), unpack=unpack)):
                    break
                content += piece
            return bytes(content[:most])

        what = f"{public(self.url)} was not fetched to its end."
        try:
            return Errand(work, self.hang_up).result(what, self.control, seconds)
        except Overdue:
            raise cut(self.url, f"it took more than {seconds:.0f} s") from None

    def head(self) -> bytes:
        """Give the beginning of a body that is read for its words only; b"" if it does not come."""
        try:
            return self.body(HEAD_SIZE, seconds=HEAD_TIME, unpack=True)
        except Stopped:
            raise
        except FetchError:
            return b""

    def hang_up(self) -> None:
        """End a reading that waits, from another thread: it raises Truncated there."""
        shut(getattr(getattr(self._response.raw, "connection", None), "sock", None))

    def close(self) -> None:
        """End it; a body not read to its end ends the connection too."""
        self._response.close()

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Packed:
    """The packed bytes of a reply, `most` at a time: over a slow line more would take long."""

    def __init__(self, reply: Reply, most: int) -> None:
        self._reply, self._most = reply, most

    def read(self, size: int, /) -> bytes:
        return self._reply._read_raw(min(size, self._most))


class Web:
    """The way to servers.

    Threads share the connections. Proxies and certificates are the environment's.

    Parameters
    ----------
    session : optional
        As of requests.
    control : Control, optional
        A stop ends each question and each `body`; `read` alone has to be ended by hanging up.
    seconds : float
        For one answer's headers, redirects included.
    """

    def __init__(
        self, session: Any = None, *, control: Control | None = None, seconds: float = ANSWER
    ) -> None:
        self._session, self._own = session, session is None
        self.control, self._seconds = control or Control(), seconds

    @property
    def session(self) -> Any:
        if self._session is None:
            self._session = session()
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
            No error holds an address's query. Stopped: the control said stop.
        """
        what, target = f"{public(url)} could not be fetched.", url
        until = time.monotonic() + self._seconds
        for _ in range(HOPS):
            own_token = token if same_origin(target, url) else None
            response = self._get(target, headers or {}, own_token, until)
            reply = Reply(response, target, self.control)
            if response.is_redirect or reply.status not in accept:
                with reply:
                    if not response.is_redirect:
                        raise refusal(reply)
                    reply.head()  # a connection whose answer was read to its end is used again
            else:
                return reply
            before, target = target, redirected(target, response.headers["Location"])
            schemes = "https:" if before.startswith("https:") else ("https:", "http:")
            if not target.startswith(schemes):
                where = public(target) or "nowhere"
                why = f"{host(before)} redirects to {where}, which is not encrypted"
                raise FetchError(what, why, "give an https address")
        why = f"{host(target)} redirected {HOPS} times without an end"
        raise FetchError(what, why, "open the address in a browser and copy the file's own link")

    def _get(self, url: str, headers: Mapping[str, str], token: str | None, until: float) -> Any:
        import requests

        sent = {"User-Agent": AGENT, "Accept-Encoding": "identity", "Accept": "*/*", **headers}
        auth = None if token is None else _Token(token)  # a .netrc would override a header
        how = {"stream": True, "timeout": TIMEOUT, "allow_redirects": False}
        what, server, web = f"{public(url)} could not be fetched.", host(url), self.session
        ask = lambda: web.get(url, headers=sent, auth=auth, **how)
        try:
            errand = Errand(ask, late=lambda response: response.close())
            response = errand.result(what, self.control, until - time.monotonic())
        except Overdue:
            why = f"{server} did not answer within {self._seconds:.0f} s"
            raise _again(Offline(what, why, _OFFLINE), 2) from None
        except requests.Timeout as err:
            why = f"{server} did not answer in time"
            raise _again(Offline(what, why, _OFFLINE), 2) from bare(err)
        except requests.exceptions.SSLError as err:
            why = f"{server} has no certificate that can be trusted: {root(err)}"
            raise Offline(what, why, "see whether the address is right") from bare(err)
        except requests.ConnectionError as err:
            why = f"{server} cannot be reached: {root(err)}"
            raise _again(Offline(what, why, _OFFLINE), 2) from bare(err)
        except requests.exceptions.InvalidHeader as err:
            why = f"{server} sent headers that cannot be understood: {root(err)}"
            raise FetchError(what, why, _SERVER) from bare(err)
        except (requests.RequestException, ValueError) as err:  # urllib3 raises the latter
            why = f"it is no address to fetch from: {root(err)}"
            raise LinkError(what, why, "correct the address") from bare(err)
        if fault := _fault(response.headers):
            response.close()
            raise FetchError(what, f"{server} {fault}", _SERVER)
        return response

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


def _fault(headers: Mapping[str, str]) -> str:
    """Tell what forbids to read an answer by its headers; "" if nothing does."""
    size = sum(len(name) + len(value) for name, value in headers.items())
    if size > HEADERS:
        return f"sent {size:,} bytes of headers, more than {HEADERS:,}"
    way = headers.get("Transfer-Encoding", "").strip().lower()
    if way not in ("", "identity", "chunked"):  # http.client would give the chunks' frames as bytes
        return f"sends it by the transfer coding {way[:40]!r}, which cannot be read"
    return ""


def refusal(reply: Reply) -> FetchError:
    """The error that an answer is when we cannot use its status."""
    status, head = reply.status, reply.head()
    words = message(head)
    if not words and (title := web_page(head)) is not None:
        words = f'a page titled "{title}"'
    what = f"{public(reply.url)} could not be fetched."
    why = f"{host(reply.url)} answered {status} {(reply._response.reason or '')[:100]}".rstrip()
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
