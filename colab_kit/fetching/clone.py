"""clone(): a repository's newest files in a folder; called again it brings them up to date.

It never touches what the user has changed.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import ColabKitError, FetchError, NotFound, new_words
from ..events import Callback, Control, Note
from ..system.console import with_console
from ..system.copies import whole_folder
from ..system.files import in_working_folder, make
from .fetched import Fetched
from .git import MOUNTED, Failed, Git, not_installed, own_config, translated
from .links.address import check_text
from .links.repositories import Repository, parse_repository
from .partial import writing
from .place import check_drive, is_on_drive
from .remote import one_at_a_time

OURS = "refs/colab-kit/fetched"  # the commit of the last call: what goes beyond it is the user's
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

    @property
    def _origin(self) -> str:
        return f"{self.url} at commit {self.commit}"


@in_working_folder
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
    control: Control | None = None,
) -> Repo:
    """Clone a repository, its newest commit alone; or bring a clone of it up to date.

    Files that you have changed, and commits of your own, are never touched without force=True: a
    note names them, and the clone stays as it is. Files that git does not know stay in any case.

    Parameters
    ----------
    url : str or path
        An address, "owner/repository" on GitHub, a link to a branch, tag or commit of it, or a
        folder.
    to : path, optional
        The clone's folder; None: the repository's name in the working folder.
    ref : str, optional
        Branch, tag or commit; None: what the link says, else the default branch.
    force : bool
        Throw your changes away.
    token : str, optional
        For a private repository; sent to its server alone, kept in no file. None: where the server
        asks for one, what `kit.secret` knows as GITHUB_TOKEN, GH_TOKEN, GITLAB_TOKEN or HF_TOKEN.
    callbacks : list of callables, optional
        They are given each event, as the console is.
    quiet : bool
        Whether the console says nothing.
    control : Control, optional
        Stops it from another thread.

    Raises
    ------
    FetchError
        Private, NotFound, Offline and others; or another folder of that name is there: it is kept.

    Examples
    --------
    >>> course = clone("https://github.com/ann/course")  # doctest: +SKIP
    >>> course.run("train.py", "--epochs", 3)  # doctest: +SKIP
    """
    emit, control = with_console(callbacks, quiet=quiet), control or Control()
    for name, value in (("to", to), ("ref", ref), ("token", token)):
        check_text(name, value)
    repository = parse_repository(url)
    if shutil.which("git") is None:
        raise not_installed(repository)
    folder = Path(os.path.expanduser(repository.name if to is None else to))
    at = folder.absolute()
    check_drive(folder, "cloned")
    try:
        with (
            writing(folder),
            tempfile.TemporaryDirectory() as box,
            one_at_a_time(folder, emit, control, doing=f"clones {repository.title}"),
        ):
            make(at.parent)
            settings = MOUNTED if is_on_drive(folder) else {}
            git = Git(repository, own_config(Path(box), [at]), settings, control=control)
            user, password = repository.user, repository.password
            if token is not None:
                git.use(os.fspath(token))
            elif password or (user and user != "git"):
                git.use(password or user, user if password else "")
            refs = [ref] if ref else list(repository.refs)
            return _Cloning(git, at, folder, emit, force).run(refs, chosen=ref is not None)
    except Failed as err:
        raise translated(git, err) from None


@dataclass(frozen=True)
class _Target:
    """What is to be checked out.

    wish : what the server is asked for
    branch : that the commit is on, "" for none
    """

    commit: str
    wish: str
    branch: str = ""


def _first_of(names: Sequence[str]) -> str:
    """Give the first names, for a note."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


@dataclass(frozen=True)
class _Cloning:
    """One call of clone().

    at : the clone's folder
    shown : the same, as the user spells it
    """

    git: Git
    at: Path
    shown: Path
    emit: Callback
    force: bool

    @property
    def repository(self) -> Repository:
        return self.git.repository

    def _run(self, *words: str) -> str:
        """Run git in the clone."""
        return self.git(*words, at=self.at)

    def _note(self, text: str, level: Literal["info", "warn"] = "info") -> None:
        self.emit(Note(text, level))

    def run(self, refs: Sequence[str], *, chosen: bool) -> Repo:
        is_there = self.at.is_dir() and any(self.at.iterdir())
        if os.path.lexists(self.at) and not self.at.is_dir():
            why = "the clone cannot get its name"
            raise FetchError(f"{self.shown} is a file.", why, "give to= another folder")
        if is_there:
            self._check_ours()
            self._unlock()
        target = self._target(refs)
        repo = self._update(target) if is_there else self._first(target)
        if self.repository.inside and not chosen:
            whole = f"the whole repository is in {self.shown}"
            self._note(f"The link shows {self.repository.inside}; {whole}.")
        return repo

    def _target(self, refs: Sequence[str]) -> _Target:
        """Ask the server what is meant: of a link with slashes the first that it knows."""
        title = self.repository.title
        wanted = [f"refs/{kind}/{ref}" for ref in refs for kind in ("heads", "tags")]
        wanted += [f"refs/{ref}" for ref in refs if "/" in ref]
        ask = ("ls-remote", "--symref", self.repository.url, "HEAD", *wanted)
        nearest = self.at if self.at.is_dir() else self.at.parent
        answer = self.git.remote(*ask, at=nearest, inside=False)
        rows = [line.split("\t", 1) for line in answer.splitlines() if "\t" in line]
        commits = {name: commit for commit, name in rows if not commit.startswith("ref:")}
        for ref in refs:
            if commit := commits.get(f"refs/heads/{ref}"):
                return _Target(commit, f"refs/heads/{ref}", ref)
            for name in (f"refs/tags/{ref}", f"refs/{ref}"):
                if commit := commits.get(f"{name}^{{}}") or commits.get(name):
                    return _Target(commit, name)
        for ref in refs:
            if re.fullmatch(r"[0-9a-f]{7,40}", ref):
                return _Target(ref, ref)
        if refs:
            why = "it has no branch, tag or commit of that name"
            fix = "leave ref= out for its default branch, or look at its branches"
            raise NotFound(f"{title} has no {refs[-1]}.", why, fix)
        if "HEAD" not in commits:
            fix = "push something to it first"
            raise FetchError(f"{title} is empty.", "it has no commit yet", fix)
        heads = (value for value, name in rows if name == "HEAD" and value.startswith("ref:"))
        head = next(heads, "").removeprefix("ref: refs/heads/")
        return _Target(commits["HEAD"], f"refs/heads/{head}" if head else "HEAD", head)

    def _first(self, target: _Target) -> Repo:
        """Clone beside, then rename: a kill leaves no half clone."""
        config = {"remote.origin.url": self.repository.url, **self.git.settings}
        branch = target.branch
        if branch:
            spec = f"+refs/heads/{branch}:refs/remotes/origin/{branch}"
            config["remote.origin.fetch"] = spec
        with whole_folder(self.at) as part:
            self.git("init", "-q", str(part), at=self.at.parent, inside=False)
            for key, value in config.items():
                self.git("config", key, value, at=part)
            commit = self._move(part, target)
        on_branch = f" ({branch})" if branch else ""
        self._note(f"Cloned {self.repository.title} at {commit[:7]}{on_branch} → {self.shown}")
        return self._checked_out(commit, True)

    def _move(self, at: Path, target: _Target) -> str:
        """Fetch the commit, check it out, and give it."""
        branch, ours = target.branch, f"refs/remotes/origin/{target.branch}"
        # a clone that git itself made keeps its history
        full = at == self.at and not (at / ".git" / "shallow").exists()
        fetch = [
            "fetch",
            "-q",
            "--no-tags",
            "--update-shallow",
            *([] if full else ["--depth", "1"]),
        ]
        self.git.remote(
            *fetch, "origin", f"+{target.wish}:{ours}" if branch else target.wish, at=at
        )
        checkout = ["--no-track", "-B", branch, ours] if branch else ["--detach", "FETCH_HEAD"]
        self.git("checkout", "-q", "--no-overwrite-ignore", *checkout, at=at)
        commit = self.git("rev-parse", "HEAD", at=at).strip()
        self.git("update-ref", OURS, commit, at=at)
        return commit

    def _check_ours(self) -> None:
        """Raise FetchError where another folder is in the way."""
        key = ""
        if (self.at / ".git").exists():
            with suppress(Failed, ColabKitError):
                key = parse_repository(self._run("config", "remote.origin.url").strip()).key
        if key != self.repository.key:
            what = (
                f"{self.shown} is there already, and is kept: it is not {self.repository.title}'s."
            )
            why = f"it is a clone of {key}" if key else "it is no clone of it"
            raise FetchError(what, why, "give to= another folder, or move that one away")

    def _unlock(self) -> None:
        """Remove locks that a killed git has left, if no git runs on this machine."""
        left = [lock for lock in LOCKS if (self.at / ".git" / lock).exists()]
        if not left:
            return
        import psutil

        names = [process.info["name"] or "" for process in psutil.process_iter(["name"])]
        if any(name.startswith("git") for name in names):
            what, why = f"{self.shown} is in use.", f".git/{left[0]} is there, and a git is running"
            raise FetchError(what, why, "wait until it is done, and run the cell again")
        for lock in left:
            (self.at / ".git" / lock).unlink(missing_ok=True)
        self._note(f"A killed git had left {', '.join(left)} in {self.shown}; removed.")

    def _update(self, target: _Target) -> Repo:
        title, new = self.repository.title, target.commit
        before = self._commit_of("HEAD")
        mine, is_newest = self._changes(before, target.branch), before.startswith(new)
        if mine and not self.force:
            what = f"{self.shown} has changes of yours ({_first_of(mine)}) and is left as it is"
            newer = "" if is_newest else f"; {title} has a newer commit, {new[:7]}"
            self._note(f"{what}{newer}. force=True throws the changes away.", "warn")
            return self._repo(before, False)
        if is_newest and not mine:
            self._note(f"{title} is up to date at {before[:7]} → {self.shown}")
            return self._repo(before, False)
        if mine:
            self._run("reset", "-q", "--hard")
        try:
            after = self._move(self.at, target)
        except Failed as err:
            if "would be overwritten" not in err.words:
                raise
            files = [line.strip() for line in err.words.splitlines() if line.startswith("\t")]
            why = f"files of yours are where its new ones would be: {', '.join(files[:NAMED])}"
            what, fix = f"{self.shown} was not updated.", "move them away, and run the cell again"
            raise FetchError(what, why, fix) from None
        with suppress(Failed):
            count = len(self._run("diff", "--name-only", before, after).splitlines())
            commits = f"from {before[:7]} to {after[:7]}"
            self._note(f"{title} went {commits}: {count} files changed → {self.shown}")
        return self._checked_out(after, after != before or bool(mine))

    def _changes(self, head: str, branch: str) -> list[str]:
        """Tell what the user has made of it: changed files, and commits."""
        options = ("--porcelain", "--untracked-files=no", "--ignore-submodules=untracked", "-z")
        status = self._run("status", *options).split("\0")
        changed = [entry[3:] for entry in status if len(entry) > 3 and entry[2] == " "]
        tips = {head: f"commit {head[:7]}"}
        if branch:
            tips[self._commit_of(f"refs/heads/{branch}")] = f"commit on {branch}"
        known = ("", self._commit_of(OURS))
        for tip, what in tips.items():
            # a commit that a branch of the server contains is the server's
            if tip not in known and not self._run("branch", "-r", "--contains", tip).strip():
                changed.append(what)
        return changed

    def _commit_of(self, name: str) -> str:
        """Give the commit of a name, "" if there is none."""
        try:
            return self._run("rev-parse", "--verify", "-q", name).strip()
        except Failed:
            return ""

    def _checked_out(self, commit: str, changed: bool) -> Repo:
        """Bring what hangs on the new commit, and say what did not come."""
        self._submodules()
        self._name_pointers()
        return self._repo(commit, changed)

    def _submodules(self) -> None:
        if (self.at / ".gitmodules").is_file():
            update = ("submodule", "update", "-q", "--init", "--depth", "1", "--recursive")
            try:
                self.git(*update, at=self.at, inside=False)
            except (Failed, FetchError) as err:
                words = err.words.strip() if isinstance(err, Failed) else err.what
                why = words.rpartition("\n")[2]
                self._note(f"The submodules of {self.repository.title} did not come: {why}", "warn")

    def _name_pointers(self) -> None:
        """Say which files are only Git LFS's notes of where they are."""
        attributes = ("--", ".gitattributes", "**/.gitattributes")
        first_line = "^version https://git-lfs.github.com/spec/v1"
        try:
            self._run("grep", "-q", "--cached", "filter=lfs", *attributes)
            output = self._run("grep", "-l", "-z", "-e", first_line)
        except Failed:  # there are none
            return
        if files := [name for name in output.split("\0") if name]:
            what = f"{len(files)} files of {self.repository.title} are kept by Git LFS"
            one = "kit.fetch(link of its page) gets one of them"
            how = f"{one}; `git lfs pull` gets all, where git-lfs is installed"
            self._note(f"{what} and did not come: {_first_of(files)}. {how}.", "warn")

    def _repo(self, commit: str, changed: bool) -> Repo:
        url = self.repository.url
        return Repo(self.shown, url, None, 0, not changed, None, commit, changed)
