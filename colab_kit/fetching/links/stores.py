"""Links of Hugging Face, Kaggle, Zenodo and buckets: the address that gives the file they mean."""

from __future__ import annotations

import re
from typing import NoReturn
from urllib.parse import quote

from .address import (
    Address,
    Link,
    at,
    clean_name,
    decoded,
    decoded_name,
    identity,
    normal,
    page,
    plain,
    refuse,
    suggested,
)

_HF = "https://huggingface.co"
_HF_KINDS = ("models", "datasets", "spaces")
_HF_PAGES = (  # words that stand where an owner could
    "docs blog papers collections learn posts chat settings organizations tasks join login new "
    "search pricing enterprise api models datasets spaces"
).split()
_KAGGLE = "www.kaggle.com/api/v1"
_KAGGLE_PAGES = (
    "code kernels notebooks models learn docs discussions search account settings work "
    "organizations static api input rankings general me product-feedback c competitions "
    "datasets host"
).split()
_STORAGE = "storage.googleapis.com"
_S3 = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:[.-](?:dualstack\.)?[a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com"
)
_BUCKET = re.compile(r"[A-Za-z0-9._-]+")
_COPY = "open the file there and copy the link of its download button"


def huggingface(address: Address) -> Link:
    """Read huggingface.co and hf.co."""
    parts = address.parts
    if parts[:1] == ["api"]:
        end = next((n for n in (4, 3) if parts[n : n + 1] == ["tree"]), None)
        if end is None or parts[1] not in _HF_KINDS or len(parts) < end + 2:
            return plain(address, "huggingface")
        return _hf_folder(parts[1], "/".join(parts[2:end]), *_hf_revision(parts[end + 1 :]))
    kind = parts[0] if parts[:1] in (["datasets"], ["spaces"]) else "models"
    rest = parts if kind == "models" else parts[1:]
    of_owner = bool(rest) and rest[0] not in _HF_PAGES
    ways = ("blob", "resolve", "raw", "blame", "tree")
    end = next((n for n in (2, 1) if rest[n : n + 1] and rest[n] in ways), None)
    if end is not None and of_owner:
        repo, way, (revision, path) = "/".join(rest[:end]), rest[end], _hf_revision(rest[end + 1 :])
        if way == "tree" or not path:
            return _hf_folder(kind, repo, revision or "main", path)
        asking = address.asking if way in ("resolve", "raw") else ""
        note = "the link shows a page of Hugging Face; its /resolve/ address gives the file"
        notes = () if way == "resolve" else (note,)
        return _hf_file(kind, repo, revision, path, address.user, asking, notes)
    if len(rest) == 2 and of_owner or len(rest) == 1 and kind == "datasets":
        return _hf_folder(kind, "/".join(rest), "main", [])
    page(address, "it is for reading in a browser", f"{_COPY}, or give the repository's own link")


def _hf_revision(rest: list[str]) -> tuple[str, list[str]]:
    """Give revision and path: refs/pr/1 is one revision, spelled with %2F in an address."""
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
    where = f"/{'' if kind == 'models' else kind + '/'}{repo}/resolve/{revision}/{'/'.join(path)}"
    url, same = f"https://{user}huggingface.co{where}{asking}", f"{_HF}{normal(where)}"
    return Link("http", url, decoded_name(path[-1]), same, "huggingface", notes)


def _hf_folder(kind: str, repo: str, revision: str, path: list[str]) -> Link:
    url = f"{_HF}/{'/'.join(['api', kind, repo, 'tree', revision, *path])}?recursive=true"
    inside = "/".join(path)
    id = f"{kind}/{decoded(repo)}@{decoded(revision)}:{decoded(inside)}"
    same = f"hf:{normal(f'{kind}/{repo}@{revision}:{inside}')}"
    return Link("hf-folder", url, decoded_name((path or [repo])[-1]), same, "huggingface", id=id)


def hf(address: Address) -> Link:
    """Read hf://[datasets/|spaces/]OWNER/NAME[@REVISION][/PATH]."""
    parts = address.parts
    kind, rest = (parts[0], parts[1:]) if parts and parts[0] in _HF_KINDS else ("models", parts)
    name, _, revision = "".join(rest[1:2]).partition("@")
    if not name:
        why = "it must have an owner and a name"
        fix = 'write it as "hf://datasets/OWNER/NAME/file.zip", with @REVISION after NAME if needed'
        refuse("The hf:// link names no repository.", why, fix)
    revision, path = _hf_revision([revision, *rest[2:]]) if revision else ("main", rest[2:])
    repo = f"{rest[0]}/{name}"
    if path and not address.path.endswith("/"):
        return _hf_file(kind, repo, revision, path)
    return _hf_folder(kind, repo, revision, path)


def kaggle(address: Address) -> Link:
    """Read kaggle.com, its API, and kaggle://."""
    params = address.params
    select, version = params.get("select", ""), params.get("datasetVersionNumber", "")
    match address.parts:
        case ["api", "v1", "datasets", "download", owner, name, *file]:
            return _kaggle_dataset(address, owner, name, version, decoded("/".join(file)))
        case ["api", "v1", "competitions", "data", "download-all", name]:
            return _kaggle_competition(address, name, "")
        case ["api", "v1", "competitions", "data", "download", name, *file] if file:
            return _kaggle_competition(address, name, decoded("/".join(file)))
        case ["api", *_]:
            return plain(address, "kaggle")
        case ["c" | "competitions", name]:
            return _kaggle_competition(address, name, select)
        case ["c" | "competitions", name, "data" | "overview" | "rules" | "leaderboard", *_]:
            return _kaggle_competition(address, name, select)
    parts = address.parts[1:] if address.parts[:1] == ["datasets"] else address.parts
    if len(parts) > 1 and (parts != address.parts or parts[0] not in _KAGGLE_PAGES):
        match parts[2:]:
            case ["versions" | "version", number, *_] if number.isdigit():
                return _kaggle_dataset(address, parts[0], parts[1], number, select)
            case [] | ["data"]:
                return _kaggle_dataset(address, parts[0], parts[1], version, select)
    fix = "copy the dataset's own link, as in https://www.kaggle.com/datasets/OWNER/NAME"
    page(address, "it is no dataset and no competition", fix)


def _kaggle_dataset(address: Address, owner: str, name: str, version: str, file: str) -> Link:
    version = version if re.fullmatch(r"[0-9]{1,9}", version) else ""
    same = f"kaggle:datasets/{owner}/{name}{version and f'@{version}'}"
    where = f"datasets/download/{_slug(owner)}/{_slug(name)}"
    asking = version and f"?datasetVersionNumber={version}"
    return _kaggle_link(address, where, asking, same, name, file)


def _kaggle_competition(address: Address, name: str, file: str) -> Link:
    where = f"competitions/data/download{'' if _inside(file) else '-all'}/{_slug(name)}"
    return _kaggle_link(address, where, "", f"kaggle:competitions/{name}", name, file)


def _kaggle_link(
    address: Address, where: str, asking: str, same: str, name: str, file: str
) -> Link:
    file = _inside(file)
    inside = file and f"/{quote(file, safe='/', errors='surrogateescape')}"
    url = f"https://{address.user}{_KAGGLE}/{where}{inside}{asking}"
    same = normal(f"{same}{file and f':{file}'}".replace("%", "%25"))
    note = "the link shows a page of Kaggle; its data is fetched from Kaggle's API"
    direct = address.scheme == "kaggle" or address.parts[:1] == ["api"]
    title = clean_name(file) or clean_name(f"{name}.zip")
    return Link("http", url, title, same, "kaggle", () if direct else (note,))


def _inside(file: str) -> str:
    """Give a file's path in a dataset; it cannot lead out of it."""
    return "/".join(part for part in file.split("/") if part not in ("", ".", ".."))


def _slug(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        why = "owner and name are made of letters, digits, - and _"
        refuse("The Kaggle link names no dataset.", why, 'write "kaggle://OWNER/NAME"')
    return text


def zenodo(address: Address) -> Link:
    """Read zenodo.org: a file of a record."""
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
            page(address, "it shows a record and its files", f"copy the link of one file: {_COPY}")
    same = f"https://{address.host}{normal('/records/' + record + '/files/' + '/'.join(file))}"
    url = f"{address.base}{where}{address.asking}"
    return Link("http", url, decoded_name(file[-1]), same)


def doi(address: Address) -> NoReturn:
    """Refuse doi.org: it is never a file."""
    page(address, "a DOI leads to a page about the data", f"open it in a browser; {_COPY}")


def google_bucket(address: Address) -> Link:
    """Read gs://BUCKET/KEY, storage.googleapis.com, and the console's storage.cloud.google.com."""
    notes: tuple[str, ...] = ()
    bucket, url = "", address.url
    if address.scheme == "gs":
        _check_key(address)
        url = f"https://{_STORAGE}{normal(address.path)}{address.asking}"
    elif address.host == "storage.cloud.google.com":
        notes = (f"the link shows Google's console; {_STORAGE} gives the file itself",)
        url = at(address, _STORAGE, address.path).url
    elif address.host not in (_STORAGE, "commondatastorage.googleapis.com"):
        bucket = f"/{address.host.removesuffix('.' + _STORAGE)}"
    same = identity(at(address, _STORAGE, bucket + address.path))
    return Link("http", url, suggested(address), same, "", notes)


def s3(address: Address) -> Link | None:
    """Read s3://BUCKET/KEY, and the addresses of Amazon's S3; None for Amazon's other hosts."""
    host = _S3.fullmatch(address.host)
    bucket, path = host["bucket"] if host else None, address.path.removeprefix("/")
    if address.scheme == "s3":
        _check_key(address)
    elif host is None:
        return None
    if bucket is None:
        bucket, _, path = path.partition("/")
    if not _BUCKET.fullmatch(bucket):
        return None
    as_host = re.fullmatch(r"[a-z0-9-]{1,63}", bucket)  # no certificate covers a bucket with dots
    home, where = "s3.amazonaws.com", f"/{bucket}/{path}"
    if as_host:
        home, where = f"{bucket}.{home}", f"/{path}"
    there = at(address, home, where)
    url = f"{there.base}{normal(where)}{address.asking}" if address.scheme == "s3" else address.url
    return Link("http", url, suggested(address), identity(there))


def _check_key(address: Address) -> None:
    parts = address.parts
    if len(parts) < 2 or address.path.endswith("/") or not _BUCKET.fullmatch(parts[0]):
        scheme = address.scheme
        fix = f'write it as "{scheme}://BUCKET/path/file.zip"'
        what = f"The {scheme}:// link names no file."
        refuse(what, "it is a bucket, or a folder in one", fix)
