"""An address in its parts, what it says of a file, and what two spellings of it have in common."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NoReturn
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ...errors import LinkError
from ...system.http import public
from ..names import clean_name, decoded, name_from_header

_SECRET = re.compile(
    r"x-(amz|goog|oss|cos|ms|access|auth)-.*|.*(token|signature|secret|passw(or)?d|api[_-]?key|access[_-]?key(id)?|auth[_-]?key)"
    r"|googleaccessid|key-pair-id|policy|expires|auth|authorization|bearer|jwt|pwd|sig|sign|session(_?id)?|phpsessid|hmac|rlkey|resourcekey"
    r"|utm_.*|fbclid|gclid|usp",
    re.I,
)
_AZURE = re.compile(
    r"s[eprvt]|spr|sip|sks|skv|ske|skt|skoid|sktid|sdd|srt|ss|rsc[cdelt]", re.I
)  # only beside a sig=: alone they select
MOST_SHOWN = 10_000  # characters that are looked through
_TELLS_NOTHING = {
    "download",
    "raw",
    "content",
    "export",
    "get",
    "uc",
    "view",
    "open",
    "file",
    "files",
    "attachment",
    "blob",
}
_SCRIPTS = (".php", ".asp", ".aspx", ".ashx", ".jsp", ".cgi", ".do")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


@dataclass(frozen=True)
class Link:
    """What a link means, known without asking anybody.

    kind : "http"; "gdrive", a file of Drive by its id; "gdoc", a document of Google that is exported; "gdrive-folder";
        "hf-folder", a repository of Hugging Face or a folder in it; "file", a path of this machine
    url : the address to ask; for "file" the path, ~ not expanded; for "hf-folder" the API's listing
    name : the file name it suggests; "" when only the server can say
    identity : equal for every spelling of the same file, and without secrets
    service : whose token might open it, as in "github"; "" for others
    notes : one sentence for each rewriting worth telling
    id : Drive's; for "hf-folder" KIND/OWNER/NAME@REVISION:PATH, where KIND is models, datasets or spaces, and PATH is "" for all of it
    resourcekey : Drive's
    export : for "gdoc", the format
    lfs : where the content is if a Git LFS pointer comes from `url`
    """

    kind: str
    url: str
    name: str
    identity: str
    service: str = ""
    notes: tuple[str, ...] = ()
    id: str = ""
    resourcekey: str = ""
    export: str = ""
    lfs: str = ""


def told(name: str, value: object) -> None:
    """Refuse an argument that can be no path, name or token.

    Raises
    ------
    LinkError
    """
    if value is None:
        return
    what = (
        f"{name}= cannot be a {type(value).__name__}."
        if not isinstance(value, str | os.PathLike)
        else f"{name}= cannot be this text."
    )
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    try:
        right = isinstance(text, str) and "\0" not in text and bool(os.fsencode(text) or True)
    except UnicodeEncodeError:
        right = False
    if not right:
        raise LinkError(what, "it is text that a disk and a server can take", f'write {name}="…"')


@dataclass(frozen=True)
class Address:
    """An address's parts. `user` ends in @, `port` begins with :, `host` is lower case and ASCII, `spelled` is the host as it was given."""

    scheme: str
    user: str
    host: str
    spelled: str
    port: str
    path: str
    query: str
    fragment: str

    @property
    def url(self) -> str:
        """All of it but the fragment."""
        return f"{self.base}{self.path}{self.asking}"

    @property
    def base(self) -> str:
        return f"{self.scheme}://{self.user}{self.spelled}{self.port}"

    @property
    def asking(self) -> str:
        return f"?{self.query}" if self.query else ""

    @property
    def parts(self) -> list[str]:
        return [part for part in self.path.split("/") if part]

    @property
    def params(self) -> dict[str, str]:
        """The query, the first of each name."""
        return dict(
            reversed(parse_qsl(self.query, keep_blank_values=True, errors="surrogateescape"))
        )


def read(text: str, given: str = "") -> Address:
    """Take an http(s) address apart; errors show `given` in its place.

    Raises
    ------
    LinkError
        It is none.
    """
    what = f"{shown(given or text)} is no link."
    if any(char.isspace() or unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in text):
        refuse(
            what,
            "there is a space, or a mark that cannot be seen, inside of it",
            "copy the link again, or write %20",
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as err:
        raise LinkError(
            what, f"its host or port cannot be read: {_reason(err)}", "copy the link again"
        ) from None
    user, _, place = parts.netloc.rpartition("@")
    spelled = re.sub(r":\d*$", "", place)
    if not host:
        refuse(what, "it names no host", "copy the whole link, as in https://host/file.zip")
    if port == 0 or not re.fullmatch(
        r"\[[0-9a-f:.]+(%\w+)?\]|[^\[\]:\\<>\"{}|^`%]+", spelled, re.I
    ):
        refuse(what, "its host or port cannot be read", "copy the link again")
    address = Address(
        parts.scheme,
        f"{user}@" if user else "",
        _ascii(host, what),
        spelled,
        "",
        parts.path,
        parts.query,
        parts.fragment,
    )
    usual = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    return address if usual else replace(address, port=f":{port}")


def at(address: Address, host: str, path: str) -> Address:
    """The same question to another host, encrypted, and without the first one's user."""
    return replace(address, scheme="https", user="", host=host, spelled=host, port="", path=path)


def _ascii(host: str, what: str) -> str:
    """The host as the network knows it."""
    if ":" in host:
        return f"[{host}]"
    try:
        if not host.isascii() and not re.search(
            "[ßς]", host
        ):  # of these two Python makes other hosts than browsers do
            host = host.encode("idna").decode("ascii")
    except UnicodeError:
        refuse(what, "its host has no name that can exist", "copy the link again")
    host = host.lower().removesuffix(".")
    if not all(0 < len(label) < 64 for label in host.split(".")):
        refuse(what, "its host has no name that can exist", "copy the link again")
    return host


def _reason(err: ValueError) -> str:
    """Only what cannot hold a password."""
    return (
        str(err)
        if str(err) in ("Invalid IPv6 URL", "Port out of range 0-65535")
        else "it is spelled wrongly"
    )


def plain(
    address: Address,
    service: str = "",
    *,
    notes: tuple[str, ...] = (),
    name: str | None = None,
    drop: Collection[str] = (),
) -> Link:
    """The link as it is."""
    return Link(
        "http",
        address.url,
        suggested(address) if name is None else name,
        identity(address, drop),
        service,
        notes,
    )


def identity(address: Address, drop: Collection[str] = ()) -> str:
    """The address without user, secrets and the parameters in `drop`, spelled in the one way."""
    pairs = parse_qsl(address.query, keep_blank_values=True, errors="surrogateescape")
    signed = any(key.lower() == "sig" for key, _ in pairs)
    kept = [
        (key, value)
        for key, value in pairs
        if not (
            _SECRET.fullmatch(key)
            or (signed and _AZURE.fullmatch(key))
            or key.lower() in drop
            or value.startswith("AIza")
        )
    ]
    query = urlencode(
        sorted(kept, key=lambda pair: pair[0]), quote_via=quote, errors="surrogateescape"
    )
    return f"{address.scheme}://{address.host}{address.port}{normal(address.path) or '/'}" + (
        f"?{query}" if query else ""
    )


def normal(path: str) -> str:
    """A path with each character escaped in the one way."""
    path = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", path)
    path = quote(path, safe="%/:@!$&'()*+,;=~")
    return re.sub(
        r"%[0-9A-Fa-f]{2}",
        lambda found: (
            char if _UNRESERVED.match(char := chr(int(found[0][1:], 16))) else found[0].upper()
        ),
        path,
    )


def suggested(address: Address) -> str:
    """The file name that an address suggests; "" if it suggests none."""
    params = {key.lower(): value for key, value in reversed(address.params.items())}
    if name := name_from_header(
        params.get("response-content-disposition", "") or params.get("rscd", "")
    ):
        return name
    name = clean_name(decoded(address.path.rpartition("/")[2]))
    if name and not (
        name.lower() in _TELLS_NOTHING or name.lower().endswith(_SCRIPTS) or name.isdigit()
    ):
        return name
    names = (clean_name(params.get(key, "")) for key in ("filename", "file", "name", "path", "fn"))
    return next((name for name in names if "." in name), "")


def refuse(what: str, why: str, fix: str) -> NoReturn:
    """Raise the LinkError."""
    raise LinkError(what, why, fix)


def page(address: Address, why: str, fix: str) -> NoReturn:
    """Refuse an address that is for reading in a browser."""
    refuse(f"{shown(address.url)} is a page, not a file.", why, fix)


def shown(text: str) -> str:
    """A link as an error may show it: no query, no fragment, no name and password, not too long."""
    if len(text) > MOST_SHOWN:
        return "The link"
    try:
        parts = urlsplit(text)
        whole = bool(parts.hostname or parts.scheme not in ("http", "https")) and not (
            parts.port is not None and "@" in parts.path
        )
    except ValueError:
        whole = False
    if not whole:  # then what looks like a port may be half of a password
        text = re.sub(
            r"^(\w+://[^/:\[]*):(?!\d+(/|$))[^/]*",
            r"\1",
            re.sub(r"(//|^).*@", r"\1", text, flags=re.S),
        )
    text = public(text) if whole else text
    text = re.sub(r"(^|/)[^/@:]*:[^/@]*@", r"\1", re.sub(r"[?#].*", "", text, flags=re.S))
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= 120 else f"{text[:117]}…"
