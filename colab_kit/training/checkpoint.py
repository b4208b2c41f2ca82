"""Checkpoints: whole or absent, two generations, no pickle; everything the next step needs is inside.

One safetensors file that any tool opens. What is no tensor stands as JSON in its metadata, and so does its own sha256.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import torch

from ..errors import ColabKitError, DriveError, RunError
from ..system.files import (
    SEAL,
    Shelf,
    cannot_write,
    is_whole,
    make,
    seal,
    seal_holds,
    stamp,
    stamp_of,
    throw_away,
    write_whole,
)

GENERATIONS = 2
Tensors = dict[str, torch.Tensor]
T = TypeVar("T")


@dataclass(frozen=True)
class Checkpoint:
    """What a file held: tensors by name, facts as plain data."""

    path: Path
    step: int
    tensors: Tensors
    facts: dict[str, Any]


def write(path: Path, tensors: Tensors, facts: dict[str, Any]) -> None:
    """Write a sealed safetensors file, whole or not at all, stamped with the `start` and `step` of the facts.

    Tensors may live anywhere and share memory.
    """
    from safetensors.torch import save

    seen: set[int] = set()
    plain: Tensors = {}
    for name, tensor in tensors.items():
        here = tensor.detach().to("cpu").contiguous()
        shared = here.numel() > 0 and here.untyped_storage().data_ptr() in seen
        seen.add(here.untyped_storage().data_ptr())
        plain[name] = (
            here.clone() if shared else here
        )  # tied weights are stored twice and tied again on loading
    mark = {"sha256": SEAL, "start": str(facts.get("start", "")), "step": str(facts.get("step", 0))}
    write_whole(path, seal(save(plain, {**mark, "facts": json.dumps(facts)})))


def read(path: Path, *, checked: bool = False) -> Checkpoint:
    """Read a checkpoint after checking its seal.

    Raises
    ------
    RunError
        The file is damaged.
    """
    from safetensors import safe_open

    if not checked and not is_whole(path):
        raise damaged(path)
    with safe_open(path, "pt") as file:
        facts = json.loads(
            file.metadata()["facts"]
        )  # cloned: a tensor still mapped to the file would change with it
        return Checkpoint(
            path,
            int(facts.get("step", 0)),
            {name: file.get_tensor(name).clone() for name in file.keys()},
            facts,
        )


def damaged(path: Path) -> RunError:
    """The three sentences for a file whose seal is broken."""
    return RunError(
        f"{path.name} in {path.parent} is damaged.",
        "its sha256 is not the one it was written with: bits changed, or its end is missing",
        "start over with restart=True, or put a whole copy of it there (one may be on Drive)",
    )


def name_of(step: int, kind: str = "checkpoint") -> str:
    return f"{kind}-{step:09d}.safetensors"


def step_of(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdigit() else -1


def newest(
    folder: Path, shelf: Shelf | None, kept_as: str, *, start: str, complain: Callable[[str], None]
) -> Checkpoint | None:
    """The newest whole checkpoint of the run's folder and its shelf; None if there is none yet.

    In the folder its name says the step, on the shelf its stamp: copies lie in two slots there, and a kill leaves one half-copied.
    One that is damaged or cannot be read is passed over with a complaint, for the one before it; one of another start in silence.

    Raises
    ------
    DriveError, RunError
        None is whole: there are damaged ones, or some that cannot be read now. A new start would write over them.
    """
    steps = {path: step_of(path) for path in folder.glob("checkpoint-*.safetensors")}
    here = set(steps)
    copies, unread = _on(shelf, kept_as)
    steps |= copies
    broken: list[Path] = []
    for path in sorted(steps, key=lambda p: (steps[p], p in here), reverse=True):
        try:
            whole, mark = _asked(path, seal_holds), _asked(path, stamp_of)
        except OSError as err:
            unread = unread or _cannot_read(path, err)
            continue
        if not whole:
            broken.append(path)
        elif mark is not None and mark["start"] == start:
            for fault in [
                *([f"{unread.what} {unread.why}"] if unread else []),
                *(_fault(path, here) for path in broken[:1]),
            ]:
                complain(
                    f"{fault}. Going on from the newest whole one that can be read, step {steps[path]}."
                )
            return (
                read(path, checked=True)
                if path in here
                else read(_fetched(path, json.loads(mark["facts"]), folder))
            )
    if unread is not None:
        raise unread
    if broken and (len(broken) > 1 or broken[0] in here):
        raise damaged(broken[0])
    if broken:  # there was none before it, or the other slot would hold that one
        complain(f"{_fault(broken[0], here)}. It was the first one, so the run begins anew.")
    return None


def _on(shelf: Shelf | None, kept_as: str) -> tuple[dict[Path, int], ColabKitError | None]:
    """The copies on a shelf with the steps they are stamped with, and why some are missing here."""
    steps: dict[Path, int] = {}
    unread: ColabKitError | None = None
    try:
        copies = shelf.find(f"{kept_as}/checkpoint-*.safetensors") if shelf is not None else []
    except DriveError as err:
        return {}, err
    for path in copies:
        try:
            mark = _asked(path, stamp_of)
        except OSError as err:
            unread = unread or _cannot_read(path, err)
        else:
            steps[path] = int(mark["step"]) if mark is not None else -1
    return steps, unread


def _asked(path: Path, what: Callable[[BinaryIO], T]) -> T:
    """stamp_of() or seal_holds() of a file; a disk that does not give it is an OSError, not damage."""
    with open(path, "rb") as file:
        return what(file)


def _cannot_read(path: Path, err: OSError) -> RunError:
    return RunError(
        f"{path} could not be read.",
        err.strerror or str(err),
        "run the cell again; if the file stays so, delete it",
    )


def _fault(path: Path, here: set[Path]) -> str:
    if path in here:
        return f"{path.name} is damaged (its sha256 does not match)"
    return f"{path.name} on Drive is not whole: its copying broke off"


def is_kept(path: Path, shelf: Shelf, kept_as: str) -> bool:
    """Whether the shelf has a whole copy of this checkpoint."""
    mine = stamp(path)
    try:
        copies = [(copy, stamp(copy)) for copy in shelf.find(f"{kept_as}/checkpoint-*.safetensors")]
    except DriveError:
        return False
    return mine is not None and any(
        mark is not None and mark["sha256"] == mine["sha256"] and is_whole(copy)
        for copy, mark in copies
    )


def _fetched(path: Path, facts: dict[str, Any], folder: Path) -> Path:
    """Bring a checkpoint from a shelf to the folder, with the best weights it speaks of, each under its own name."""
    target = folder / name_of(int(facts["step"]))
    if best := facts.get("best"):
        step = step_of(Path(best["file"]))
        for copy in path.parent.glob("best-*.safetensors"):
            try:
                mark = _asked(copy, stamp_of)
                spoken_of = (
                    mark is not None
                    and (mark["start"], int(mark["step"])) == (facts["start"], step)
                    and _asked(copy, seal_holds)
                )
            except OSError as err:  # left behind, it would be written over
                raise _cannot_read(copy, err) from err
            if spoken_of:
                _bring(copy, folder / name_of(step, "best"))
    _bring(path, target)
    return target


def _bring(copy: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.00000000.part")
    try:
        make(target.parent)
        shutil.copyfile(copy, part)
        part.replace(target)
    except OSError as err:
        throw_away(part)
        of_drive = err.errno in (errno.EIO, errno.ENOTCONN, errno.ENOENT)
        raise (_cannot_read(copy, err) if of_drive else cannot_write(target, err)) from err


def best_weights(folder: Path, found: Checkpoint, *, complain: Callable[[str], None]) -> Tensors:
    """The best validated weights the checkpoint speaks of; without any (or with a damaged file) its own, averaged if they are."""
    best = found.facts.get("best")
    if best:
        path = folder / best["file"]
        if is_whole(path):
            return read(path, checked=True).tensors
        complain(
            f"{best['file']} is missing or damaged; the last weights (step {found.step}) stand in for the best ones."
        )
    return under(found.tensors, "model/") | under(found.tensors, "average/")


def kept(names: Iterable[str], step: int, passing: Container[int] = ()) -> set[str]:
    """Of files by name: the newest generations up to `step`, and the best weights each speaks of, the last ones before it.

    What lies ahead of `step` is damaged or another start's: it does not count as a generation. Nor does one of the steps that are
    `passing`, saved where this session happened to stop: it stays only while it is the newest.
    """
    steps = {name: step_of(Path(name)) for name in names}
    checkpoints = sorted(
        (n for n in steps if n.startswith("checkpoint-") and steps[n] <= step),
        key=steps.__getitem__,
    )
    generations = {
        *[n for n in checkpoints if steps[n] not in passing][-GENERATIONS:],
        *checkpoints[-1:],
    }
    bests = [n for n in steps if n.startswith("best-")]
    spoken_of = [
        max((b for b in bests if steps[b] <= steps[n]), key=steps.__getitem__, default="")
        for n in generations
    ]
    return {*generations, *spoken_of} - {""}


def prune(folder: Path, step: int, passing: Container[int] = ()) -> None:
    """Let go of what two generations up to `step` do not need. New files are durable before old ones go."""
    files = [
        path
        for path in folder.glob("*-*.safetensors")
        if path.name.startswith(("checkpoint-", "best-")) and step_of(path) <= step
    ]
    needed = kept((path.name for path in files), step, passing)
    for path in files:
        if path.name not in needed:
            _let_go(path)


def forget_after(folder: Path, step: int) -> None:
    """Let go of all that was written after `step`: the run has gone back to it, and what came then is not its past."""
    for path in folder.glob("*-*.safetensors"):
        if path.name.startswith(("checkpoint-", "best-")) and step_of(path) > step:
            _let_go(path)


def _let_go(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # it costs room, not the run; the next save tries again


def put_back(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's state, each tensor in its parameter's memory format: a fused step walks both in memory order."""
    optimizer.load_state_dict(state)
    for parameter, held in optimizer.state.items():
        for name, value in held.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                held[name] = torch.empty_like(
                    parameter, dtype=value.dtype, requires_grad=False
                ).copy_(value)


def pack(value: Any, tensors: Tensors, prefix: str) -> Any:
    """Plain data of any nested state, its tensors moved to `tensors` under `prefix`: an optimizer's state_dict, say."""
    match value:
        case torch.Tensor():
            name = f"{prefix}{len(tensors)}"
            tensors[name] = value
            return {"tensor": name}
        case bool() | int() | float() | str() | None:
            return value
        case dict():
            return {"dict": [[k, pack(v, tensors, prefix)] for k, v in value.items()]}
        case tuple():
            return {"tuple": [pack(v, tensors, prefix) for v in value]}
        case list():
            return [pack(v, tensors, prefix) for v in value]
    raise RunError(
        f"The optimizer keeps a {type(value).__name__} in its state, which cannot be saved.",
        "only tensors, numbers, text, lists and dicts go into a checkpoint (no pickle)",
        "use one of torch's own optimizers",
    )


def unpack(value: Any, tensors: Tensors) -> Any:
    """The state that `pack` took apart."""
    match value:
        case {"tensor": str(name)}:
            return tensors[name]
        case {"dict": list(pairs)}:
            return {k: unpack(v, tensors) for k, v in pairs}
        case {"tuple": list(items)}:
            return tuple(unpack(v, tensors) for v in items)
        case list():
            return [unpack(v, tensors) for v in value]
    return value


def under(tensors: Tensors, prefix: str) -> Tensors:
    """The tensors whose names begin with `prefix`, without it."""
    return {
        name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)
    }
