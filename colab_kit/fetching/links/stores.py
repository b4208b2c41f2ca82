"""Links of Hugging Face, Kaggle, Zenodo and buckets: what they keep, by the address that gives it."""

from __future__ import annotations

import re
from typing import NoReturn
from urllib.parse import quote

from ..names import clean_name, decoded
from .address import Address, Link, at, identity, normal, page, plain, refuse, suggested

_HF = "https://huggingface.co"
_HF_KINDS = ("models", "datasets", "spaces")
_HF_PAGES = ("docs", "blog", "papers", "collections", "learn", "posts", "chat", "settings", "organizations", "tasks", "join", "login",
             "new", "search", "pricing", "enterprise", "api", "models", "datasets", "spaces")  # fmt: skip
_KAGGLE = "www.kaggle.com/api/v1"
_KAGGLE_PAGES = ("code", "kernels", "notebooks", "models", "learn", "docs", "discussions", "search", "account", "settings",
                 "work", "organizations", "static", "api", "input", "rankings", "general", "me", "product-feedback", "c", "competitions",
                 "datasets", "host")  # fmt: skip
_S3 = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:[.-](?:dualstack\.)?[a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com"
)
_TO_RESOLVE = (
    "a page of Hugging Face was asked for; the file itself is fetched from its /resolve/ address"
)
_COPY = "open the file there and copy the link of its download button"


def huggingface(address: Address) -> Link:
    """huggingface.co and hf.co."""
    parts = address.parts
    kind, rest = (
        (parts[0], parts[1:]) if parts[:1] in (["datasets"], ["spaces"]) else ("models", parts)
    )
    if parts[:1] == ["api"]:
        cut = next((n for n in (4, 3) if parts[n : n + 1] == ["tree"]), None)
        if cut is None or parts[1] not in _HF_KINDS or len(parts) < cut + 2:
            return plain(address, "huggingface")
        return _hf_folder(parts[1], "/".join(parts[2:cut]), *_hf_revision(parts[cut + 1 :]))
    cut = next(
        (
            n
            for n in (2, 1)
            if rest[n : n + 1] and rest[n] in ("blob", "resolve", "raw", "blame", "tree")
        ),
        None,
    )
    if cut is not None and rest[0] not in _HF_PAGES:
        repo, how, (revision, path) = "/".join(rest[:cut]), rest[cut], _hf_revision(rest[cut + 1 :])
        if how == "tree" or not path:
            return _hf_folder(kind, repo, revision or "main", path)
        notes = () if how == "resolve" else (_TO_RESOLVE,)
        return _hf_file(
            kind,
            repo,
            revision,
            path,
            address.user,
            address.asking if how in ("resolve", "raw") else "",
            notes,
        )
    if len(rest) == 2 and rest[0] not in _HF_PAGES or len(rest) == 1 and kind == "datasets":
        return _hf_folder(kind, "/".join(rest), "main", [])
    page(address, "it is for reading in a browser", f"{_COPY}, or give the repository's own link")


def _hf_revision(rest: list[str]) -> tuple[str, list[str]]:
    """Revision and path: refs/pr/1 is one revision, spelled with %2F in an address."""
    if rest[:1] == ["refs"] and rest[1:2] in (["pr"], ["convert"]) and len(rest) > 2:
        return "%2F".join(rest[:3]), rest[3:]
    return "".join(rest[:1]), rest[1:]


def _hf_file(
    kind: str,
    repo: str,
    revision: str,
    path: list[str],
    user: str = "",
    asking: str = "",
    notes: tuple[str, ...] = (),
) -> Link:
    where = f"{'' if kind == 'models' else kind + '/'}{repo}/resolve/{revision}/{'/'.join(path)}"
    url = f"https://{user}huggingface.co/{where}{asking}"
    return Link(
        "http",
        url,
        clean_name(decoded(path[-1])),
        f"{_HF}{normal('/' + where)}",
        "huggingface",
        notes,
    )


def _hf_folder(kind: str, repo: str, revision: str, path: list[str]) -> Link:
    there = "/".join(["api", kind, repo, "tree", revision, *path])
    given = f"{kind}/{decoded(repo)}@{decoded(revision)}:{decoded('/'.join(path))}"
    same = f"hf:{normal(f'{kind}/{repo}@{revision}:' + '/'.join(path))}"
    return Link(
        "hf-folder",
        f"{_HF}/{there}?recursive=true",
        clean_name(decoded((path or [repo])[-1])),
        same,
        "huggingface",
        id=given,
    )


def hf(address: Address) -> Link:
    """hf://[datasets/|spaces/]OWNER/NAME[@REVISION][/PATH]."""
    parts = address.parts
    kind, rest = (parts[0], parts[1:]) if parts and parts[0] in _HF_KINDS else ("models", parts)
    if len(rest) < 2:
        refuse(
            "The hf:// link names no repository.",
            "it must have an owner and a name",
            'write it as "hf://datasets/OWNER/NAME/file.zip"',
        )
    name, _, revision = rest[1].partition("@")
    if not name:
        refuse(
            "The hf:// link names no repository.",
            "nothing stands before its @",
            'write it as "hf://datasets/OWNER/NAME@main/file.zip"',
        )
    revision, path = _hf_revision([revision, *rest[2:]]) if revision else ("main", rest[2:])
    if path and not address.path.endswith("/"):
        return _hf_file(kind, f"{rest[0]}/{name}", revision, path)
    return _hf_folder(kind, f"{rest[0]}/{name}", revision, path)


def kaggle(address: Address) -> Link:
    """kaggle.com, its API, and kaggle://."""
    select, version = (
        address.params.get("select", ""),
        address.params.get("datasetVersionNumber", ""),
    )
    match address.parts:
        case ["api", "v1", "datasets", "download", owner, name, *file]:
            return _kaggle_dataset(address, owner, name, version, decoded("/".join(file)))
        case ["api", "v1", "competitions", "data", "download-all", name]:
            return _kaggle_competition(address, name, "")
        case ["api", "v1", "competitions", "data", "download", name, *file] if file:
            return _kaggle_competition(address, name, decoded("/".join(file)))
        case ["api", *_]:
            return plain(address, "kaggle")
        case ["datasets", owner, name, "versions" | "version", version, *_] if version.isdigit():
            return _kaggle_dataset(address, owner, name, version, select)
        case ["datasets", owner, name] | ["datasets", owner, name, "data"]:
            return _kaggle_dataset(address, owner, name, version, select)
        case ["c" | "competitions", name] | [
            "c" | "competitions",
            name,
            "data" | "overview" | "rules" | "leaderboard",
            *_,
        ]:
            return _kaggle_competition(address, name, select)
        case [owner, name, "versions" | "version", version, *_] if (
            owner not in _KAGGLE_PAGES and version.isdigit()
        ):
            return _kaggle_dataset(address, owner, name, version, select)
        case [owner, name] | [owner, name, "data"] if owner not in _KAGGLE_PAGES:
            return _kaggle_dataset(address, owner, name, version, select)
    page(
        address,
        "it is no dataset and no competition",
        "copy the dataset's own link, as in https://www.kaggle.com/datasets/OWNER/NAME",
    )


def _kaggle_dataset(address: Address, owner: str, name: str, version: str, file: str) -> Link:
    version, file = version if re.fullmatch(r"[0-9]{1,9}", version) else "", _inside(file)
    url = f"https://{address.user}{_KAGGLE}/datasets/download/{_slug(owner)}/{_slug(name)}{_file(file)}"
    same = (
        f"kaggle:datasets/{owner}/{name}"
        + (f"@{version}" if version else "")
        + (f":{file}" if file else "")
    )
    url += f"?datasetVersionNumber={version}" if version else ""
    return Link(
        "http",
        url,
        clean_name(file) or clean_name(f"{name}.zip"),
        _told(same),
        "kaggle",
        _kaggle_notes(address),
    )


def _kaggle_competition(address: Address, name: str, file: str) -> Link:
    file = _inside(file)
    url = f"https://{address.user}{_KAGGLE}/competitions/data/download{'' if file else '-all'}/{_slug(name)}{_file(file)}"
    same = f"kaggle:competitions/{name}" + (f":{file}" if file else "")
    return Link(
        "http",
        url,
        clean_name(file) or clean_name(f"{name}.zip"),
        _told(same),
        "kaggle",
        _kaggle_notes(address),
    )


def _inside(file: str) -> str:
    """A file's path in a dataset, and no way out of it."""
    return "/".join(part for part in file.split("/") if part not in ("", ".", ".."))


def _told(text: str) -> str:
    return normal(text.replace("%", "%25"))


def _file(file: str) -> str:
    return f"/{quote(file, safe='/', errors='surrogateescape')}" if file else ""


def _slug(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        refuse(
            "The Kaggle link names no dataset.",
            "owner and name are made of letters, digits, - and _",
            'write "kaggle://OWNER/NAME"',
        )
    return text


def _kaggle_notes(address: Address) -> tuple[str, ...]:
    shown = address.scheme == "kaggle" or address.parts[:1] == ["api"]
    return (
        () if shown else ("a page of Kaggle was asked for; its data is fetched from Kaggle's API",)
    )


def zenodo(address: Address) -> Link:
    """zenodo.org: a file of a record."""
    match address.parts:
        case ["record" | "records", record, "files" | "preview", *file] if file:
            where = f"/{address.parts[0]}/{record}/files/{'/'.join(file)}"
        case ["api", "records", record, "files", *file, "content"] if file:
            where = address.path
        case ["records", record, "files-archive"] | ["api", "records", record, "files-archive"]:
            return plain(address, name=clean_name(f"{decoded(record)}.zip"))
        case ["api", *_]:
            return plain(address)
        case _:
            page(
                address,
                "it shows a record and lists its files",
                f"copy the link of one file: {_COPY}",
            )
    name = clean_name(decoded(file[-1]))
    same = f"https://{address.host}{normal('/records/' + record + '/files/' + '/'.join(file))}"
    return Link("http", f"{address.base}{where}{address.asking}", name, same)


def doi(address: Address) -> NoReturn:
    """doi.org: never a file."""
    page(address, "a DOI leads to a page that tells of the data", f"open it in a browser; {_COPY}")


def google_bucket(address: Address) -> Link:
    """gs://BUCKET/KEY, storage.googleapis.com, and the console's storage.cloud.google.com."""
    home, notes = "storage.googleapis.com", tuple[str, ...]()
    if address.scheme == "gs":
        _whole_key(address)
        url = f"https://{home}{normal(address.path)}{address.asking}"
        return Link("http", url, suggested(address), identity(at(address, home, address.path)))
    if address.host == "storage.cloud.google.com":
        notes = (
            f"a page of Google's console was asked for; the file itself is fetched from {home}",
        )
        address = at(address, home, address.path)
    bucket = (
        ""
        if address.host in (home, "commondatastorage.googleapis.com")
        else f"/{address.host.removesuffix('.' + home)}"
    )
    return Link(
        "http",
        address.url,
        suggested(address),
        identity(at(address, home, bucket + address.path)),
        "",
        notes,
    )


def s3(address: Address) -> Link | None:
    """s3://BUCKET/KEY, and the addresses of Amazon's S3; None for Amazon's other hosts."""
    if address.scheme == "s3":
        _whole_key(address)
        bucket, _, key = address.path.removeprefix("/").partition("/")
    elif found := _S3.fullmatch(address.host):
        bucket, key = found["bucket"] or "", address.path.removeprefix("/")
        if not bucket:
            bucket, _, key = key.partition("/")
    else:
        return None
    if not re.fullmatch(r"[A-Za-z0-9._-]+", bucket):
        return None
    as_host = re.fullmatch(r"[a-z0-9-]{1,63}", bucket)  # no certificate covers a bucket with dots
    home, where = (
        (f"{bucket}.s3.amazonaws.com", f"/{key}")
        if as_host
        else ("s3.amazonaws.com", f"/{bucket}/{key}")
    )
    there = at(address, home, where)
    url = f"{there.base}{normal(where)}{address.asking}" if address.scheme == "s3" else address.url
    return Link("http", url, suggested(address), identity(there))


def _whole_key(address: Address) -> None:
    if (
        len(address.parts) < 2
        or address.path.endswith("/")
        or not re.fullmatch(r"[A-Za-z0-9._-]+", address.parts[0])
    ):
        scheme = address.scheme
        refuse(
            f"The {scheme}:// link names no file.",
            "it is a bucket or a folder in one",
            f'write it as "{scheme}://BUCKET/path/file.zip"',
        )
