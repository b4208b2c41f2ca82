"""An address in its parts, what it says of a file, and what two spellings of it have in common."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NoReturn
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlencode, urlsplit

from ...errors import LinkError
from ...system.addresses import public

LONGEST_NAME = 200  # bytes: disks take 255, and our part files add ".part.json"
MOST_SHOWN = 10_000  # characters: a longer link is not shown in an error
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)  # devices of Windows
_SECRET = re.compile(
    r"x-(amz|goog|oss|cos|ms|access|auth)-.*|.*(token|signature|secret|passw(or)?d|api[_-]?key"
    r"|access[_-]?key(id)?|auth[_-]?key)|googleaccessid|key-pair-id|policy|expires|auth"
    r"|authorization|bearer|jwt|pwd|sig|sign|session(_?id)?|phpsessid|hmac|rlkey|resourcekey"
    r"|utm_.*|fbclid|gclid|usp",
    re.I,
)
# parameters of a signature of Azure; they count as secrets only beside "sig="
_AZURE = re.compile(r"s[eprvt]|spr|sip|sks|skv|ske|skt|skoid|sktid|sdd|srt|ss|rsc[cdelt]", re.I)
_NO_NAMES = "download raw content export get uc view open file files attachment blob".split()
_SCRIPTS = (".php", ".asp", ".aspx", ".ashx", ".jsp", ".cgi", ".do")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


@dataclass(frozen=True)
class Link:
    """What a link means; no server was asked.

    kind : "http"; "gdrive", a file of Drive by its id; "gdoc", a document of Google that is
        exported; "gdrive-folder"; "hf-folder", a repository of Hugging Face or a folder in it;
        "file", a path of this machine
    url : the address to ask; for "file" the path, ~ not expanded; for "hf-folder" the API's listing
    name : the file name that the link suggests; "" where only the server knows it
    identity : equal for every spelling of the same file, and without secrets
    service : the service whose token may open it, as in "github"; "" for others
    notes : one sentence for each rewriting that the user should know
    id : Drive's; for "hf-folder" KIND/OWNER/NAME@REVISION:PATH, where KIND is models, datasets or
        spaces, and PATH is "" for the whole repository
    resourcekey : Drive's
    export : the format of a "gdoc"
    lfs : where the content is if `url` gives a Git LFS pointer
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


@dataclass(frozen=True)
class Address:
    """An address's parts.

    user : "" or the user, with its "@"
    host : in lower case and ASCII
    spelled : the host as the link spells it
    port : "" or the port, with its ":"
    """

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
        """The address without its fragment."""
        return f"{self.base}{self.path}{self.asking}"

    @property
    def base(self) -> str:
        """Scheme, user, host and port."""
        return f"{self.scheme}://{self.user}{self.spelled}{self.port}"

    @property
    def asking(self) -> str:
        """The query with its question mark; "" without a query."""
        return f"?{self.query}" if self.query else ""

    @property
    def parts(self) -> list[str]:
        """The words of the path."""
        return [part for part in self.path.split("/") if part]

    @property
    def params(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the first."""
        return dict(reversed(_pairs(self)))


def _pairs(address: Address) -> list[tuple[str, str]]:
    return parse_qsl(address.query, keep_blank_values=True, errors="surrogateescape")


def read(text: str, shown_text: str = "") -> Address:
    """Take an http(s) address apart.

    Parameters
    ----------
    shown_text : str
        What errors show in place of `text`.

    Raises
    ------
    LinkError
        It is no address.
    """
    what = f"{shown(shown_text or text)} is no link."
    unreadable = "its host or port cannot be read"
    if any(char.isspace() or unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in text):
        why = "there is a space, or an invisible character, inside it"
        refuse(what, why, "copy the link again, or write %20")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        refuse(what, unreadable, "copy the link again")
    user, _, place = parts.netloc.rpartition("@")
    spelled = re.sub(r":\d*$", "", place)
    if not host:
        refuse(what, "it names no host", "copy the whole link, as in https://host/file.zip")
    proper = re.fullmatch(r"\[[0-9a-f:.]+(%\w+)?\]|[^\[\]:\\<>\"{}|^`%]+", spelled, re.I)
    if port == 0 or not proper:
        refuse(what, unreadable, "copy the link again")
    user, port_text = user and f"{user}@", f":{port}"
    if port is None or port == {"http": 80, "https": 443}[parts.scheme]:
        port_text = ""
    return Address(
        parts.scheme,
        user,
        _ascii(host, what),
        spelled,
        port_text,
        parts.path,
        parts.query,
        parts.fragment,
    )


def at(address: Address, host: str, path: str) -> Address:
    """Ask another host the same, over https and without the first one's user."""
    return replace(address, scheme="https", user="", host=host, spelled=host, port="", path=path)


def _ascii(host: str, what: str) -> str:
    """Give the host as the network knows it."""
    if ":" in host:
        return f"[{host}]"
    impossible = "its host has no name that can exist"
    try:
        # of names with ß or ς Python makes other hosts than browsers do
        if not host.isascii() and not re.search("[ßς]", host):
            host = host.encode("idna").decode("ascii")
    except UnicodeError:
        refuse(what, impossible, "copy the link again")
    host = host.lower().removesuffix(".")
    if not all(0 < len(label) < 64 for label in host.split(".")):
        refuse(what, impossible, "copy the link again")
    return host


def plain(
    address: Address,
    service: str = "",
    *,
    notes: tuple[str, ...] = (),
    name: str | None = None,
    drop: Collection[str] = (),
) -> Link:
    """Give the link as it is."""
    name = suggested(address) if name is None else name
    return Link("http", address.url, name, identity(address, drop), service, notes)


def identity(address: Address, drop: Collection[str] = ()) -> str:
    """Give the address in one spelling, without user, secrets and the parameters in `drop`."""
    pairs = _pairs(address)
    signed = any(key.lower() == "sig" for key, _ in pairs)

    def selects(key: str, value: str) -> bool:
        secret = _SECRET.fullmatch(key) or (signed and _AZURE.fullmatch(key))
        return not (secret or key.lower() in drop or value.startswith("AIza"))

    selecting = sorted((pair for pair in pairs if selects(*pair)), key=lambda pair: pair[0])
    query = urlencode(selecting, quote_via=quote, errors="surrogateescape")
    path = normal(address.path) or "/"
    return f"{address.scheme}://{address.host}{address.port}{path}{query and f'?{query}'}"


def normal(path: str) -> str:
    """Give a path in which each character is escaped in one way."""

    def one_way(escape: re.Match[str]) -> str:
        char = chr(int(escape[0][1:], 16))
        return char if _UNRESERVED.match(char) else escape[0].upper()

    path = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", path)
    path = quote(path, safe="%/:@!$&'()*+,;=~")
    return re.sub(r"%[0-9A-Fa-f]{2}", one_way, path)


def suggested(address: Address) -> str:
    """Give the file name that an address suggests; "" if it suggests none."""
    params = {key.lower(): value for key, value in reversed(address.params.items())}
    header = params.get("response-content-disposition", "") or params.get("rscd", "")
    if name := name_from_header(header):
        return name
    name = decoded_name(address.path.rpartition("/")[2])
    lower = name.lower()
    if name and not (lower in _NO_NAMES or lower.endswith(_SCRIPTS) or name.isdigit()):
        return name
    names = (clean_name(params.get(key, "")) for key in ("filename", "file", "name", "path", "fn"))
    return next((name for name in names if "." in name), "")


def clean_name(text: str) -> str:
    """Give the last component of `text` as a file name for any disk; "" if there is none."""
    name = _UNSEEN.sub("", text).replace("\\", "/").rstrip("/ ").rpartition("/")[2].strip()
    # lone surrogates have no bytes, and Windows drops a dot or a space at the end
    name = re.sub(r'[:*?"<>|\ud800-\udfff]', "_", name).rstrip(". ")
    name = f"_{name}" if _RESERVED.fullmatch(name) else name
    return shortened(name).rstrip(". ")


def path_part(name: str) -> str:
    """Make a name one component of a path: no slash, no "..", no control character."""
    name = re.sub(r"[\x00-\x1f\x7f-\x9f]", "", name).replace("/", "_").replace("\\", "_").strip()
    name = shortened(name.encode("utf-8", "replace").decode())  # lone surrogates
    return "_" if name in ("", ".", "..") else name


def shortened(name: str) -> str:
    """Give the name with at most LONGEST_NAME bytes; it keeps its ending."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    stem, ending = os.path.splitext(name)
    ending = ending if len(ending.encode()) < 20 else ""
    return stem.encode()[: LONGEST_NAME - len(ending.encode())].decode("utf-8", "ignore") + ending


def decoded(text: str) -> str:
    """Decode percent signs; bytes that are not UTF-8 are read as Latin-1."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return unquote_to_bytes(text).decode("latin-1")


def decoded_name(text: str) -> str:
    """Give the file name that a word of an address stands for."""
    return clean_name(decoded(text))


def name_from_header(value: str) -> str:
    """Give the file name in a Content-Disposition; "" if it gives none.

    It reads RFC 6266 and what servers send. Only the last component counts: no server chooses the
    folder.
    """
    if match := re.search(r"filename\*\s*=\s*\"?([\w.-]*)'[^']*'([^;\s\"]*)", value, re.I):
        with suppress(LookupError, UnicodeError):
            if name := clean_name(unquote_to_bytes(match[2]).decode(match[1] or "utf-8")):
                return name
    match = re.search(r'filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]+))', value, re.I)
    if match is None:
        return ""
    quoted, bare = match.groups()
    name = bare.strip() if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)
    with suppress(UnicodeError):  # servers send bare UTF-8, and headers are read as Latin-1
        name = name.encode("latin-1").decode()
    return decoded_name(name) if re.search(r"%[0-9a-f]{2}", name, re.I) else clean_name(name)


def check_text(name: str, value: object) -> None:
    """Refuse an argument that cannot be a path, a name or a token.

    Raises
    ------
    LinkError
    """
    if value is None:
        return
    with suppress(TypeError, UnicodeEncodeError):
        text = os.fspath(value)  # type: ignore[call-overload]
        if isinstance(text, str) and "\0" not in text:
            os.fsencode(text)
            return
    what = f"{name}= cannot be this {type(value).__name__}."
    refuse(what, "it is text that a disk and a server can take", f'write {name}="…"')


def refuse(what: str, why: str, fix: str) -> NoReturn:
    """Raise the LinkError."""
    raise LinkError(what, why, fix)


def page(address: Address, why: str, fix: str) -> NoReturn:
    """Refuse an address that is for reading in a browser."""
    refuse(f"{shown(address.url)} is a page, not a file.", why, fix)


def shown(text: str) -> str:
    """Give a link as an error may show it: short, without query, fragment, user and password."""
    if len(text) > MOST_SHOWN:
        return "The link"
    try:
        parts = urlsplit(text)
        split = parts.port is not None and "@" in parts.path  # the "port" begins a password
        whole = bool(parts.hostname or parts.scheme not in ("http", "https")) and not split
    except ValueError:
        whole = False
    if whole:
        text = public(text)
    else:  # what looks like a port may be half of a password
        text = re.sub(r"(//|^).*@", r"\1", text, flags=re.S)
        text = re.sub(r"^(\w+://[^/:\[]*):(?!\d+(/|$))[^/]*", r"\1", text)
    text = re.sub(r"[?#].*", "", text, flags=re.S)
    text = re.sub(r"(^|/)[^/@:]*:[^/@]*@", r"\1", text)
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= 120 else f"{text[:117]}…"
