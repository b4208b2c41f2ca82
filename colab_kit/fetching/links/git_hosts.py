"""Links of GitHub, gists, GitLab, Bitbucket and Colab: a page that shows a file becomes the file; a folder is for clone()."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NoReturn

from ..names import clean_name, decoded
from .address import Address, Link, at, normal, page, plain, refuse
from .sharing import drive_file

RAW = "raw.githubusercontent.com"
GISTS = "gist.githubusercontent.com"
_ASSET = "open the release, right-click the one asset, and copy its link"
_TO_RAW = f"a GitHub page was asked for; the file itself is fetched from {RAW}"
_GIST_ID = re.compile(r"[0-9a-f]{20,40}|[0-9]{1,9}")
_REVISION = re.compile(r"[0-9a-f]{40}")
_NOT_OWNERS = (
    "orgs",
    "topics",
    "settings",
    "marketplace",
    "features",
    "sponsors",
    "login",
    "search",
    "collections",
    "trending",
    "users",
)
_ENDINGS = "py|ipynb|txt|csv|tsv|json|jsonl|md|yaml|yml|toml|sh|r|js|ts|cpp|c|h|java|html|css|xml|zip|gz|png|jpg|cfg|ini|sql|tex|lua|m"


def github(address: Address) -> Link:
    """github.com."""
    match address.parts:
        case ["user-attachments", _, _, *_] | [_, _, "files", _, _]:
            return plain(address, "github")
        case [owner, _, *_] if owner in _NOT_OWNERS:
            pass
        case [owner, repo, "blob" | "raw" | "blame" as how, *where]:
            return _in_github(address, owner, repo, where, () if how == "raw" else (_TO_RAW,))
        case [_, _, "releases", "download", _, _, *_] | [_, _, "releases", "latest", "download", _]:
            return plain(address, "github")
        case [_, _, "releases" | "tags" | "packages", *_]:
            page(address, "this page lists files", f"copy the link of one asset: {_ASSET}")
        case [owner, repo, "archive", _, *_] | [owner, repo, "zipball" | "tarball", _, *_]:
            return _archive(address, owner, repo, "/".join(address.parts[3:]))
        case [owner, repo]:
            folder(address, f"https://github.com/{owner}/{repo.removesuffix('.git')}")
        case [owner, repo, "tree", *where]:
            folder(address, f"https://github.com/{owner}/{repo}", _reference(where))
    page(
        address,
        "it is for reading in a browser",
        "open the file there and copy its link, or clone the repository with kit.clone(...)",
    )


def folder(address: Address, repository: str, ref: str = "") -> NoReturn:
    """Refuse what is a folder, with the call that gets it."""
    call = f'kit.clone("{decoded(repository)}"' + (f', ref="{decoded(ref)}")' if ref else ")")
    refuse(f"{address.host}{address.path} is no single file.", "this is a folder", f"use {call}")


def _reference(where: list[str]) -> str:
    """The branch or tag that a path begins with, as far as it can be known."""
    return (
        where[2]
        if where[:2] in (["refs", "heads"], ["refs", "tags"]) and len(where) > 2
        else "".join(where[:1])
    )


def _in_github(
    address: Address, owner: str, repo: str, where: list[str], notes: tuple[str, ...] = ()
) -> Link:
    """A file at `where`: branch, tag or commit, then its path."""
    if len(where) < (4 if where[:1] == ["refs"] else 2):
        folder(address, f"https://github.com/{owner}/{repo}", _reference(where))
    path = "/".join([owner, repo, *where])
    token = next((f"?{pair}" for pair in address.query.split("&") if pair.startswith("token=")), "")
    short = [owner, repo, *(where[2:] if where[:2] == ["refs", "heads"] else where)]
    return Link(
        "http",
        f"https://{address.user}{RAW}/{path}{token}",
        clean_name(decoded(where[-1])),
        f"https://{RAW}{normal('/' + '/'.join(short))}",
        "github",
        notes,
        lfs=f"https://{address.user}media.githubusercontent.com/media/{path}",
    )


def raw(address: Address) -> Link:
    """raw.githubusercontent.com and media.githubusercontent.com, as they are."""
    parts = address.parts[1:] if address.host.startswith("media.") else address.parts
    if len(parts) < (6 if parts[2:3] == ["refs"] else 4) or parts[0] == "wiki":
        return plain(address, "github")
    link = _in_github(address, parts[0], parts[1], parts[2:])
    lfs = "" if address.host.startswith("media.") else link.lfs
    return Link("http", address.url, link.name, link.identity, "github", lfs=lfs)


def codeload(address: Address) -> Link:
    """codeload.github.com/O/R/zip/REF, as it is."""
    match address.parts:
        case [owner, repo, "zip" | "tar.gz" as ending, _, *_]:
            return _archive(address, owner, repo, f"{'/'.join(address.parts[3:])}.{ending}")
    return plain(address, "github", name="")


def _archive(address: Address, owner: str, repo: str, ref: str) -> Link:
    found = re.fullmatch(r"(refs/heads/|refs/tags/)?(.+?)(\.zip|\.tar\.gz)", ref)
    if not found:
        return plain(address, "github", name="")
    kept = found[2] if found[1] != "refs/tags/" else found[1] + found[2]
    name = f"{repo}-{re.sub(r'^v(?=[0-9])', '', found[2]).replace('/', '-')}{found[3]}"
    same = f"https://github.com{normal(f'/{owner}/{repo}/archive/{kept}{found[3]}')}"
    return Link("http", address.url, clean_name(decoded(name)), same, "github")


def gist(address: Address) -> Link:
    """A gist's page, or a file of it as it is."""
    parts = address.parts
    given = [bool(_GIST_ID.fullmatch(_bare(part))) for part in parts[:2]]
    alone = given[:1] == [True] and (
        given[1:] != [True] or len(parts[0]) >= 20
    )  # a user's name may be all digits
    user, rest = ("", parts) if alone else ("".join(parts[:1]), parts[1:])
    if not alone and given[1:] != [True]:
        page(
            address,
            "it shows several gists or none",
            "open one gist, press Raw on the file, and copy that address",
        )
    gist_id, rest = _bare(rest[0]), rest[1:]
    if rest[:1] == ["archive"]:
        return plain(address, "github", name="")
    revision, file = _gist_place(rest[1:] if rest[:1] == ["raw"] else rest, address)
    if address.host == GISTS:
        return Link(
            "http",
            address.url,
            clean_name(decoded(file)),
            _gist_same(gist_id, revision, file),
            "github",
        )
    notes: tuple[str, ...] = (
        ()
        if rest[:1] == ["raw"]
        else (f"a gist's page was asked for; the file itself is fetched from {GISTS}",)
    )
    if not file and (guess := _guessed(address)):
        notes += (
            f"the file name {guess} is a guess from the link's end: if there is none, press Raw and copy that address",
        )
        file = guess
    home = f"{GISTS}/{user}" if user else "gist.github.com"
    url = "/".join([f"https://{address.user}{home}/{gist_id}/raw", *filter(None, (revision, file))])
    return Link(
        "http", url, clean_name(decoded(file)), _gist_same(gist_id, revision, file), "github", notes
    )


def _bare(given: str) -> str:
    return re.sub(r"\.(js|git|json)$", "", given)


def _gist_place(rest: list[str], address: Address) -> tuple[str, str]:
    """Revision and file name, "" for what is not said."""
    revision = rest[0] if rest and _REVISION.fullmatch(rest[0]) else ""
    rest = rest[1:] if revision else rest
    if len(rest) > 1 or rest[:1] in (["revisions"], ["forks"], ["stargazers"], ["edit"]):
        page(
            address,
            "it tells of a gist, and is not its file",
            "open the gist, press Raw on the file, and copy that address",
        )
    return revision, rest[0] if rest else normal(address.params.get("file", "").replace("/", ""))


def _guessed(address: Address) -> str:
    """#file-train-py: train.py, most likely; GitHub writes each name in lower case and each dot as a dash there."""
    if not address.fragment.startswith("file-"):
        return ""
    if not (found := re.fullmatch(rf"file-([\w-]+)-({_ENDINGS})(-L\d+.*)?", address.fragment)):
        page(
            address,
            "which file of the gist is meant cannot be known from the link",
            "press Raw on the file, and copy that address",
        )
    return normal(f"{found[1]}.{found[2]}")


def _gist_same(given: str, revision: str, file: str) -> str:
    return (
        f"gist:{given}"
        + (f"@{revision}" if revision else "")
        + (f"/{normal(file)}" if file else "")
    )


def colab(address: Address) -> Link:
    """A notebook that Colab shows: from GitHub, a gist or Drive."""
    match address.parts:
        case ["github", *rest]:
            return github(at(address, "github.com", "/" + "/".join(rest)))
        case ["drive", given, *_]:
            return drive_file(given, address.params.get("resourcekey", ""))
        case ["gist", *rest]:
            return gist(replace(at(address, "gist.github.com", "/" + "/".join(rest)), fragment=""))
    page(
        address,
        "it is Colab itself",
        "open the notebook in Colab and copy the address then, or use File, Download",
    )


def gitlab(address: Address) -> Link | None:
    """gitlab.com, and any other host whose address has a /-/blob/ in it; None where nothing is known of it."""
    parts, own = address.parts, address.host == "gitlab.com"
    service = "gitlab" if own else ""
    if "-" not in parts and own and len(parts) > 4 and parts[2] in ("blob", "raw", "tree"):
        parts = [*parts[:2], "-", *parts[2:]]
    if "-" not in parts:
        if not own or "uploads" in parts or parts[:1] == ["api"]:
            return plain(address, service) if own else None
        if len(parts) > 1:
            folder(address, f"https://gitlab.com/{'/'.join(parts).removesuffix('.git')}")
        page(address, "it shows projects", "open the file there and copy its link")
    at = parts.index("-")
    project, rest = "/".join(parts[:at]), parts[at + 1 :]
    match rest:
        case ["blob" | "raw" | "blame" as how, _, _, *_]:
            notes = (
                ()
                if how == "raw"
                else (
                    "a GitLab page was asked for; the file itself is fetched from its /-/raw/ address",
                )
            )
            there = replace(address, path=f"/{project}/-/raw/{'/'.join(rest[1:])}")
            return plain(
                there,
                service,
                notes=notes,
                name=clean_name(decoded(rest[-1])),
                drop=("ref_type", "inline", "plain"),
            )
        case ["tree" | "blob", *where]:
            folder(
                address,
                f"{address.scheme}://{address.host}{address.port}/{project}",
                _reference(where),
            )
    if (
        own
        and rest[:1] not in (["archive"], ["jobs"], ["package_files"], ["uploads"])
        and "downloads" not in rest
    ):
        page(
            address,
            "it is for reading in a browser",
            "open the file there and copy its link, or clone the project with kit.clone(...)",
        )
    return plain(address, service)


def bitbucket(address: Address) -> Link:
    """bitbucket.org."""
    match address.parts:
        case [owner, repo, "src", _, _, *_] if not address.path.endswith("/"):
            there = replace(address, path=f"/{owner}/{repo}/raw/{'/'.join(address.parts[3:])}")
            notes = (
                "a Bitbucket page was asked for; the file itself is fetched from its /raw/ address",
            )
            return plain(there, "bitbucket", notes=notes, drop=("at",))
        case [_, _, "raw", _, _, *_]:
            return plain(address, "bitbucket", drop=("at",))
        case [_, _, "downloads" | "get", _, *_]:
            return plain(address, "bitbucket")
        case [owner, repo] | [owner, repo, "src", *_]:
            folder(
                address,
                f"https://bitbucket.org/{owner}/{repo.removesuffix('.git')}",
                "".join(address.parts[3:4]),
            )
    page(address, "it is for reading in a browser", "open the file there and copy its link")
