"""The walks of ARCHITECTURE.md: which files of the package a real small call enters, in order.

    python -m tests.support.walks          # prints the four lists
    python -m tests.support.walks train    # prints one

Each call runs in a process of its own, so that nothing of an earlier call shortens its way.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "colab_kit"
CALLS = {  # the calls that are followed, as ARCHITECTURE.md names them
    "train": "train(net, data)",
    "load": "load(folder)",
    "fetch": "fetch(url)",
    "transfer": 'transfer(data, "efficientnet_lite0")',
}
FLOOR = {  # house rule: a folder imports only folders with a lower number
    name: number
    for number, name in enumerate(
        "errors system colab fetching data models training runs api panels cli".split()
    )
} | {"events": 0, "recipe": 0, "testing": 2}
TOOLS = ("errors", "events", "recipe", "system")  # every file uses them: no station of a walk
Step = tuple[str, str]  # a file, as `data/loading.py`, and its first function


class Trace:
    """Record the files of ours that this thread enters, and the calls from folder to folder."""

    def __init__(self) -> None:
        self.steps: dict[str, str] = {}
        self.moves: dict[tuple[str, str], None] = {}  # caller's and callee's folder
        self._names: dict[CodeType, str | None] = {}

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        name = self.name(frame.f_code) if event == "call" else None
        if name is None:
            return
        self.steps.setdefault(name, frame.f_code.co_qualname.replace(".<locals>", ""))
        caller = frame.f_back
        while caller and (outer := self.name(caller.f_code)) is None:
            caller = caller.f_back
        if caller and outer and folder(outer) != folder(name):
            self.moves.setdefault((folder(outer), folder(name)))

    def name(self, code: CodeType) -> str | None:
        """The file of this code, as data/loading.py; None if it is no step of a walk."""
        if code not in self._names:
            path = Path(code.co_filename)
            counts = "<" not in code.co_name and path.is_relative_to(PACKAGE)
            name = path.relative_to(PACKAGE).as_posix() if counts else ""
            tool = folder(name) in TOOLS or name == "__init__.py"
            self._names[code] = name if counts and not tool else None
        return self._names[code]


@dataclass(frozen=True)
class Walk:
    """What one call entered: files with their first functions, and the moves between folders."""

    steps: list[Step]
    moves: list[tuple[str, str]]

    @property
    def climbs(self) -> list[tuple[str, str]]:
        """The moves from a folder to one above it: calls of something that came in from there."""
        return [(here, there) for here, there in self.moves if FLOOR[there] > FLOOR[here]]

    @property
    def counts(self) -> str:
        """How long the walk is, in words."""
        return f"{len(self.steps)} files, {len(self.moves)} moves, {len(self.climbs)} climbs"

    def __str__(self) -> str:
        rows = [f"{n:2} {file}: {function}" for n, (file, function) in enumerate(self.steps, 1)]
        there = ", ".join(f"{here} to {there}" for here, there in self.moves)
        return "\n".join([*rows, f"{self.counts}: {there}"])


def folder(name: str) -> str:
    """The folder of a file, or the name of one that stands beside the folders."""
    return name.partition("/")[0].removesuffix(".py")


def follow(call: Callable[[], object]) -> Walk:
    """The files that the call enters on this thread, in order."""
    trace = Trace()
    sys.setprofile(trace)
    try:
        call()
    finally:
        sys.setprofile(None)
    return Walk(list(trace.steps.items()), list(trace.moves))


def walks(*names: str) -> dict[str, Walk]:
    """Follow calls, each in a child of one fresh process."""
    with tempfile.TemporaryDirectory() as home:
        own = {"COLAB_KIT_HOME": f"{home}/kit", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        env = {**os.environ, **own, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.support.walks", "--here", *names]
        done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The walks of {', '.join(names)} failed:\n{done.stderr}")
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    pairs = {name: [[(a, b) for a, b in part] for part in parts] for name, *parts in told}
    return {name: Walk(steps, moves) for name, (steps, moves) in pairs.items()}


def here(names: list[str]) -> None:
    """Follow calls in this process, which is a fresh one in an empty folder, and print them."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "colab_kit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)  # so that imports are no part of a walk
    for package in ("torch._dynamo", "torchvision.models", "timm"):
        with suppress(ImportError):
            importlib.import_module(package)
    for name in names:
        child = os.fork()  # what one call leaves in memory shortens no other's way
        if child == 0:
            Path(name).mkdir()
            os.chdir(name)
            walk = follow(call(name))
            print(json.dumps([name, walk.steps, walk.moves]), flush=True)
            os._exit(0)  # a thread of a server or a loader keeps nobody waiting
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"The walk of {name} ended with {status}.")


def call(name: str) -> Callable[[], object]:
    """A small call of a verb, with all that it needs made ready."""
    import colab_kit as kit
    from tests.support.pictures import class_folders

    if name == "fetch":
        from colab_kit.testing.server import FileServer

        url = FileServer().put("pets.txt", b"cat\ndog\n" * 1000)
        return partial(kit.fetch, url, quiet=True)
    class_folders(Path("pets"), each=12)
    if name == "load":
        return partial(kit.load, "pets", quiet=True)
    data = kit.load("pets", quiet=True)
    if name == "train":
        return partial(kit.train, kit.nets.mlp, data, epochs=1, image_size=32, quiet=True)
    return partial(kit.transfer, data, "efficientnet_lite0", image_size=32, quiet=True)


def main() -> None:
    names = [word for word in sys.argv[1:] if word in CALLS] or list(CALLS)
    if "--here" in sys.argv:
        here(names)
        return
    for name, walk in walks(*names).items():
        print(f"{CALLS[name]}\n{walk}\n")


if __name__ == "__main__":
    main()
