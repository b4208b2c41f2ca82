"""git, run without questions: it asks nobody, never hangs, and gets a token only for its server.

A token is in the environment of that one process: not among its arguments, in no address, in no
file, and in no error.
"""

from __future__ import annotations

import base64
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..colab.bridge import secret
from ..errors import (
    ColabError,
    FetchError,
    LinkError,
    NoSpace,
    NotFound,
    Offline,
    Private,
    RateLimited,
    Stopped,
)
from ..events import Control
from ..system.process import Child
from .hubs import SECRETS
from .links.repositories import Repository

LOOK = 0.2  # seconds between two looks for a stop
SILENCE = 1800.0  # seconds without a word; then git is ended
_SERVICES = {
    "github.com": "github",
    "gist.github.com": "github",
    "gitlab.com": "gitlab",
    "huggingface.co": "huggingface",
}
# the name that goes with a token; elsewhere any will do
_USERS = {"gitlab.com": "oauth2", "bitbucket.org": "x-token-auth"}
_TOKENS = {  # where a token is made
    "github.com": "github.com/settings/personal-access-tokens, with Contents: read",
    "gitlab.com": "gitlab.com ▸ Preferences ▸ Access tokens, with read_repository",
    "huggingface.co": "huggingface.co ▸ Settings ▸ Access Tokens, with read",
}
# variables that would point git to another repository, or print a token
_NOT_PASSED_ON = (
    "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES "
    "GIT_NAMESPACE GIT_PREFIX GIT_TRACE GIT_TRACE_CURL GIT_CURL_VERBOSE GIT_TRACE_PACKET "
    "GIT_CONFIG_PARAMETERS"
).split()


def _settings(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


_SETTINGS = {"core.hooksPath": os.devnull} | _settings(
    "gc.auto=0 maintenance.auto=false core.fsmonitor=false advice.detachedHead=false "
    "core.quotePath=false color.ui=false fetch.recurseSubmodules=false fetch.prune=false "
    "protocol.ext.allow=never"
)
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GCM_INTERACTIVE": "never",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
    "LC_ALL": "C",
    "LANGUAGE": "",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
    "GIT_HTTP_LOW_SPEED_TIME": "60",
}
# on Drive and other mounts: no links, no modes, times that another machine's mount does not keep
MOUNTED = _settings(
    "core.symlinks=false core.fileMode=false core.createObject=rename core.trustctime=false "
    "core.checkStat=minimal core.preloadIndex=true"
)
# this helper of one line answers git's question for a password, for this server alone; a redirect
# to another one gets nothing
_HELPER = (
    '!f() { test "$1" != get || printf "username=%s\\npassword=%s\\n" "$COLAB_KIT_GIT_USER" '
    '"$COLAB_KIT_GIT_TOKEN"; }; f'
)
_WANTS_TOKEN = re.compile(
    r"could not read (Username|Password)|Authentication failed|error: 40[13]\b|Invalid username or"
)
_OFFLINE = re.compile(
    r"Could not resolve|Failed to connect|Couldn't connect|Connection (refused|timed out|reset)"
    r"|Network is unreachable|Operation too slow|early EOF|unexpected disconnect"
    r"|Operation timed out|hung up|SSL_|gnutls"
)
_NO_REPOSITORY = re.compile(
    r"[Rr]epository .{0,200}not found|error: 404|does not appear to be a git repository"
    r"|does not exist|not valid: is this a git"
)


class Failed(Exception):
    """git failed.

    words : what it said, without tokens
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@dataclass
class Git:
    """git for one repository.

    config : a file with the user's own configuration and ours, for the time of a call
    settings : of every command
    """

    repository: Repository
    config: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    user: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    control: Control = field(default_factory=Control)

    def __call__(self, *words: str, at: Path, inside: bool = True) -> str:
        """Run a command and give what it prints.

        Parameters
        ----------
        at : Path
            The folder it works in.
        inside : bool
            Whether that is a repository, so that none above it is taken instead.

        Raises
        ------
        Failed
            It ended with an error.
        FetchError
            It said nothing for SILENCE seconds, cannot be run, or was stopped by its control.
        """
        env = self.environment()
        if inside:
            env |= {"GIT_DIR": str(at / ".git"), "GIT_WORK_TREE": str(at)}
        with tempfile.TemporaryFile() as out:
            try:
                child = Child(["git", *words], cwd=at, env=env, out=out)
            except FileNotFoundError as err:
                if at.is_dir():
                    raise not_installed(self.repository) from err
                raise
            output, heard = b"", time.monotonic()
            with child:
                while (more := child.hear(LOOK)) is not None:
                    if self.control.stopped:
                        what = f"{self.repository.title} was not fetched to its end."
                        raise Stopped(what, self.control.reason, "run the cell again")
                    if more:
                        output, heard = (output + more)[-(1 << 16) :], time.monotonic()
                    elif time.monotonic() - heard > SILENCE:
                        why = f"{self.repository.host or 'git'} said nothing for {SILENCE:.0f} s"
                        what = f"{self.repository.title} could not be fetched."
                        raise Offline(what, why, "run the cell again")
            if status := child.process.returncode:
                raise Failed(status, self.clean(output.decode("utf-8", "replace")))
            out.seek(0)
            return out.read().decode("utf-8", "surrogateescape")

    def environment(self) -> dict[str, str]:
        """Give the variables that git gets: our settings come last and win."""
        env = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        settings = [*_SETTINGS.items(), *self.settings.items()]
        if self.token:
            scheme = self.repository.url.partition("://")[0]
            key = f"credential.{scheme}://{self.repository.host}.helper"
            settings += [("credential.helper", ""), (key, ""), (key, _HELPER)]
            env |= {"COLAB_KIT_GIT_USER": self.user, "COLAB_KIT_GIT_TOKEN": self.token}
        count = env.get("GIT_CONFIG_COUNT", "")
        first = int(count) if count.isdecimal() else 0
        for number, (key, value) in enumerate(settings, first):
            env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        env |= {"GIT_CONFIG_COUNT": str(first + len(settings))}
        return env | {"GIT_CONFIG_GLOBAL": str(self.config)} | _ENVIRONMENT

    def clean(self, text: str) -> str:
        """Take the passwords out of what git said."""
        text = re.sub(r"//[^/@\s']+@", "//", text)
        if self.token:
            packed = base64.b64encode(f"{self.user}:{self.token}".encode()).decode()
            text = text.replace(self.token, "…").replace(packed, "…")
        return text

    def remote(self, *words: str, at: Path, inside: bool = True) -> str:
        """Run a command that asks the server; if it wants a token, find one and ask again.

        Raises
        ------
        FetchError
            Private, NotFound, Offline and others.
        """
        while True:
            had_token = bool(self.token)
            try:
                return self(*words, at=at, inside=inside)
            except Failed as err:
                if had_token or not _WANTS_TOKEN.search(err.words) or not self.find_token():
                    raise translated(self, err) from None  # its text is in the error

    def find_token(self) -> bool:
        """Take the secret that holds a token of this server; tell whether there is one.

        Raises
        ------
        Private
            There is one, and this notebook may not read it.
        """
        refused: ColabError | None = None
        for name in self.secrets:
            try:
                if value := secret(name):
                    self.use(value)
                    return True
            except ColabError as err:
                refused = err
        if refused is not None:
            what = f"{self.repository.title} wants a token."
            raise Private(what, f"{refused.what} {refused.why}", refused.fix) from refused
        return False

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names that the server's token goes by."""
        return SECRETS.get(_SERVICES.get(self.repository.host, ""), ())

    def use(self, token: str, user: str = "") -> None:
        """Answer this server's question with a token, or a name and a password.

        Raises
        ------
        FetchError
            It would travel unencrypted, or is no token.
        """
        token = token.strip()
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            why = "a token is a word of letters, digits and signs"
            raise LinkError("This cannot be a token.", why, 'write token=secret("GITHUB_TOKEN")')
        host = self.repository.host
        if self.repository.url.startswith(("http:", "git:")) and not self.repository.local:
            why = f"{host} is addressed without encryption"
            raise LinkError("The token is not sent.", why, "give an https:// address")
        self.token, self.user = token, user or _USERS.get(host, "x-access-token")


def own_config(folder: Path, trusted: Sequence[Path]) -> Path:
    """Write a global configuration that includes the user's, and trusts folders of any owner.

    On Drive another uid may own them, and git 2.34, Colab's, takes that from a global file alone:
    neither -c nor the environment will do.
    """
    own, home = os.environ.get("GIT_CONFIG_GLOBAL"), os.path.expanduser("~")
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    theirs = [os.path.join(base, "git", "config"), os.path.join(home, ".gitconfig")]
    if own is not None:
        theirs = [own] if own else []

    def quoted(path: str | Path) -> str:
        return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = [f"[include]\n\tpath = {quoted(path)}" for path in theirs]
    lines += ["[safe]\n\tdirectory = *", *(f"\tdirectory = {quoted(path)}" for path in trusted)]
    file = folder / "config"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def translated(git: Git, err: Failed) -> FetchError:
    """Give the error that git's complaint about a server means."""
    title, host, output = git.repository.title, git.repository.host, err.words
    lines = (
        re.findall(r"^\s*((?:fatal|error|remote|ssh)\b.*)", output, re.M) or output.split("\n")[-3:]
    )
    reasons = (re.sub(r"^(fatal|error|remote): *", "", line.strip()) for line in lines)
    why = " ".join(reason for reason in reasons if "Cloning into" not in reason)[-400:].strip()
    what = f"{title} could not be fetched."
    if re.search(r"No space left|Disk quota exceeded", output):
        return NoSpace(what, why, "free some room, or give to= a folder on another disk")
    if re.search(r"error: (429|50[0234])\b|rate limit", output, re.I):
        why = f"{host} is busy, or has been asked too often: {why}"
        return RateLimited(what, why, "wait a few minutes and run the cell again")
    if _WANTS_TOKEN.search(output) or "Permission denied (publickey" in output:
        return _private(git, why)
    if _NO_REPOSITORY.search(output):
        unknown = f"{host or 'this machine'} has no such repository"
        if git.token:
            unknown = "it is not there, or the token may not see it"
        fix = "check the address: open it in a browser"
        return NotFound(f"{title} was not found.", f"{unknown}: {why}", fix)
    if _OFFLINE.search(output):
        return Offline(what, why, "check the connection and run the cell again")
    why = why or f"git ended with exit status {err.status}"
    return FetchError(what, why, "check the address, and run the cell again")


def _private(git: Git, why: str) -> Private:
    title, host, names = git.repository.title, git.repository.host, git.secrets
    if git.token:
        make = "make a new token that may read this repository (its Contents)"
        fix = f"{make}, and put it into the secret, or give token="
        return Private(f"{title} cannot be read with this token.", f"{host} refused it: {why}", fix)
    where = _TOKENS.get(host, f"{host or 'the server'}'s settings")
    kept_in, put = "", "give token="
    if names:
        kept_in = f" in {' or '.join(names)}"
        put = f"put it into the secret {names[0]} (the key symbol at Colab's left edge), or {put}"
    why = f"{host} asks who you are, and there is no token{kept_in}"
    fix = f"check the address; if it is private make a token ({where}) and {put}"
    return Private(f"{title} is private, or does not exist.", why, fix)


def not_installed(repository: Repository) -> FetchError:
    """Give the error where there is no git."""
    fix = "!apt-get install -y git"
    if repository.host == "github.com":
        url = f"{repository.url.removesuffix('.git')}/archive/HEAD.zip"
        fix = f'{fix}, or without it: fetch("{url}", extract=True)'
    return FetchError("git is not installed.", "clone() runs it", fix)
