"""The network as one verb: `get` one file, whole and right, or say in three sentences why not.

Nothing appears under the final name before status, length, content and hash were right. https never falls to http.
"""

from __future__ import annotations

import email.utils
import hashlib
import html
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from .errors import FetchError
from .events import Event, FetchDone, FetchProgress, FetchStarted
from .files import CHUNK, cannot_write, make

TIMEOUT = (10, 60)  # seconds to connect, and of silence while reading
HOPS = 10
LONGEST_WAIT = 60.0  # seconds: a server that asks for more is given up
TRIES = {"never": 1, "offline": 2, "busy": 4, "cut": 4}


class _Failed(Exception):
    """One try that failed: `kind` says whether another may help."""

    def __init__(self, why: str, fix: str, kind: str = "never", wait: float | None = None, cause: BaseException | None = None) -> None:
        super().__init__(why)
        self.why, self.fix, self.kind, self.wait, self.cause = why, fix, kind, wait, cause


def get(
    urls: str | Sequence[str],
    to: Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    session: Any = None,
    sleep: Callable[[float], None] = time.sleep,
    emit: Callable[[Event], None] | None = None,
) -> Path:
    """Fetch one file from the first of its mirrors that gives it.

    A file that is there and has the right hash is not fetched again. Busy servers, cut connections and time-outs are tried
    again after 1, 2, 4 seconds, or what Retry-After says.

    Parameters
    ----------
    urls : str or sequence of str
        Mirrors, tried in turn.
    to : Path
        The file's name; its folder is made.
    md5, sha256 : str, optional
        Hex digests; of sha256 a prefix of 8 digits or more will do, as in the names of torch's weight files.
    session : requests.Session, optional

    Raises
    ------
    FetchError
        No mirror gave the file. Addresses appear in it without their queries.
    """
    import requests

    wanted = _wanted(md5, sha256, to)
    if wanted and to.is_file() and _digest(to, wanted[0]).startswith(wanted[1]):
        return to
    mirrors = [urls] if isinstance(urls, str) else list(urls)
    failures = []
    for url in mirrors:
        try:
            with nullcontext(session) if session else requests.Session() as opened:
                return _persist(url, to, wanted, opened, sleep, emit or _quiet)
        except _Failed as failed:
            failures.append((url, failed))
    raise _error(to, failures) from failures[-1][1].cause


def public(url: str) -> str:
    """The address without query, name and password: what may be shown and written down."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _quiet(event: Event) -> None:
    """Nobody listens."""


def _wanted(md5: str | None, sha256: str | None, to: Path) -> tuple[str, str] | None:
    for kind, digest, least, most in (("md5", md5, 32, 32), ("sha256", sha256, 8, 64)):
        if digest is not None:
            if not re.fullmatch(rf"[0-9a-fA-F]{{{least},{most}}}", digest):
                raise FetchError(f"{digest!r} is no {kind} of {to.name}.", f"a {kind} has {most} hex digits", f"correct {kind}=")
            return kind, digest.lower()
    return None


def _digest(path: Path, kind: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _persist(url: str, to: Path, wanted: tuple[str, str] | None, session: Any, sleep: Any, emit: Callable[[Event], None]) -> Path:
    """Try one mirror as often as its failures deserve."""
    for number in range(1, max(TRIES.values()) + 1):
        try:
            return _once(url, to, wanted, session, emit)
        except _Failed as failed:
            wait = 2.0 ** (number - 1) if failed.wait is None else failed.wait
            if number >= TRIES[failed.kind] or wait > LONGEST_WAIT:
                raise
            sleep(wait)
    raise AssertionError("the last try returns or raises")


def _once(url: str, to: Path, wanted: tuple[str, str] | None, session: Any, emit: Callable[[Event], None]) -> Path:
    response = _open(url, session)
    try:
        length = response.headers.get("Content-Length", "")
        size = int(length) if length.isdigit() else None
        encoded = response.headers.get("Content-Encoding", "identity") not in ("identity", "")
        emit(FetchStarted(to.name, public(url), size))
        # a .tar.gz that a server calls "encoded" is the file itself; anything else was packed for the way
        chunks = _chunks(response, size, unpack=encoded and to.suffix not in (".gz", ".tgz"))
        done = _write(chunks, to, wanted, lambda n: emit(FetchProgress(to.name, n, None if encoded else size)))
    finally:
        response.close()
    emit(FetchDone(to.name, to, done))
    return to


def _open(url: str, session: Any) -> Any:
    """The answer at the end of the redirects, its status 200."""
    import requests

    headers: dict[str, str | None] = {"User-Agent": "colab-kit", "Accept-Encoding": "identity"}
    for _ in range(HOPS):
        try:
            response = session.get(url, stream=True, timeout=TIMEOUT, allow_redirects=False, headers=headers)
        except requests.Timeout as err:
            raise _Failed(f"{_host(url)} did not answer in time", *_OFFLINE, cause=_bare(err)) from err
        except requests.ConnectionError as err:
            raise _Failed(f"{_host(url)} cannot be reached: {_root(err)}", *_OFFLINE, cause=_bare(err)) from err
        except requests.RequestException as err:
            raise _Failed(f"{public(url)} is no address to fetch from: {_root(err)}", "correct the address", cause=_bare(err)) from err
        if not response.is_redirect:
            return _accepted(response, url)
        response.close()
        target = urljoin(url, response.headers["Location"])
        if url.startswith("https:") and not target.startswith("https:"):
            raise _Failed(f"{_host(url)} redirects to {public(target)}, which is not encrypted", "give an https address")
        if _host(url) != _host(target):
            headers["Authorization"] = None  # a session's token stays with the host it was meant for
        url = target
    raise _Failed(f"{_host(url)} redirected {HOPS} times without an end", "open the address in a browser and copy the file's own link")


_OFFLINE = ("check the connection (Kaggle: Settings, Internet on), or put the file there by hand", "offline")


def _accepted(response: Any, url: str) -> Any:
    status = response.status_code
    if status == 200:
        return response
    response.close()
    said = f"{public(url)} answered {status} {response.reason or ''}".rstrip()
    if status in (408, 425, 429) or status >= 500:
        raise _Failed(said, "the server is busy: try again later", "busy", _retry_after(response.headers.get("Retry-After", "")))
    if status in (404, 410):
        raise _Failed(said, "the file is not there (any more): check the address")
    if status in (401, 403):
        raise _Failed(said, "the file is not public: ask its owner to share it")
    raise _Failed(said, "check the address")


def _retry_after(text: str) -> float | None:
    """Seconds, from seconds or a date."""
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _chunks(response: Any, size: int | None, *, unpack: bool) -> Iterator[bytes]:
    """The body; a connection that ends early is a failure, never a short file."""
    import requests
    import urllib3

    host = _host(response.url)
    try:
        while chunk := response.raw.read(CHUNK, decode_content=unpack):
            yield chunk
    except (urllib3.exceptions.HTTPError, requests.RequestException, OSError) as err:
        raise _Failed(f"{host} cut the connection: {_root(err)}", _CUT, "cut", cause=_bare(err)) from err
    if size is not None and response.raw.tell() != size:
        raise _Failed(f"{host} cut the connection after {response.raw.tell():,} of {size:,} bytes", _CUT, "cut")


_CUT = "run the cell again; if it is cut each time, fetch the file with a browser"


def _write(chunks: Iterator[bytes], to: Path, wanted: tuple[str, str] | None, progress: Callable[[int], None]) -> int:
    """Write beside, hash on the way, look at what came, rename."""
    part = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.part")
    digest, done, head = hashlib.new(wanted[0] if wanted else "sha256", usedforsecurity=False), 0, b""
    try:
        make(to.parent)
        with open(part, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                head = head or chunk[:65536]
                progress(done)
            file.flush()
            os.fsync(file.fileno())
        _right(head, to, wanted, digest.hexdigest())
        os.replace(part, to)
    except OSError as err:
        said = cannot_write(to, err)
        raise FetchError(said.what, said.why, "free some room, or set COLAB_KIT_HOME to a folder on another disk") from err
    finally:
        if part.exists():
            part.unlink()
    return done


def _right(head: bytes, to: Path, wanted: tuple[str, str] | None, digest: str) -> None:
    title = web_page(head)
    if title is not None and to.suffix.lower() not in (".html", ".htm", ".xhtml"):
        raise _Failed(f'the server sent a web page titled "{title}"', "open the address in a browser and copy the file's own link")
    if wanted and not digest.startswith(wanted[1]):
        raise _Failed(
            f"the {wanted[0]} of what came is {digest[: len(wanted[1])]}, not {wanted[1]}",
            "the file was changed or damaged at its source: try another mirror, or fetch it by hand and compare",
        )


def web_page(head: bytes) -> str | None:
    """The title of the web page that begins with these bytes; None if they begin no web page."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:15].lower()
    if not start.startswith((b"<!doctype html", b"<html", b"<head")):
        return None
    found = re.search(rb"<title[^>]*>(.*?)</title>", head, re.I | re.S)
    return " ".join(html.unescape(found[1].decode("utf-8", "replace")).split())[:100] if found else "no title"


def _error(to: Path, failures: list[tuple[str, _Failed]]) -> FetchError:
    why = "; ".join(dict.fromkeys(failed.why for _, failed in failures))
    telling = next((failed for _, failed in failures if failed.kind != "offline"), failures[-1][1])  # a mirror that answered knows more
    where = public(failures[0][0]) if len(failures) == 1 else f"any of its {len(failures)} mirrors"
    return FetchError(f"{to.name} could not be fetched from {where}.", why, telling.fix)


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the server"


def _root(err: BaseException) -> str:
    """The innermost cause in a few words, without addresses' queries."""
    while (inner := getattr(err, "reason", None) or next((a for a in err.args if isinstance(a, BaseException)), None)) is not None:
        if not isinstance(inner, BaseException):
            break
        err = inner
    return _unqueried(re.sub(r"^.*object at 0x[0-9a-f]+>: ", "", str(err)) or type(err).__name__)


def _bare(err: BaseException) -> Exception:
    """The cause as it may be shown: requests puts whole addresses, tokens included, into its messages."""
    return ConnectionError(f"{type(err).__name__}: {_unqueried(str(err))}")


def _unqueried(text: str) -> str:
    return re.sub(r"\?[^\s'\")]+", "", text)
