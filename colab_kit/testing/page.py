"""The notebook's page and the person before it: they answer google.colab as planned, or never."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ColabError

PathLike = str | os.PathLike[str]
Secrets = Mapping[str, str | None]
Upload = tuple[str, bytes] | PathLike  # a file: its name and bytes, or a path
Selection = Upload | list[Upload] | None  # the files of one upload; None: it was cancelled
Answers = Mapping[str, Any] | Callable[[str], Any]
Reply = dict[str, Any] | None  # {"data": …} or {"error": text}; None: nobody answered in time
EXAMPLE = 'fake_colab.uploads = [("a.csv", b"1,2")]'
_ELSEWHERE = (
    "after %load_ext, the same with colab_kit.testing.fake_colab.current() in fake_colab's place"
)
_PLAN = f"plan it before: in a test {EXAMPLE}; {_ELSEWHERE}"
_PROXY = re.compile(r"google\.colab\.kernel\.proxyPort\(\s*(\d+)")


class Page:
    """Answers to google.colab's questions. fake_colab.py's StandIn explains the parameters.

    page : False: there is no page, as in VS Code and `colab run`
    wait : sleeps, when nobody answers
    """

    def __init__(
        self,
        secrets: Secrets | None,
        uploads: Iterable[Selection],
        answers: Answers | None,
        downloads: Path,
        page: bool,
        wait: Callable[[float], None],
    ) -> None:
        self.secrets, self.uploads = secrets, uploads
        self.answers = answers if answers is not None else {}
        self.downloads, self.page, self.wait = downloads, page, wait
        self.sheets: dict[str, Any] = {}
        self._pending: deque[Path] = deque()

    @property
    def uploads(self) -> deque[Selection]:
        """The files of each files.upload() to come; a list or a tuple can be assigned."""
        return self._uploads

    @uploads.setter
    def uploads(self, plan: Iterable[Selection]) -> None:
        is_one = isinstance(plan, (str, bytes, os.PathLike)) or not isinstance(plan, Iterable)
        uploads: deque[Any] = deque([plan] if is_one else plan)
        if wrong := [one for one in uploads if not _is_selection(one)]:
            raise ColabError(
                f"{wrong[0]!r} cannot be chosen in an upload.",
                "an upload is (name, bytes), a path, a list of these, or None for a cancelled one",
                f"list them, one for each upload: {EXAMPLE}",
            )
        self._uploads = uploads

    @property
    def secrets(self) -> dict[str, str | None] | None:
        """The secrets that userdata.get() finds; None: the environment."""
        return self._secrets

    @secrets.setter
    def secrets(self, secrets: Secrets | None) -> None:
        if secrets is not None and not isinstance(secrets, Mapping):
            raise ColabError(
                "These cannot be the secrets.",
                "secrets are values by name",
                'write secrets = {"HF_TOKEN": "hf_…"}',
            )
        self._secrets = None if secrets is None else dict(secrets)  # tests share a mark's

    def ask(self, request_type: str, request: Any, timeout_sec: float | None) -> Reply:
        """The page's reply to a question."""
        answers = self.answers if isinstance(self.answers, Mapping) else {}
        match request_type, request:
            case "cell_javascript_eval", {"script": script}:
                return self._evaluate(script, timeout_sec)
            case "unassign", _:  # the machine's manager is asked: its HTTP status
                return {"data": answers.get("unassign", 200)}
            case _ if not self.page:
                return self._stay_silent(request_type, timeout_sec)
            case "request_auth", {"authType": kind}:
                return {"data": answers.get(kind, True)}
            case "GetSecret", {"key": key}:
                secrets = os.environ if self.secrets is None else self.secrets
                value = secrets.get(key)
                secret = {"exists": key in secrets, "access": value is not None, "payload": value}
                return {"data": secret}
            case _ if request_type in answers:
                return {"data": answers[request_type]}
            case "get_ipynb", _:
                return {"data": {"ipynb": self.notebook()}}
            case "register_snippets", _:
                return {"data": None}
        return self._stay_silent(request_type, timeout_sec)

    def notebook(self) -> dict[str, Any]:
        """The notebook that the page shows.

        Raises
        ------
        ColabError
            It shows none.
        """
        raise ColabError(
            "The page was asked for its notebook, and no notebook runs here.",
            "the cells of IPython's shell are the notebook, and this process has no such shell",
            f'plan it: fake_colab.answers = {{"get_ipynb": {{"ipynb": {{"cells": []}}}}}};'
            f" {_ELSEWHERE}",
        )

    def service(self, name: str, what: str, example: str, plan: str = "answers") -> Any:
        """The answer that was planned for a service which only Colab has.

        Raises
        ------
        ColabError
            None was planned: `what` says what is asked there, `example` what could be planned.
        """
        answers = getattr(self, plan)
        if not isinstance(answers, Mapping) or name not in answers:
            raise ColabError(
                f"{what}, which the stand-in cannot reach.",
                "it works offline, and no answer was planned",
                f"plan one: fake_colab.{plan} = {{{name!r}: {example}}}; {_ELSEWHERE}",
            )
        return answers[name]

    def picked(self) -> list[tuple[str, bytes]]:
        """The files of the next upload; none, if it was cancelled."""
        if not self.page:
            self._stay_silent("files.upload()", None)
        if not self.uploads:
            raise ColabError(
                "files.upload() would wait for ever.",
                "nobody chooses a file here, and none was planned",
                _PLAN,
            )
        selection = self.uploads.popleft() or []
        files = selection if isinstance(selection, list) else [selection]
        return [
            file if isinstance(file, tuple) else (Path(file).name, Path(file).read_bytes())
            for file in files
        ]

    def hand_over(self, path: str) -> None:
        """Let the browser fetch this file, later."""
        self._pending.append(Path(path))

    def deliver(self) -> list[Path]:
        """Let the browser fetch the files of files.download(), and list them.

        A file that is gone fails silently, as does a folder, as on Colab.
        """
        delivered = []
        while self._pending:
            source = self._pending.popleft()
            if source.is_file():
                self.downloads.mkdir(parents=True, exist_ok=True)
                delivered.append(free_name(self.downloads / source.name))
                shutil.copyfile(source, delivered[-1])
        return delivered

    def _evaluate(self, script: str, timeout_sec: float | None) -> Reply:
        answers, question = self.answers, f"eval_js({script[:60]!r})"
        if not self.page:
            return self._stay_silent(question, timeout_sec)
        if isinstance(answers, Mapping):
            keys = [key for key in (script, *answers) if key in script and key in answers]
            if not keys:
                known = _proxy(script) or _literal(script)
                return known or self._stay_silent(question, timeout_sec)
            answer = answers[keys[0]]
        else:
            answer = answers(script)
        return {"error": str(answer)} if isinstance(answer, BaseException) else {"data": answer}

    def _stay_silent(self, question: str, timeout_sec: float | None) -> Reply:
        """Wait as long as google.colab waits for an answer that does not come."""
        if timeout_sec is None:
            raise ColabError(
                f"{question} would block for ever.",
                "no page answers, and no answer was planned",
                "plan one: StandIn(answers={script: value}, uploads=[(name, bytes)]),"
                " or give eval_js a timeout_sec",
            )
        self.wait(timeout_sec)
        return None


def _proxy(script: str) -> Reply:
    """Where the page reaches a port of this machine: Colab's has a proxy, here it is near."""
    port = _PROXY.search(script)
    return {"data": f"http://localhost:{port[1]}/"} if port else None


def _literal(script: str) -> Reply:
    """JavaScript's value of a number, a text, true, null: a page needs no plan for that."""
    try:
        return {"data": json.loads(script)}
    except ValueError:
        return None


def _is_selection(one: Any) -> bool:
    if isinstance(one, list):
        return all(file and not isinstance(file, list) and _is_selection(file) for file in one)
    if isinstance(one, tuple):
        return len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], (bytes, bytearray))
    return one is None or isinstance(one, (str, os.PathLike))


def free_name(path: Path, is_ours: Callable[[Path], bool] = lambda path: False) -> Path:
    """A path where no file lies: "name (1).ext", as browsers and Drive name a second file.

    is_ours : whether the file at a path can be replaced
    """
    number, free = 0, path
    while os.path.lexists(free) and not is_ours(free):
        number += 1
        free = path.with_stem(f"{path.stem} ({number})")
    return free
