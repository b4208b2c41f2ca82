"""clone(): a repository's newest files in a folder; called again it brings them up to date, and never touches what you have changed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..colab.mounting import absent
from ..errors import ColabKitError, FetchError, NotFound, RunError, new_words
from ..events import Callback, Event, Note
from ..system.console import with_console
from ..system.files import home, make
from ..system.locks import alone
from .fetched import Fetched
from .git import MOUNTED, Failed, Git, need, own_config, translated
from .links.address import check_text
from .origins import Origin, origin
from .partial import unwritable
from .place import is_on_drive

OURS = "refs/colab-kit/fetched"  # the commit that the last call brought: what goes beyond it is the user's
NAMED = 5  # files that a note names
LOCKS = ("index.lock", "HEAD.lock", "shallow.lock", "config.lock", "packed-refs.lock")


@dataclass(frozen=True)
class Repo(Fetched):
    """A cloned repository, usable wherever a path is.

    commit : 40 hex digits
    changed : whether its files are other ones than before this call; True for a first clone
    """

    commit: str = ""
    changed: bool = False

    def _origin(self) -> str:
        return f"{self.url} at commit {self.commit}"


@new_words
def clone(
    url: str | os.PathLike[str],
    to: str | os.PathLike[str] | None = None,
    *,
    ref: str | None = None,
    force: bool = False,
    token: str | None = None,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
) -> Repo:
    """Clone a repository, its newest commit alone; or bring a clone of it up to date.

    Files that you have changed, and commits of your own, are never touched without force=True: a note names them, and the clone stays
    as it is. Files that git does not know stay in any case.

    Parameters
    ----------
    url : an address, "owner/repository" on GitHub, a link to a branch, tag or commit of it, or a folder
    to : path, optional
        The clone's folder; None: the repository's name in the working folder.
    ref : str, optional
        Branch, tag or commit; None: what the link says, else the default branch.
    token : str, optional
        For a private repository; sent to its server alone, kept in no file. None: where that is asked for, what `kit.secret` knows as
        GITHUB_TOKEN, GH_TOKEN, GITLAB_TOKEN or HF_TOKEN.
    callbacks : list of callables, optional
        They are given each event, as the console is.
    quiet : bool
        Whether the console says nothing.

    Raises
    ------
    FetchError
        Private, NotFound, Offline …; or another folder of that name is there: it is kept.

    Examples
    --------
    >>> course = clone("https://github.com/ann/course")  # doctest: +SKIP
    >>> course.run("train.py", "--epochs", 3)  # doctest: +SKIP
    """
    emit = with_console(callbacks, quiet=quiet)
    for name, value in (("to", to), ("ref", ref), ("token", token)):
        check_text(name, value)
    found = origin(url)
    need(found)
    folder = Path(os.path.expanduser(found.name if to is None else to))
    if (gone := absent(folder.absolute())) is not None:
        raise FetchError(
            f"Nothing can be cloned to {folder}: its Drive is not there.",
            gone[0],
            f"kit.mount() first, or give {gone[1]}",
        )
    key = hashlib.sha256(str(folder.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    said = f"Another process clones {found.title}; waiting for it."
    try:
        make(folder.absolute().parent)
        with (
            tempfile.TemporaryDirectory() as box,
            alone(home() / "locks", key, emit, None, said=said, stopped=FetchError),
        ):
            git = Git(
                found,
                own_config(Path(box), [folder.absolute()]),
                MOUNTED if is_on_drive(folder) else {},
            )
            if token is not None:
                git.use(token)
            elif found.password or (found.user and found.user != "git"):
                git.use(found.password or found.user, found.user if found.password else "")
            return _Cloning(git, folder.absolute(), folder, emit, force).run(
                [ref] if ref else list(found.refs), chosen=ref is not None
            )
    except Failed as err:
        raise translated(git, err) from None
    except OSError as err:
        if isinstance(err, ColabKitError) and not isinstance(err, RunError):
            raise
        raise unwritable(folder, err) from err


@dataclass(frozen=True)
class _Target:
    """What is to be checked out: a commit, and the branch it is on."""

    commit: str
    asks: str  # what the server is asked for
    branch: str = ""


@dataclass(frozen=True)
class _Cloning:
    """One call of clone()."""

    git: Git
    at: Path
    shown: Path  # as it was given, for sentences
    emit: Callable[[Event], None]
    force: bool

    @property
    def origin(self) -> Origin:
        return self.git.origin

    def run(self, refs: Sequence[str], *, chosen: bool) -> Repo:
        there = self.at.is_dir() and any(self.at.iterdir())
        if os.path.lexists(self.at) and not there and not self.at.is_dir():
            raise FetchError(
                f"{self.shown} is a file.",
                "the clone cannot get its name",
                "give to= another folder",
            )
        if there:
            self._is_ours()
            self._unlock()
        target = self._target(refs)
        repo = self._update(target) if there else self._first(target)
        if self.origin.inside and not chosen:
            self.emit(
                Note(
                    f"The link shows {self.origin.inside}; the whole repository is in {self.shown}."
                )
            )
        return repo

    def _target(self, refs: Sequence[str]) -> _Target:
        """Ask the server what is meant: of a link with slashes the first that it knows."""
        wanted = [f"refs/{kind}/{ref}" for ref in refs for kind in ("heads", "tags")] + [
            f"refs/{ref}" for ref in refs if "/" in ref
        ]
        said = self.git.remote(
            "ls-remote",
            "--symref",
            self.origin.url,
            "HEAD",
            *wanted,
            at=self._nearest(),
            found=False,
        )
        rows = [line.split("\t", 1) for line in said.splitlines() if "\t" in line]
        known = {name: commit for commit, name in rows if not commit.startswith("ref:")}
        for ref in refs:
            if commit := known.get(f"refs/heads/{ref}"):
                return _Target(commit, f"refs/heads/{ref}", ref)
            for name in (f"refs/tags/{ref}", f"refs/{ref}"):
                if commit := known.get(f"{name}^{{}}") or known.get(name):
                    return _Target(commit, name)
        commit = next((ref for ref in refs if re.fullmatch(r"[0-9a-f]{7,40}", ref)), "")
        if commit:
            return _Target(commit, commit)
        if refs:
            why = "it has no branch, tag or commit of that name"
            raise NotFound(
                f"{self.origin.title} has no {refs[-1]}.",
                why,
                "leave ref= out for its default branch, or look at its branches",
            )
        if "HEAD" not in known:
            raise FetchError(
                f"{self.origin.title} is empty.",
                "it has no commit yet",
                "push something to it first",
            )
        head = next(
            (
                name.removeprefix("ref: refs/heads/")
                for name, what in rows
                if what == "HEAD" and name.startswith("ref:")
            ),
            "",
        )
        return _Target(known["HEAD"], f"refs/heads/{head}" if head else "HEAD", head)

    def _nearest(self) -> Path:
        return self.at if self.at.is_dir() else self.at.parent

    def _first(self, target: _Target) -> Repo:
        """Clone beside, then rename: a kill leaves no half clone."""
        ours = re.compile(re.escape(f".{self.at.name}.") + r"[0-9a-f]{8}\.part")
        for stray in [path for path in self.at.parent.iterdir() if ours.fullmatch(path.name)]:
            shutil.rmtree(stray, ignore_errors=True)
        part = self.at.with_name(f".{self.at.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            self.git("init", "-q", str(part), at=self.at.parent, found=False)
            for key, value in {"remote.origin.url": self.origin.url, **self.git.settings}.items():
                self.git("config", key, value, at=part)
            if target.branch:
                self.git(
                    "config",
                    "remote.origin.fetch",
                    f"+refs/heads/{target.branch}:refs/remotes/origin/{target.branch}",
                    at=part,
                )
            commit = self._move(part, target)
            if self.at.is_dir():
                self.at.rmdir()
            os.replace(part, self.at)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        self.emit(
            Note(
                f"Cloned {self.origin.title} at {commit[:7]}{f' ({target.branch})' if target.branch else ''} → {self.shown}"
            )
        )
        self._submodules()
        self._pointers()
        return self._repo(commit, True)

    def _move(self, at: Path, target: _Target) -> str:
        """Fetch the commit and check it out; the commit."""
        into = (
            [f"+{target.asks}:refs/remotes/origin/{target.branch}"]
            if target.branch
            else [target.asks]
        )
        full = (
            at == self.at and not (at / ".git" / "shallow").exists()
        )  # cloned by git itself: its history stays
        self.git.remote(
            "fetch",
            "-q",
            *([] if full else ["--depth", "1"]),
            "--no-tags",
            "--update-shallow",
            "origin",
            *into,
            at=at,
        )
        if target.branch:
            self.git(
                "checkout",
                "-q",
                "--no-overwrite-ignore",
                "--no-track",
                "-B",
                target.branch,
                f"refs/remotes/origin/{target.branch}",
                at=at,
            )
        else:
            self.git("checkout", "-q", "--no-overwrite-ignore", "--detach", "FETCH_HEAD", at=at)
        commit = self.git("rev-parse", "HEAD", at=at).strip()
        self.git("update-ref", OURS, commit, at=at)
        return commit

    def _is_ours(self) -> None:
        """Raise FetchError where another folder is in the way."""
        theirs = ""
        if (self.at / ".git").exists():
            with suppress(Failed, ColabKitError):
                theirs = origin(self.git("config", "remote.origin.url", at=self.at).strip()).key
        if theirs != self.origin.key:
            why = f"it is a clone of {theirs}" if theirs else "it is no clone of it"
            fix = "give to= another folder, or move that one away"
            raise FetchError(
                f"{self.shown} is there already, and is kept: it is not {self.origin.title}'s.",
                why,
                fix,
            )

    def _unlock(self) -> None:
        """Remove locks that a killed git has left, if no git runs on this machine."""
        left = [lock for lock in LOCKS if (self.at / ".git" / lock).exists()]
        if not left:
            return
        import psutil

        if any(
            (process.info["name"] or "").startswith("git")
            for process in psutil.process_iter(["name"])
        ):
            why = f".git/{left[0]} is there, and a git is running"
            raise FetchError(
                f"{self.shown} is being worked on.",
                why,
                "wait until it is done, and run the cell again",
            )
        for lock in left:
            (self.at / ".git" / lock).unlink(missing_ok=True)
        self.emit(
            Note(f"A git that was killed had left {', '.join(left)} in {self.shown}; removed.")
        )

    def _update(self, target: _Target) -> Repo:
        try:
            before = self.git("rev-parse", "--verify", "-q", "HEAD", at=self.at).strip()
        except Failed:
            before = ""
        mine = self._mine(before, target.branch)
        if mine and not self.force:
            named = ", ".join(mine[:NAMED]) + (
                f" and {len(mine) - NAMED} more" if len(mine) > NAMED else ""
            )
            what = f"{self.shown} has changes of yours ({named})"
            newer = (
                ""
                if before.startswith(target.commit)
                else f"; {self.origin.title} has a newer commit, {target.commit[:7]}"
            )
            self.emit(
                Note(
                    f"{what} and is left as it is{newer}. force=True throws the changes away.",
                    "warn",
                )
            )
            return self._repo(before, False)
        if before and before.startswith(target.commit) and not mine:
            self.emit(Note(f"{self.origin.title} is up to date at {before[:7]} → {self.shown}"))
            return self._repo(before, False)
        if mine:
            self.git("reset", "-q", "--hard", at=self.at)
        try:
            after = self._move(self.at, target)
        except Failed as err:
            if "would be overwritten" not in err.said:
                raise
            files = [line.strip() for line in err.said.splitlines() if line.startswith("\t")]
            what, fix = (
                f"{self.shown} was not brought up to date.",
                "move them away, and run the cell again",
            )
            raise FetchError(
                what,
                f"files of yours are where its new ones would be: {', '.join(files[:NAMED])}",
                fix,
            ) from None
        with suppress(Failed):
            files = (
                self.git("diff", "--name-only", before, after, at=self.at).splitlines()
                if before
                else []
            )
            self.emit(
                Note(
                    f"{self.origin.title} went from {before[:7]} to {after[:7]}: {len(files)} files changed → {self.shown}"
                )
            )
        self._submodules()
        self._pointers()
        return self._repo(after, after != before or bool(mine))

    def _mine(self, head: str, branch: str) -> list[str]:
        """What the user has made of it: changed files, and commits."""
        said = self.git(
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--ignore-submodules=untracked",
            "-z",
            at=self.at,
        )
        changed = [entry[3:] for entry in said.split("\0") if len(entry) > 3 and entry[2] == " "]
        ours = self._named(OURS)
        tips = {
            head: f"commit {head[:7]}",
            self._named(f"refs/heads/{branch}") if branch else "": f"commit on {branch}",
        }
        return changed + [
            what for tip, what in tips.items() if tip and tip != ours and not self._theirs(tip)
        ]

    def _named(self, name: str) -> str:
        """The commit of a name, "" if there is none."""
        try:
            return self.git("rev-parse", "--verify", "-q", name, at=self.at).strip()
        except Failed:
            return ""

    def _theirs(self, commit: str) -> bool:
        """Whether a commit came from the server."""
        return bool(self.git("branch", "-r", "--contains", commit, at=self.at).strip())

    def _submodules(self) -> None:
        if (self.at / ".gitmodules").is_file():
            try:
                self.git(
                    "submodule",
                    "update",
                    "-q",
                    "--init",
                    "--depth",
                    "1",
                    "--recursive",
                    at=self.at,
                    found=False,
                )
            except (Failed, FetchError) as err:
                why = err.said.strip().splitlines()[-1:] if isinstance(err, Failed) else [err.what]
                self.emit(
                    Note(
                        f"The submodules of {self.origin.title} did not come: {' '.join(why)}",
                        "warn",
                    )
                )

    def _pointers(self) -> None:
        """Say which files are only Git LFS's notes of where they are."""
        try:
            self.git(
                "grep",
                "-q",
                "--cached",
                "filter=lfs",
                "--",
                ".gitattributes",
                "**/.gitattributes",
                at=self.at,
            )
            said = self.git(
                "grep", "-l", "-z", "-e", "^version https://git-lfs.github.com/spec/v1", at=self.at
            )
        except Failed:  # there are none
            return
        files = [name for name in said.split("\0") if name]
        if files:
            named = ", ".join(files[:NAMED]) + (" …" if len(files) > NAMED else "")
            how = "kit.fetch(link of its page) gets one of them; `git lfs pull`, where git-lfs is installed, all"
            self.emit(
                Note(
                    f"{len(files)} files of {self.origin.title} are kept by Git LFS and did not come: {named}. {how}.",
                    "warn",
                )
            )

    def _repo(self, commit: str, changed: bool) -> Repo:
        return Repo(self.shown, self.origin.url, None, 0, not changed, None, commit, changed)
