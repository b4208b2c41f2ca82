"""Hosts that exist in a test only: whatever runs with `hosts.env` meets them under their real
names, over real TLS.

A proxy on 127.0.0.1 ends TLS itself with certificates of a throw-away authority: nothing is
patched, so requests in this process, gdown, and curl or wget in another are served alike. A host
that no test named is answered 502, and never reached.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import pytest
import trustme

from colab_kit.testing.server import Answer, ServedFile, answer

PIECE = 1 << 16


@dataclass(frozen=True)
class Ask:
    """One request. path : unquoted; headers : in small letters; sent : bytes of the answer's
    body.
    """

    host: str
    method: str
    path: str
    query: str
    headers: dict[str, str] = field(repr=False)

    def get(self, name: str) -> str:
        """A parameter of the query, "" if it is not there."""
        return parse_qs(self.query).get(name, [""])[0]


def page(html: str, status: int = 200, **headers: str) -> Answer:
    """A web page."""
    body = html.encode()
    said = {
        "Content-Type": "text/html; charset=utf-8",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return Answer(status, {**said, "Content-Length": str(len(body))}, body, sends=len(body))


def reply_json(value: Any, status: int = 200, **headers: str) -> Answer:
    body = json.dumps(value).encode()
    said = {
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return Answer(status, {**said, "Content-Length": str(len(body))}, body, sends=len(body))


def redirect(to: str, status: int = 302, **headers: str) -> Answer:
    return Answer(
        status,
        {
            "Location": to,
            "Content-Length": "0",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )


def served(
    data: bytes | Path,
    name: str | None = None,
    *,
    kind: str = "application/octet-stream",
    **headers: str,
) -> ServedFile:
    """A file with ETag and date, which answers ranges; with a name, as an attachment."""
    etag = (
        f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        if isinstance(data, bytes)
        else f'"{data.stat().st_mtime_ns:x}"'
    )
    said = {key.replace("_", "-"): value for key, value in headers.items()}
    if name is not None:
        said["Content-Disposition"] = (
            f"attachment; filename=\"{name.encode().decode('latin-1')}\"; filename*=UTF-8''{quote(name)}"
        )
    return ServedFile(data, etag, "Thu, 01 Jan 2026 00:00:00 GMT", kind, said)


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def certificate(host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(host).configure_cert(context)
    return context


class Hosts:
    """The fake internet.

    env : what a process needs to meet it; asked : all requests, in their order.

    rate : bytes a second of each answer's body, None for no limit
    """

    def __init__(self, folder: Path) -> None:
        self.asked: list[Ask] = []
        self.rate: float | None = None
        self.home = folder  # HOME, where the fixture sets it
        self._rules: list[tuple[str, str, Any]] = []
        ca, wgetrc = folder / "ca.pem", folder / "wgetrc"
        authority().cert_pem.write_to_path(ca)
        wgetrc.write_text(f"ca_certificate={ca}\n")  # wget does not look at the others
        self._http = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"hosts": self})
        )
        self._http.daemon_threads = True
        threading.Thread(
            target=self._http.serve_forever, args=(0.01,), daemon=True, name="fake hosts"
        ).start()
        proxy = f"http://127.0.0.1:{self._http.server_port}"
        proxies = {
            name: proxy
            for each in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
            for name in (each, each.lower())
        }
        trusted = {
            name: str(ca)
            for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
        }
        self.env = {**proxies, "NO_PROXY": "", "no_proxy": "", **trusted, "WGETRC": str(wgetrc)}

    def answer(
        self, host: str, path: str, what: Callable[[Ask], Any] | Answer | ServedFile | None
    ) -> None:
        """Answer requests for a path (a glob, `*` for any) of a host. The rule made last counts;
        None, also from a function, is 404.
        """
        self._rules.insert(0, (host, path, what))

    def count(self, host: str = "*", path: str = "*") -> int:
        return sum(
            fnmatchcase(ask.host, host) and fnmatchcase(ask.path, path) for ask in self.asked
        )

    def knows(self, host: str) -> bool:
        return any(fnmatchcase(host, known) for known, _, _ in self._rules)

    def reply(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        if not self.knows(ask.host):
            return page(f"There is no {ask.host} in this test.", 502)
        for host, path, what in list(self._rules):
            if fnmatchcase(ask.host, host) and fnmatchcase(ask.path, path):
                said = what(ask) if callable(what) else what
                return said if isinstance(said, Answer) else answer(said, ask.headers, {})
        return answer(None, ask.headers, {})

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True  # else 40 ms an answer
    hosts: Hosts
    tunnel = ""

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        if self.tunnel or not self.hosts.knows(host):
            self.hosts.asked.append(Ask(host, "CONNECT", "", "", {}))
            return self.send_error(502, "no such host in this test")
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.close_connection, self.tunnel = True, host
        with contextlib.suppress(OSError):  # a client that does not trust us, or has gone
            self.connection = certificate(host).wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = (
                self.connection.makefile("rb"),
                self.connection.makefile("wb", 0),
            )
            self.close_connection = False
            while not self.close_connection:
                self.handle_one_request()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        said = {name.lower(): value for name, value in self.headers.items()}
        ask = Ask(
            self.tunnel or parts.hostname or "",
            self.command,
            unquote(parts.path),
            parts.query,
            said,
        )
        with contextlib.suppress(ConnectionError):
            self._send(self.hosts.reply(ask))
            return
        self.close_connection = True

    do_HEAD = do_GET

    def _send(self, reply: Answer) -> None:
        self.close_connection = self.close_connection or not reply.keeps_open
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        left, rate = 0 if self.command == "HEAD" else reply.sends, reply.rate or self.hosts.rate
        with _opened(reply) as body:
            while left:
                piece = body.read(min(left, PIECE if rate is None else max(1, int(rate / 50))))
                self.wfile.write(piece)
                left -= len(piece)
                time.sleep(0.0 if rate is None else len(piece) / rate)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def _opened(reply: Answer) -> Any:
    body = io.BytesIO(reply.body) if isinstance(reply.body, bytes) else reply.body.open("rb")
    body.seek(reply.start)
    return body


@pytest.fixture
def hosts(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hosts]:
    """Fake hosts for this process and those it starts, with a HOME of their own: `hosts.home`
    shows what was left there.
    """
    home = tmp_path_factory.mktemp("hosts")
    with Hosts(tmp_path_factory.mktemp("authority")) as made:
        made.home = home
        for name, value in (made.env | {"HOME": str(home)}).items():
            monkeypatch.setenv(name, value)
        yield made


@dataclass
class Item:
    """A thing on the fake Drive. mood : "", private, deleted, quota, busy, again (the confirm
    page for ever), untyped, forbidden, down.
    """

    id: str
    name: str
    data: bytes | Path = b""
    big: bool = False
    mood: str = ""
    key: str = ""
    kind: str = "file"  # or folder, document, spreadsheets, presentation, drawings
    inside: list[str] = field(default_factory=list)


class GoogleDrive:
    """What Google's four hosts answer, as far as it is known: files, Docs and folders by id."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts, self.items = hosts, {}  # type: Hosts, dict[str, Item]
        for host, path, door in (
            ("drive.google.com", "/uc", self._uc),
            ("drive.google.com", "/open", self._open),
            ("drive.google.com", "/file/d/*", self._viewer),
            ("drive.google.com", "/embeddedfolderview", self._view),
            ("drive.google.com", "/drive/*folders/*", self._folder_page),
            ("drive.usercontent.google.com", "/download", self._download),
            ("docs.google.com", "/*/d/*", self._doc),
            (
                "accounts.google.com",
                "*",
                lambda ask: page(
                    "<html><head><title>Sign in - Google Accounts</title></head></html>"
                ),
            ),
        ):
            hosts.answer(host, path, door)

    def file(self, name: str, data: bytes | Path = b"", **traits: Any) -> str:
        """Put a file there; return its id. big=True: behind the virus-scan page; mood=, key= (a
        resource key): see Item.
        """
        return self._put(name, data=data, **traits)

    def doc(
        self, name: str, kind: str = "document", data: bytes = b"PK\3\4 a docx", **traits: Any
    ) -> str:
        return self._put(name, data=data, kind=kind, **traits)

    def folder(self, name: str, *inside: str, **traits: Any) -> str:
        """A folder that holds these ids, folders as well."""
        return self._put(name, kind="folder", inside=list(inside), **traits)

    def _put(self, name: str, **traits: Any) -> str:
        # 33 signs, as Google's
        id = f"1{hashlib.sha256(f'{len(self.items)} {name}'.encode()).hexdigest()[:32]}"
        self.items[id] = Item(id, name, **traits)
        return id

    def _uc(self, ask: Ask) -> Any:
        if (no := self._no(ask)) is not None:
            return no
        return redirect(
            f"https://drive.usercontent.google.com/download?{urlencode({'export': 'download', **_parameters(ask)})}",
            303,
        )

    def _download(self, ask: Ask) -> Any:
        if (no := self._no(ask)) is not None:
            return no
        item = self.items[ask.get("id")]
        if item.mood == "quota":
            return page(_QUOTA)
        if item.mood == "forbidden":
            return page(
                '<html><title>x</title><p class="uc-error-caption">Sorry, the owner hasn\'t given you permission to download.</p>'
            )
        if item.mood == "again" or item.big and not (ask.get("confirm") and ask.get("uuid")):
            warning = _WARNING.format(
                id=item.id,
                name=item.name,
                uuid=hashlib.sha256(str(len(self.hosts.asked)).encode()).hexdigest()[:32],
            )
            return page(warning, Set_Cookie="NID=1; Domain=.google.com; Path=/; Secure")
        file = served(item.data, item.name)
        if item.mood == "untyped":
            untyped = answer(file, ask.headers, {})
            untyped.headers.pop("Content-Type", None)
            return untyped
        return file

    def _no(self, ask: Ask) -> Answer | None:
        """The answer to whom it is not given."""
        item = self.items.get(ask.get("id"))
        if item is None or item.mood == "deleted":
            return page("<html><head><title>Error 404 (Not Found)!!1</title></head></html>", 404)
        if item.mood == "private" or item.key and ask.get("resourcekey") != item.key:
            return redirect(
                f"https://accounts.google.com/ServiceLogin?{urlencode({'continue': f'https://{ask.host}{ask.path}'})}"
            )
        if item.mood == "busy":
            return page(
                "<html><head><title>Sorry...</title></head>... your network may be sending automated queries.</html>",
                429,
            )
        if item.mood == "down" or item.kind != "file" and ask.path in ("/uc", "/download"):
            return page("<html><head><title>Error 500</title></head></html>", 500)
        return None

    def _open(self, ask: Ask) -> Any:
        if (
            (item := self.items.get(ask.get("id"))) is None
            or item.mood != "down"
            and (no := self._no(ask)) is not None
        ):
            return no if item else self._no(ask)
        return redirect(self._address(item).replace("&amp;", "&"))

    def _address(self, item: Item) -> str:
        key = f"&amp;resourcekey={item.key}" if item.key else ""
        if item.kind == "file":
            return f"https://drive.google.com/file/d/{item.id}/view?usp=drive_web{key}"
        if item.kind == "folder":
            return f"https://drive.google.com/drive/folders/{item.id}?usp=drive_web{key}"
        return f"https://docs.google.com/{item.kind}/d/{item.id}/edit?usp=drive_web{key}"

    def _viewer(self, ask: Ask) -> Any:
        item = self.items.get(ask.path.split("/")[3])
        return item and page(
            f"<!DOCTYPE html><html><head><title>{item.name} - Google Drive</title></head><body></body></html>"
        )

    def _doc(self, ask: Ask) -> Any:
        _, kind, _, id, verb, *_ = [*ask.path.split("/"), ""]
        item = self.items.get(id)
        if item is None or item.kind != kind:
            return None
        if item.mood == "private":
            return redirect("https://accounts.google.com/ServiceLogin")
        if verb != "export":
            return page(
                f"<!DOCTYPE html><html><head><title>{item.name} - Google Docs</title></head></html>"
            )
        return served(item.data, f"{item.name}.{ask.get('format') or ask.path.rpartition('/')[2]}")

    def _view(self, ask: Ask) -> Any:
        if (no := self._no(ask)) is not None:
            return no
        return page(
            _VIEW.format(
                name=self.items[ask.get("id")].name,
                entries="".join(map(self._entry, self.items[ask.get("id")].inside)),
            )
        )

    def _entry(self, id: str) -> str:
        name = self.items[id].name.replace("&", "&amp;").replace("<", "&lt;")
        return _ENTRY.format(id=id, name=name, href=self._address(self.items[id]))

    def _folder_page(self, ask: Ask) -> Any:
        """The page for people, with the first 50 entries in _DRIVE_ivd: what gdown 5.2 reads."""
        folder = self.items.get(ask.path.rpartition("/")[2])
        if folder is None or folder.mood == "deleted":
            return None
        if folder.mood == "private":
            return redirect("https://accounts.google.com/ServiceLogin")
        rows = [
            [id, [folder.id], self.items[id].name, _mime(self.items[id])]
            for id in folder.inside[:50]
        ]
        said = "".join(
            chr(b) if chr(b).isalnum() and b < 128 else f"\\x{b:02x}"
            for b in json.dumps([rows or None], ensure_ascii=False).encode()
        )
        script = f"<script>window['_DRIVE_ivd'] = '{said}';if (window['x']) {{}}</script>"
        return page(
            f"<!DOCTYPE html><html><head><title>{folder.name} - Google Drive</title>{script}</head></html>"
        )


def google(hosts: Hosts) -> GoogleDrive:
    """A Drive on the fake hosts."""
    return GoogleDrive(hosts)


def _mime(item: Item) -> str:
    names = {
        "folder": "folder",
        "document": "document",
        "spreadsheets": "spreadsheet",
        "presentation": "presentation",
        "drawings": "drawing",
    }
    return (
        f"application/vnd.google-apps.{names[item.kind]}"
        if item.kind in names
        else "application/octet-stream"
    )


def _parameters(ask: Ask) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(ask.query).items()}


_WARNING = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title><meta http-equiv="content-type" content="text/html; charset=utf-8"/></head>
<body><div class="uc-main"><div id="uc-text"><p class="uc-warning-caption">Google Drive can't scan this file for viruses.</p>
<p class="uc-warning-subcaption"><span class="uc-name-size"><a href="/open?id={id}">{name}</a> (2.0G)</span> is too large.</p>
<form id="download-form" action="https://drive.usercontent.google.com/download" method="get"><input type="submit" id="uc-download-link" value="Download anyway"/><input type="hidden" name="id" value="{id}"><input type="hidden" name="export" value="download"><input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="{uuid}"></form></div></div></body></html>"""
_QUOTA = """<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body><div class="uc-main">
<p class="uc-error-caption">Sorry, you can't view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. Please try accessing the file again later.</p>
</div></body></html>"""
_VIEW = """<html><head><title>{name}</title></head><body>
<div class="flip-list-container"><div class="flip-entries">{entries}</div></div></body></html>"""
_ENTRY = """<div class="flip-entry" id="entry-{id}" tabindex="0" role="link"><div class="flip-entry-info"><a href="{href}" target="_blank">\
<div class="flip-entry-visual"><div class="flip-entry-icon"><img src="https://ssl.gstatic.com/x.png" alt="Video"/></div></div>\
<div class="flip-entry-title">{name}</div></a></div><div class="flip-entry-last-modified"><div>1/2/26</div></div></div>
"""


class Forges:
    """Hugging Face, Kaggle, GitHub and Dropbox, as far as links that people paste need them.

    tokens : the Authorizations that are let in
    """

    def __init__(self, hosts: Hosts, page_size: int = 1000) -> None:
        self.hosts, self.page_size, self.tokens = hosts, page_size, {"Bearer good"}  # type: Hosts, int, set[str]
        self._signed: dict[
            str, ServedFile
        ] = {}  # files on the hosts that a signed link leads to, by their paths
        for host in (
            "cas-bridge.xethub.hf.co",
            "storage.googleapis.com",
            "dl.dropboxusercontent.com",
        ):
            hosts.answer(
                host,
                "*",
                lambda ask: (
                    self._signed.get(ask.path)
                    if ask.query
                    else reply_json({"error": "no signature"}, 403)
                ),
            )
        for host in (
            "huggingface.co",
            "www.kaggle.com",
            "raw.githubusercontent.com",
            "github.com",
            "media.githubusercontent.com",
        ):
            hosts.answer(host, "*", None)
        hosts.answer("www.dropbox.com", "*", None)

    def _lets_in(self, ask: Ask) -> bool:
        return ask.headers.get("authorization") in self.tokens

    def hf(
        self,
        repo: str,
        files: dict[str, bytes],
        *,
        private: bool = False,
        gated: bool = False,
        ref: str = "main",
    ) -> None:
        """A repository: "datasets/o/n" or "o/n". Files of more than 100 bytes are in LFS."""
        kind, name = (
            repo.split("/", 1) if repo.startswith(("datasets/", "spaces/")) else ("models", repo)
        )

        def refused(ask: Ask) -> Answer | None:
            if self._lets_in(ask) or not (private or gated and "/resolve/" in ask.path):
                return None
            code, says = (
                ("GatedRepo", f"Access to {name} is restricted.")
                if gated
                else ("RepoNotFound", "Invalid username or password.")
            )
            return reply_json({"error": says}, 401, X_Error_Code=code)

        def tree(ask: Ask) -> Answer:
            if (no := refused(ask)) is not None:
                return no
            under = ask.path.partition(f"/tree/{ref}")[2].strip("/")
            rows: list[Any] = [
                {"type": "directory", "oid": "0" * 40, "size": 0, "path": under or "."}
            ]
            for path, data in files.items():
                lfs = (
                    {
                        "lfs": {
                            "oid": hashlib.sha256(data).hexdigest(),
                            "size": len(data),
                            "pointerSize": 130,
                        }
                    }
                    if len(data) > 100
                    else {}
                )
                rows += (
                    [{"type": "file", "oid": "1" * 40, "size": len(data), "path": path, **lfs}]
                    if f"{path}/".startswith(under)
                    else []
                )
            at = int(ask.get("cursor") or 0)
            more = f"https://huggingface.co{quote(ask.path)}?recursive=true&cursor={at + self.page_size}"
            link = {"Link": f'<{more}>; rel="next"'} if at + self.page_size < len(rows) else {}
            return reply_json(rows[at : at + self.page_size], **link)

        def resolve(ask: Ask) -> Any:
            if (no := refused(ask)) is not None:
                return no
            data = files.get(ask.path.partition(f"/resolve/{ref}/")[2])
            return (
                None
                if data is None
                else self._sign("cas-bridge.xethub.hf.co", data, "X-Amz-Signature")
            )

        self.hosts.answer("huggingface.co", f"/api/{kind}/{name}/tree/{ref}*", tree)
        self.hosts.answer(
            "huggingface.co",
            f"/{'' if kind == 'models' else kind + '/'}{name}/resolve/{ref}/*",
            resolve,
        )
        self._page("huggingface.co", f"/{repo}", f"{name} · Hugging Face")

    def kaggle(self, name: str, data: bytes, *, private: bool = False) -> None:
        """A dataset "owner/name", or a competition "name", which always wants an account that
        accepted its rules.
        """
        contest = "/" not in name
        path = (
            f"/api/v1/competitions/data/download-all/{name}"
            if contest
            else f"/api/v1/datasets/download/{name}"
        )

        def download(ask: Ask) -> Any:
            if not (private or contest) or self._lets_in(ask):
                return self._sign(
                    "storage.googleapis.com", data, "X-Goog-Signature", name="archive.zip"
                )
            known = "authorization" in ask.headers
            says = (
                "You must accept this competition's rules"
                if known and contest
                else "Permission denied"
                if known
                else "Unauthenticated"
            )
            return reply_json(
                {"code": 403 if known else 401, "message": says}, 403 if known else 401
            )

        self.hosts.answer("www.kaggle.com", path, download)
        self._page(
            "www.kaggle.com",
            f"/competitions/{name}*" if contest else f"/datasets/{name}*",
            f"{name} | Kaggle",
        )

    def github(
        self, repo: str, files: dict[str, bytes], *, lfs: tuple[str, ...] = (), ref: str = "main"
    ) -> None:
        """A repository "o/n": pages at github.com, files at raw, those in LFS as pointers there
        and whole at media.
        """
        for path, data in files.items():
            self._page(
                "github.com",
                f"/{repo}/blob/{ref}/{path}",
                f"{repo.rpartition('/')[2]}/{path} at {ref} · {repo} · GitHub",
            )
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(data).hexdigest()}\nsize {len(data)}\n".encode()
            self.hosts.answer(
                "raw.githubusercontent.com",
                f"/{repo}/{ref}/{path}",
                served(pointer if path in lfs else data),
            )
            if path in lfs:
                self.hosts.answer(
                    "media.githubusercontent.com", f"/media/{repo}/{ref}/{path}", served(data)
                )
            to = f"https://raw.githubusercontent.com/{repo}/{ref}/{quote(path)}"
            self.hosts.answer("github.com", f"/{repo}/raw/{ref}/{path}", redirect(to))

    def dropbox(self, path: str, data: bytes) -> None:
        """A shared link such as /scl/fi/abc/cats.zip: a page, and with dl=1 the file."""
        name = path.rpartition("/")[2]
        shown = page(f"<!DOCTYPE html><html><head><title>Dropbox - {name}</title></head></html>")
        given = lambda ask: (
            self._sign("dl.dropboxusercontent.com", data, "dl", name)
            if ask.get("dl") == "1"
            else shown
        )
        self.hosts.answer("www.dropbox.com", path, given)

    def _sign(self, host: str, data: bytes, how: str, name: str | None = None) -> Answer:
        path = f"/{hashlib.sha256(data).hexdigest()}"
        self._signed[path] = served(data, name)
        return redirect(f"https://{host}{path}?{how}=secret")

    def _page(self, host: str, path: str, title: str) -> None:
        self.hosts.answer(
            host, path, page(f"<!DOCTYPE html><html><head><title>{title}</title></head></html>")
        )


def forges(hosts: Hosts, **kw: Any) -> Forges:
    """Hugging Face, Kaggle, GitHub and Dropbox on the fake hosts."""
    return Forges(hosts, **kw)
