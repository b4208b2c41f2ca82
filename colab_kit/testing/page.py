"""The notebook's page, and who sits before it: what google.colab asks them is answered as planned, or by nobody."""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ColabError

Upload = (
    tuple[str, bytes] | str | os.PathLike[str]
)  # a file that somebody chose: its name and bytes, or a path
Chosen = Upload | list[Upload] | None  # at one upload; None: it was cancelled
PLANNED = 'fake_colab.uploads = [("a.csv", b"1,2")]'
_PLAN = f"plan it before: in a test {PLANNED}; after %load_ext, the same with colab_kit.testing.fake_colab.installed() in fake_colab's place"
Answers = Mapping[str, Any] | Callable[[str], Any]
Reply = dict[str, Any] | None  # {"data": …} or {"error": text}; None: nobody answered in time


class Page:
    """Answers to google.colab's questions; mock.py's StandIn tells what they mean.

    shows : False: there is no page, as in VS Code and `colab run`
    wait : sleeps, when nobody answers
    """

    def __init__(
        self,
        *,
        secrets: Mapping[str, str | None] | None,
        uploads: Iterable[Chosen],
        answers: Answers | None,
        downloads: Path,
        shows: bool,
        wait: Callable[[float], None],
    ) -> None:
        self.secrets, self.uploads = secrets, uploads
        self.answers = answers if answers is not None else {}
        self.downloads, self.page, self.wait = downloads, shows, wait
        self._pending: deque[Path] = deque()

    @property
    def uploads(self) -> deque[Chosen]:
        """What is chosen at each files.upload() to come; a list or a tuple may be assigned."""
        return self._uploads

    @uploads.setter
    def uploads(self, planned: Iterable[Chosen]) -> None:
        several = not isinstance(planned, (str, bytes, os.PathLike)) and isinstance(
            planned, Iterable
        )
        found: deque[Any] = deque(planned if several else [planned])
        if wrong := [one for one in found if not _can_be_chosen(one)]:
            raise ColabError(
                f"{wrong[0]!r} cannot be chosen in an upload.",
                "an upload is (name, bytes), a path, a list of these, or None for a cancelled one",
                f"list them, one for each upload: {PLANNED}",
            )
        self._uploads = found

    @property
    def secrets(self) -> dict[str, str | None] | None:
        """What userdata.get() finds; None: the environment."""
        return self._secrets

    @secrets.setter
    def secrets(self, known: Mapping[str, str | None] | None) -> None:
        if known is not None and not isinstance(known, Mapping):
            raise ColabError(
                "These cannot be the secrets.",
                "secrets are values by name",
                'write secrets = {"HF_TOKEN": "hf_…"}',
            )
        self._secrets = None if known is None else dict(known)  # a mark's is shared by tests

    def ask(self, request_type: str, request: Any, timeout_sec: float | None) -> Reply:
        planned = self.answers if isinstance(self.answers, Mapping) else {}
        match request_type, request:
            case "cell_javascript_eval", {"script": script}:
                return self._evaluate(script, timeout_sec)
            case "unassign", _:  # asked of the machine's manager: the HTTP status
                return {"data": planned.get("unassign", 200)}
            case _ if not self.page:
                return self._silence(request_type, timeout_sec)
            case "request_auth", {"authType": kind}:
                return {"data": planned.get(kind, True)}
            case "GetSecret", {"key": key}:
                return {"data": self._secret(key)}
        return {"data": planned.get(request_type)}

    def picked(self) -> list[tuple[str, bytes]]:
        if not self.page:
            self._silence("files.upload()", None)
        if not self.uploads:
            raise ColabError(
                "files.upload() would wait for ever.",
                "nobody chooses a file here, and none was planned",
                _PLAN,
            )
        chosen = self.uploads.popleft()
        files = chosen if isinstance(chosen, list) else [] if chosen is None else [chosen]
        return [
            file if isinstance(file, tuple) else (Path(file).name, Path(file).read_bytes())
            for file in files
        ]

    def hand_over(self, path: str) -> None:
        self._pending.append(Path(path))

    def deliver(self) -> list[Path]:
        """Let the browser fetch what files.download() was called for; a file that is gone or a folder fails unseen, as on Colab."""
        got = []
        while self._pending:
            source = self._pending.popleft()
            if source.is_file():
                self.downloads.mkdir(parents=True, exist_ok=True)
                got.append(_free(self.downloads / source.name))
                shutil.copyfile(source, got[-1])
        return got

    def _evaluate(self, script: str, timeout_sec: float | None) -> Reply:
        if not self.page:
            return self._silence(f"eval_js({script[:60]!r})", timeout_sec)
        if isinstance(self.answers, Mapping):
            key = (
                script
                if script in self.answers
                else next((piece for piece in self.answers if piece in script), None)
            )
            if key is None:
                return _literal(script) or self._silence(f"eval_js({script[:60]!r})", timeout_sec)
            answer = self.answers[key]
        else:
            answer = self.answers(script)
        return {"error": str(answer)} if isinstance(answer, BaseException) else {"data": answer}

    def _secret(self, key: str) -> dict[str, Any]:
        known = os.environ if self.secrets is None else self.secrets
        value = known.get(key)
        return {"exists": key in known, "access": value is not None, "payload": value}

    def _silence(self, asked: str, timeout_sec: float | None) -> Reply:
        """Nobody answers: the wait that follows."""
        if timeout_sec is None:
            raise ColabError(
                f"{asked} would block for ever.",
                "no page answers, and no answer was planned",
                "plan one: StandIn(answers={script: value}, uploads=[(name, bytes)]), or give eval_js a timeout_sec",
            )
        self.wait(timeout_sec)
        return None


def _literal(script: str) -> Reply:
    """JavaScript's value of a number, a text, true, null: a page needs no plan for that."""
    try:
        return {"data": json.loads(script)}
    except ValueError:
        return None


def _can_be_chosen(one: Any) -> bool:
    if isinstance(one, list):
        return all(
            _can_be_chosen(file) and not isinstance(file, list) and file is not None for file in one
        )
    if isinstance(one, tuple):
        return len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], (bytes, bytearray))
    return one is None or isinstance(one, (str, os.PathLike))


def _free(path: Path) -> Path:
    """The name a browser gives where it is taken: "name (1).ext"."""
    number, free = 0, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem} ({number})")
    return free
