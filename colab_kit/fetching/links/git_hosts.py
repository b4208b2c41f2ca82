"""Links of GitHub, gists, GitLab, Bitbucket and Colab: the file that a page shows.

A folder is for clone(): the error gives the call.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NoReturn

from .address import Address, Link, at, decoded, decoded_name, normal, page, plain, refuse
from .sharing import drive_file

RAW = "raw.githubusercontent.com"
GISTS = "gist.githubusercontent.com"
_READING = "it is for reading in a browser"
_OPEN = "open the file there and copy its link"
_PRESS_RAW = "press Raw on the file, and copy that address"
_TO_RAW = f"the link shows a page of GitHub; {RAW} gives the file itself"
_GIST_ID = re.compile(r"[0-9a-f]{20,40}|[0-9]{1,9}")
_REVISION = re.compile(r"[0-9a-f]{40}")
_NOT_OWNERS = (
    "orgs topics settings marketplace features sponsors login search collections trending users"
).split()
_ENDINGS = (
    "py|ipynb|txt|csv|tsv|json|jsonl|md|yaml|yml|toml|sh|r|js|ts|cpp|c|h|java|html|css|xml|zip|gz"
    "|png|jpg|cfg|ini|sql|tex|lua|m"
)


def github(address: Address) -> Link:
    """Read github.com, and githubtocolab.com with the same paths."""
    if address.host == "githubtocolab.com":
        address = at(address, "github.com", address.path)
    parts = address.parts
    match parts:
        case ["user-attachments", _, _, *_] | [_, _, "files", _, _]:
            return plain(address, "github")
        case [owner, _, *_] if owner in _NOT_OWNERS:
            pass
        case [_, _, "blob" | "raw" | "blame" as view, *_]:
            return _in_github(address, parts, () if view == "raw" else (_TO_RAW,))
        case [_, _, "releases", "download", _, _, *_] | [_, _, "releases", "latest", "download", _]:
            return plain(address, "github")
        case [_, _, "releases" | "tags" | "packages", *_]:
            fix = "copy the link of one asset: open the release, right-click it, and copy its link"
            page(address, "this page lists files", fix)
        case [owner, repo, "archive" | "zipball" | "tarball", _, *_]:
            return _archive(address, owner, repo, "/".join(parts[3:]))
        case [owner, repo]:
            folder(address, f"https://github.com/{owner}/{repo}")
        case [owner, repo, "tree", *where]:
            folder(address, f"https://github.com/{owner}/{repo}", _reference(where))
    page(address, _READING, f"{_OPEN}, or clone the repository with kit.clone(...)")


def folder(address: Address, repository: str, ref: str = "") -> NoReturn:
    """Refuse what is a folder, with the call that gets it."""
    in_ref = ref and f', ref="{decoded(ref)}"'
    fix = f'use kit.clone("{decoded(repository).removesuffix(".git")}"{in_ref})'
    refuse(f"{address.host}{address.path} is no single file.", "this is a folder", fix)


def _reference(where: list[str]) -> str:
    """Give the branch or tag that a path begins with, as far as one can know it."""
    named = where[:2] in (["refs", "heads"], ["refs", "tags"]) and len(where) > 2
    return where[2] if named else "".join(where[:1])


def _in_github(address: Address, parts: list[str], notes: tuple[str, ...] = ()) -> Link:
    """Give a file; `parts` are owner, repository, a word, a branch, tag or commit, and the path."""
    owner, repo, _, *where = parts
    if len(where) < (4 if where[:1] == ["refs"] else 2):
        folder(address, f"https://github.com/{owner}/{repo}", _reference(where))
    path = "/".join([owner, repo, *where])
    token = next((f"?{pair}" for pair in address.query.split("&") if pair.startswith("token=")), "")
    short = where[2:] if where[:2] == ["refs", "heads"] else where
    url = f"https://{address.user}{RAW}/{path}{token}"
    same = f"https://{RAW}{normal('/' + '/'.join([owner, repo, *short]))}"
    lfs = f"https://{address.user}media.githubusercontent.com/media/{path}"
    return Link("http", url, decoded_name(where[-1]), same, "github", notes, lfs=lfs)


def raw(address: Address) -> Link:
    """Read raw.githubusercontent.com and media.githubusercontent.com, as they are."""
    of_media = address.host.startswith("media.")
    parts = address.parts[1:] if of_media else address.parts
    if len(parts) < (6 if parts[2:3] == ["refs"] else 4) or parts[0] == "wiki":
        return plain(address, "github")
    link = _in_github(address, [*parts[:2], "raw", *parts[2:]])
    return replace(link, url=address.url, lfs="" if of_media else link.lfs)


def codeload(address: Address) -> Link:
    """Read codeload.github.com/O/R/zip/REF, and GitHub's API, as they are."""
    match address.parts:
        case [owner, repo, "zip" | "tar.gz" as ending, _, *_] if address.host != "api.github.com":
            return _archive(address, owner, repo, f"{'/'.join(address.parts[3:])}.{ending}")
    return plain(address, "github")


def _archive(address: Address, owner: str, repo: str, ref: str) -> Link:
    match = re.fullmatch(r"(refs/heads/|refs/tags/)?(.+?)(\.zip|\.tar\.gz)", ref)
    if not match:
        return plain(address, "github", name="")
    kind, name, ending = match.groups()
    tag = kind if kind == "refs/tags/" else ""
    same = f"https://github.com{normal(f'/{owner}/{repo}/archive/{tag}{name}{ending}')}"
    short = re.sub(r"^v(?=[0-9])", "", name).replace("/", "-")
    return Link("http", address.url, decoded_name(f"{repo}-{short}{ending}"), same, "github")


def gist(address: Address) -> Link:
    """Read a gist's page, or a file of it as it is."""
    parts = [*address.parts]
    are_ids = [bool(_GIST_ID.fullmatch(_bare(part))) for part in parts[:2]]
    # the name of a user may be all digits
    alone = are_ids[:1] == [True] and (are_ids[1:] != [True] or len(parts[0]) >= 20)
    if not alone and are_ids[1:] != [True]:
        fix = f"open one gist, {_PRESS_RAW}"
        page(address, "it shows several gists or none", fix)
    user = "" if alone else parts.pop(0)
    id, *rest = parts
    id = _bare(id)
    if rest[:1] == ["archive"]:
        return plain(address, "github", name="")
    of_raw = rest[:1] == ["raw"]
    revision, file = _gist_place(rest[1:] if of_raw else rest, address)
    notes: tuple[str, ...] = ()
    url = address.url
    if address.host != GISTS:
        if not of_raw:
            notes = (f"the link shows a page of a gist; {GISTS} gives the file itself",)
        if not file and (file := _guessed(address)):
            why = "is guessed from the link's end"
            notes += (f"the file name {file} {why}: if there is none, {_PRESS_RAW}",)
        home = f"{GISTS}/{user}" if user else "gist.github.com"
        words = [f"https://{address.user}{home}/{id}/raw", revision, file]
        url = "/".join(filter(None, words))
    at_revision = revision and f"@{revision}"
    in_gist = file and f"/{normal(file)}"
    same = f"gist:{id}{at_revision}{in_gist}"
    return Link("http", url, decoded_name(file), same, "github", notes)


def _bare(id: str) -> str:
    return re.sub(r"\.(js|git|json)$", "", id)


def _gist_place(rest: list[str], address: Address) -> tuple[str, str]:
    """Give revision and file name, each "" where the link does not say it."""
    revision = rest[0] if rest and _REVISION.fullmatch(rest[0]) else ""
    rest = rest[1:] if revision else rest
    if len(rest) > 1 or rest[:1] in (["revisions"], ["forks"], ["stargazers"], ["edit"]):
        page(address, "it is a page about a gist, not its file", f"open the gist, {_PRESS_RAW}")
    file = normal(address.params.get("file", "").replace("/", ""))
    return revision, rest[0] if rest else file


def _guessed(address: Address) -> str:
    """Read #file-train-py as train.py; GitHub writes names in lower case, dots as dashes."""
    if not address.fragment.startswith("file-"):
        return ""
    match = re.fullmatch(rf"file-([\w-]+)-({_ENDINGS})(-L\d+.*)?", address.fragment)
    if not match:
        page(address, "the link does not say which file of the gist it means", _PRESS_RAW)
    return normal(f"{match[1]}.{match[2]}")


def colab(address: Address) -> Link:
    """Read a notebook that Colab shows: from GitHub, a gist or Drive."""
    match address.parts:
        case ["github", *rest]:
            return github(at(address, "github.com", "/" + "/".join(rest)))
        case ["drive", id, *_]:
            return drive_file(id, address.params.get("resourcekey", ""))
        case ["gist", *rest]:
            return gist(replace(at(address, "gist.github.com", "/" + "/".join(rest)), fragment=""))
    fix = "open the notebook in Colab and copy the address then, or use File, Download"
    page(address, "it is Colab itself", fix)


def gitlab(address: Address) -> Link | None:
    """Read gitlab.com, and any host with /-/ in the address; None where nothing is known of it."""
    parts, own = address.parts, address.host == "gitlab.com"
    service = "gitlab" if own else ""
    if "-" not in parts and own and len(parts) > 4 and parts[2] in ("blob", "raw", "tree"):
        parts = [*parts[:2], "-", *parts[2:]]
    if "-" not in parts:
        if not own or "uploads" in parts or parts[:1] == ["api"]:
            return plain(address, service) if own else None
        if len(parts) > 1:
            folder(address, f"https://gitlab.com/{'/'.join(parts)}")
        page(address, "it shows projects", _OPEN)
    end = parts.index("-")
    project, rest = "/".join(parts[:end]), parts[end + 1 :]
    match rest:
        case ["blob" | "raw" | "blame" as view, _, _, *_]:
            note = "the link shows a page of GitLab; its /-/raw/ address gives the file itself"
            notes = () if view == "raw" else (note,)
            there = replace(address, path=f"/{project}/-/raw/{'/'.join(rest[1:])}")
            drop = ("ref_type", "inline", "plain")
            return plain(there, service, notes=notes, name=decoded_name(rest[-1]), drop=drop)
        case ["tree" | "blob", *where]:
            home = f"{address.scheme}://{address.host}{address.port}/{project}"
            folder(address, home, _reference(where))
        case ["archive" | "jobs" | "package_files" | "uploads", *_]:
            return plain(address, service)
    if own and "downloads" not in rest:
        page(address, _READING, f"{_OPEN}, or clone the project with kit.clone(...)")
    return plain(address, service)


def bitbucket(address: Address) -> Link:
    """Read bitbucket.org."""
    match address.parts:
        case [owner, repo, "src", _, _, *_] if not address.path.endswith("/"):
            there = replace(address, path=f"/{owner}/{repo}/raw/{'/'.join(address.parts[3:])}")
            notes = ("the link shows a page of Bitbucket; its /raw/ address gives the file itself",)
            return plain(there, "bitbucket", notes=notes, drop=("at",))
        case [_, _, "raw", _, _, *_]:
            return plain(address, "bitbucket", drop=("at",))
        case [_, _, "downloads" | "get", _, *_]:
            return plain(address, "bitbucket")
        case [owner, repo] | [owner, repo, "src", *_]:
            home = f"https://bitbucket.org/{owner}/{repo.removesuffix('.git')}"
            folder(address, home, "".join(address.parts[3:4]))
    page(address, _READING, _OPEN)
