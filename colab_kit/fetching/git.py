"""git, run without questions: it asks nobody, hangs for ever on nothing, and meets a token only where its server asks for one.

A token is in the environment of that one process: not among its arguments, in no address, in no file, and in no error.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
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
)
from ..system.process import Child
from .origins import Origin

SILENCE = 1800.0  # seconds without a word; then git is ended
SECRETS = {  # server: the names its token goes by
    "github.com": ("GITHUB_TOKEN", "GH_TOKEN"), "gist.github.com": ("GITHUB_TOKEN", "GH_TOKEN"),
    "gitlab.com": ("GITLAB_TOKEN",), "huggingface.co": ("HF_TOKEN",),
}  # fmt: skip
_USERS = {
    "gitlab.com": "oauth2",
    "bitbucket.org": "x-token-auth",
}  # the name that goes with a token; elsewhere any will do
_OWN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE",
        "GIT_PREFIX", "GIT_TRACE", "GIT_TRACE_CURL", "GIT_CURL_VERBOSE", "GIT_TRACE_PACKET", "GIT_CONFIG_PARAMETERS")  # fmt: skip
_SETTINGS = {
    "gc.auto": "0", "maintenance.auto": "false", "core.fsmonitor": "false", "core.hooksPath": os.devnull, "advice.detachedHead": "false",
    "core.quotePath": "false", "color.ui": "false", "fetch.recurseSubmodules": "false", "fetch.prune": "false",
    "protocol.ext.allow": "never",
}  # fmt: skip
MOUNTED = {  # on Drive and other mounts: no links, no modes, times that another machine's mount does not keep
    "core.symlinks": "false", "core.fileMode": "false", "core.createObject": "rename", "core.trustctime": "false",
    "core.checkStat": "minimal", "core.preloadIndex": "true",
}  # fmt: skip
# git's own question is answered by a helper of one line, asked for this server alone; a redirect to another one gets nothing
_HELPER = '!f() { test "$1" != get || printf "username=%s\\npassword=%s\\n" "$COLAB_KIT_GIT_USER" "$COLAB_KIT_GIT_TOKEN"; }; f'


class Failed(Exception):
    """git said no; `said` is how, without tokens."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status, self.said = status, said


@dataclass
class Git:
    """git for one repository.

    origin : where it comes from
    settings : of every command
    config : a file with the user's own configuration and ours, for the time of a call
    """

    origin: Origin
    config: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    user: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __call__(self, *words: str, at: Path, found: bool = True) -> str:
        """Run a command and give what it prints.

        at : the folder it works in
        found : whether that is a repository, so that none above it is taken instead

        Raises
        ------
        Failed
            It ended with an error.
        FetchError
            It said nothing for SILENCE seconds, or cannot be run.
        """
        env = self.environment()
        if found:
            env |= {"GIT_DIR": str(at / ".git"), "GIT_WORK_TREE": str(at)}
        with tempfile.TemporaryFile() as out:
            try:
                child = Child(["git", *words], cwd=at, env=env, out=out)
            except FileNotFoundError as err:
                if at.is_dir():
                    raise not_installed(self.origin) from err
                raise
            said, heard = b"", time.monotonic()
            with child:
                while (more := child.hear(0.5)) is not None:
                    if more:
                        said, heard = (said + more)[-(1 << 16) :], time.monotonic()
                    elif time.monotonic() - heard > SILENCE:
                        why = f"{self.origin.host or 'git'} said nothing for {SILENCE:.0f} s"
                        raise Offline(
                            f"{self.origin.title} could not be fetched.", why, "run the cell again"
                        )
            if child.process.returncode:
                raise Failed(child.process.returncode, self.clean(said.decode("utf-8", "replace")))
            out.seek(0)
            return out.read().decode("utf-8", "surrogateescape")

    def environment(self) -> dict[str, str]:
        """What git is told: our settings come last and win."""
        env = {name: value for name, value in os.environ.items() if name not in _OWN}
        settings = [*_SETTINGS.items(), *self.settings.items()]
        if self.token:
            server = f"{self.origin.url.partition('://')[0]}://{self.origin.host}"
            settings += [
                ("credential.helper", ""),
                (f"credential.{server}.helper", ""),
                (f"credential.{server}.helper", _HELPER),
            ]
            env |= {"COLAB_KIT_GIT_USER": self.user, "COLAB_KIT_GIT_TOKEN": self.token}
        first = env.get("GIT_CONFIG_COUNT", "")
        start = int(first) if first.isdecimal() else 0
        for number, (key, value) in enumerate(settings, start):
            env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return env | {
            "GIT_CONFIG_COUNT": str(start + len(settings)),
            "GIT_CONFIG_GLOBAL": str(self.config),
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

    def clean(self, text: str) -> str:
        """What git said, without passwords."""
        text = re.sub(r"//[^/@\s']+@", "//", text)
        if self.token:
            packed = base64.b64encode(f"{self.user}:{self.token}".encode()).decode()
            text = text.replace(self.token, "…").replace(packed, "…")
        return text

    def remote(self, *words: str, at: Path, found: bool = True) -> str:
        """Run a command that asks the server; where it wants a token, look for one and ask again.

        Raises
        ------
        FetchError
            Private, NotFound, Offline …
        """
        try:
            return self(*words, at=at, found=found)
        except Failed as err:
            if not _wants_token(err.said) or self.token or not self.find_token():
                raise translated(self, err) from None  # its text is in the error
        try:
            return self(*words, at=at, found=found)
        except Failed as err:
            raise translated(self, err) from None

    def find_token(self) -> bool:
        """Take the secret that this server's tokens are kept in; whether there is one.

        Raises
        ------
        Private
            There is one, and this notebook may not read it.
        """
        refused: ColabError | None = None
        for name in SECRETS.get(self.origin.host, ()):
            try:
                if value := secret(name):
                    self.use(value)
                    return True
            except ColabError as err:
                refused = err
        if refused is not None:
            raise Private(
                f"{self.origin.title} wants a token.", f"{refused.what} {refused.why}", refused.fix
            ) from refused
        return False

    def use(self, token: str, user: str = "") -> None:
        """Answer this server's question with a token, or a name and a password.

        Raises
        ------
        FetchError
            It would travel unencrypted, or is no token.
        """
        if (
            not isinstance(token, str)
            or not (token := token.strip())
            or not re.fullmatch(r"[\x21-\x7e]+", token)
        ):
            raise LinkError(
                "This cannot be a token.",
                "a token is a word of letters, digits and signs",
                'write token=secret("GITHUB_TOKEN")',
            )
        if self.origin.url.startswith(("http:", "git:")) and not self.origin.local:
            raise LinkError(
                "The token is not sent.",
                f"{self.origin.host} is addressed without encryption",
                "give an https:// address",
            )
        self.token, self.user = token, user or _USERS.get(self.origin.host, "x-access-token")


def own_config(folder: Path, trusted: Sequence[Path]) -> Path:
    """Write a global configuration that includes the user's, and trusts folders whoever they belong to: on Drive another uid may own them.

    git 2.34, Colab's, takes that from a global file alone: neither -c nor the environment will do.
    """
    given = os.environ.get("GIT_CONFIG_GLOBAL")
    home = os.path.expanduser("~")
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    theirs = (
        [given]
        if given is not None
        else [os.path.join(base, "git", "config"), os.path.join(home, ".gitconfig")]
    )
    quoted = [
        '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
        for path in (*theirs, *trusted)
        if path
    ]
    split = len([path for path in theirs if path])
    lines = [f"[include]\n\tpath = {path}" for path in quoted[:split]]
    lines += ["[safe]\n\tdirectory = *", *(f"\tdirectory = {path}" for path in quoted[split:])]
    (file := folder / "config").write_text("\n".join(lines) + "\n")
    return file


def _wants_token(said: str) -> bool:
    return bool(
        re.search(
            r"could not read (Username|Password)|Authentication failed|error: 40[13]\b|Invalid username or",
            said,
        )
    )


_OFFLINE = (
    r"Could not resolve|Failed to connect|Couldn't connect|Connection (refused|timed out|reset)|Network is unreachable"
    r"|Operation too slow"
    r"|early EOF|unexpected disconnect|Operation timed out|hung up|SSL_|gnutls"
)


def translated(git: Git, err: Failed) -> FetchError:
    """What git's complaint about a server means."""
    title, host, said = git.origin.title, git.origin.host, err.said
    lines = [
        line.strip()
        for line in said.splitlines()
        if re.match(r"\s*(fatal|error|remote|ssh)\b", line)
    ] or said.split("\n")[-3:]
    why = " ".join(
        re.sub(r"^(fatal|error|remote): *", "", line)
        for line in lines
        if "Cloning into" not in line
    )[-400:].strip()
    what = f"{title} could not be fetched."
    if re.search(r"No space left|Disk quota exceeded", said):
        return NoSpace(what, why, "free some room, or give to= a folder on another disk")
    if re.search(r"error: (429|50[0234])\b|rate limit", said, re.I):
        return RateLimited(
            what,
            f"{host} is busy, or has been asked too often: {why}",
            "wait a few minutes and run the cell again",
        )
    if _wants_token(said) or "Permission denied (publickey" in said:
        return _private(git, why)
    if re.search(
        r"[Rr]epository .{0,200}not found|error: 404|does not appear to be a git repository|does not exist|not valid: is this a git",
        said,
    ):
        known = (
            "it is not there, or the token may not see it"
            if git.token
            else f"{host or 'this machine'} has no such repository"
        )
        return NotFound(
            f"{title} was not found.", f"{known}: {why}", "check the address: open it in a browser"
        )
    if re.search(_OFFLINE, said):
        return Offline(what, why, "check the connection and run the cell again")
    return FetchError(
        what,
        why or f"git ended with exit status {err.status}",
        "check the address, and run the cell again",
    )


def _private(git: Git, why: str) -> Private:
    title, host = git.origin.title, git.origin.host
    names = SECRETS.get(host, ())
    if git.token:
        fix = "make a new token that may read this repository (its Contents), and put it into the secret, or give token="
        return Private(f"{title} cannot be read with this token.", f"{host} refused it: {why}", fix)
    where = {
        "github.com": "github.com ▸ Settings ▸ Developer settings ▸ Fine-grained tokens, with Contents: read",
        "gitlab.com": "gitlab.com ▸ Preferences ▸ Access tokens, with read_repository",
        "huggingface.co": "huggingface.co ▸ Settings ▸ Access Tokens, with read",
    }.get(host, f"{host or 'the server'}'s settings")
    put = (
        f"put it into the secret {names[0]} (the key symbol at Colab's left edge), or give token="
        if names
        else "give token="
    )
    why = f"{host} asks who you are, and there is no token" + (
        f" in {' or '.join(names)}" if names else ""
    )
    return Private(
        f"{title} is private, or does not exist.",
        why,
        f"check the address; if it is private make a token ({where}) and {put}",
    )


def not_installed(origin: Origin) -> FetchError:
    zipped = (
        f', or without it: fetch("{origin.url.removesuffix(".git")}/archive/HEAD.zip", extract=True)'
        if origin.host == "github.com"
        else ""
    )
    return FetchError(
        "git is not installed.", "clone() runs it", f"!apt-get install -y git{zipped}"
    )


def need(origin: Origin, which: Callable[[str], str | None] = shutil.which) -> None:
    """Raise FetchError where there is no git."""
    if which("git") is None:
        raise not_installed(origin)
