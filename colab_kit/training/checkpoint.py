"""Checkpoints: whole or absent, in two generations, with everything that the next step needs.

models/weights has the format of the file.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import torch

from ..errors import ColabKitError, DriveError, RunError
from ..models.packing import pack as pack
from ..models.packing import unpack as unpack
from ..models.weights import TensorFile, damaged
from ..models.weights import Tensors as Tensors
from ..models.weights import read as read
from ..models.weights import under as under
from ..models.weights import write as write
from ..system.files import (
    Shelf,
    cannot_write,
    is_whole,
    make,
    parse,
    seal_holds,
    stamp,
    stamp_of,
    whole_file,
)

GENERATIONS = 2
T = TypeVar("T")
Checkpoint = TensorFile


def name_of(step: int, kind: str = "checkpoint") -> str:
    return f"{kind}-{step:09d}.safetensors"


def step_of(path: str | Path) -> int:
    """Read the step from a file's name; -1 where the name has none."""
    digits = Path(path).stem.rpartition("-")[2]
    return int(digits) if digits.isdigit() else -1


def newest(
    folder: Path, shelf: Shelf | None, kept_as: str, *, start: str, complain: Callable[[str], None]
) -> Checkpoint | None:
    """Read the newest whole checkpoint of the run's folder and its shelf; None if there is none.

    In the folder a file's name holds the step. On the shelf its stamp does: copies lie in two
    slots there, and a kill leaves one of them half-copied. A file that is damaged or cannot be
    read is skipped with a complaint, in favour of the one before it, and so is a file of another
    start in the folder. On the shelf that is skipped without a word.

    Parameters
    ----------
    kept_as : str
        The name of the run's folder on the shelf.
    start : str
        What identifies the start of the run.
    complain : callable(text)

    Raises
    ------
    DriveError, RunError
        No checkpoint is whole, and some are damaged or cannot be read now. A new start would
        overwrite them.
    """
    here = {path: step_of(path) for path in folder.glob("checkpoint-*.safetensors")}
    copies, unread = _copies(shelf, kept_as)
    steps, broken, others = here | copies, list[Path](), list[Path]()
    for path in sorted(steps, key=lambda p: (steps[p], p in here), reverse=True):
        try:
            whole, mark = _ask(path, seal_holds), _ask(path, stamp_of)
        except OSError as err:
            unread = unread or _cannot_read(path, err)
            continue
        if not whole or (path in here and not _is_itself(path, mark)):
            broken.append(path)
        elif mark is not None and mark["start"] == start:
            faults = [_fault(path, path in here) for path in broken[:1]]
            faults += [f"{path.name} is of another run" for path in others[:1]]
            if unread is not None:
                faults.append(f"{unread.what} {unread.why}")
            for fault in faults:
                complain(
                    f"{fault}. The run goes on from the newest whole checkpoint that can be read,"
                    f" step {steps[path]}."
                )
            if path in here:
                return read(path, checked=True)
            return read(_bring_back(path, parse(mark["facts"]), folder))
        elif path in here:
            others.append(path)
    if unread is not None:
        raise unread
    if broken and (len(broken) > 1 or broken[0] in here):
        raise damaged(broken[0])
    if broken:  # there was none before it: the other slot would hold that one
        complain(f"{_fault(broken[0], False)}. It was the first one, so the run begins anew.")
    return None


def begun_by(folder: Path, key: str) -> str:
    """Name the start whose checkpoints lie in a folder that has lost its run.json.

    Parameters
    ----------
    key : str
        Of the run's identity. A checkpoint of another key is another run's.

    Returns
    -------
    str
        "" where there is none.
    """
    for path in sorted(folder.glob("checkpoint-*.safetensors"), key=step_of, reverse=True):
        mark = stamp(path) if is_whole(path) else None
        if mark is not None and parse(mark["facts"]).get("key") == key:
            return mark["start"]
    return ""


def _is_itself(path: Path, mark: dict[str, str] | None) -> bool:
    """Whether a whole file of ours in the run's folder was written under this name."""
    if mark is None:
        return True  # of another tool: it has no start either
    return (mark.get("kind"), int(mark["step"])) == (path.name.partition("-")[0], step_of(path))


def _copies(shelf: Shelf | None, kept_as: str) -> tuple[dict[Path, int], ColabKitError | None]:
    """List the copies on a shelf with the steps of their stamps, and say why some are missing."""
    steps: dict[Path, int] = {}
    unread: ColabKitError | None = None
    try:
        copies = [] if shelf is None else shelf.find(f"{kept_as}/checkpoint-*.safetensors")
    except DriveError as err:
        return {}, err
    for path in copies:
        try:
            mark = _ask(path, stamp_of)
        except OSError as err:
            unread = unread or _cannot_read(path, err)
        else:
            steps[path] = -1 if mark is None else int(mark["step"])
    return steps, unread


def _ask(path: Path, question: Callable[[BinaryIO], T]) -> T:
    """Ask stamp_of() or seal_holds() about a file.

    A disk that does not give the file is an OSError, not damage.
    """
    with open(path, "rb") as file:
        return question(file)


def _cannot_read(path: Path, err: OSError) -> RunError:
    fix = "run the cell again; if the file still cannot be read, delete it"
    return RunError(f"{path} could not be read.", err.strerror or str(err), fix)


def _fault(path: Path, here: bool) -> str:
    if here:
        return f"{path.name} is damaged (its sha256 does not match), or is another file"
    return f"{path.name} on Drive is not whole: its copying broke off"


def is_kept(path: Path, shelf: Shelf, kept_as: str) -> bool:
    """Whether the shelf has a whole copy of this checkpoint."""
    mine = stamp(path)
    try:
        copies = shelf.find(f"{kept_as}/checkpoint-*.safetensors")
        marks = [(copy, stamp(copy)) for copy in copies]
    except DriveError:
        return False
    same = [copy for copy, mark in marks if mine and mark and mark["sha256"] == mine["sha256"]]
    return any(map(is_whole, same))


def _bring_back(path: Path, facts: dict[str, Any], folder: Path) -> Path:
    """Copy a checkpoint and the best weights it names from a shelf, each under its own name."""
    if best := facts.get("best"):
        step = step_of(best["file"])
        for copy in path.parent.glob("best-*.safetensors"):
            try:
                mark = _ask(copy, stamp_of) or {"start": "", "step": "-1"}
                same = (mark["start"], int(mark["step"])) == (facts["start"], step)
                whole = same and _ask(copy, seal_holds)
            except OSError as err:  # without this copy the run would overwrite it
                raise _cannot_read(copy, err) from err
            if whole:
                _copy(copy, folder / name_of(step, "best"))
    target = folder / name_of(int(facts["step"]))
    _copy(path, target)
    return target


def _copy(copy: Path, target: Path) -> None:
    try:
        make(target.parent)
        with whole_file(target) as part:
            shutil.copyfile(copy, part)
    except OSError as err:
        if err.errno in (errno.EIO, errno.ENOTCONN, errno.ENOENT):  # Drive's
            raise _cannot_read(copy, err) from err
        raise cannot_write(target, err) from err


def best_weights(folder: Path, last: Checkpoint, *, complain: Callable[[str], None]) -> Tensors:
    """Give the best validated weights that the checkpoint names.

    Where there are none, or their file is damaged, its own weights stand in; averaged, if they are.
    """
    if best := last.facts.get("best"):
        path = folder / best["file"]
        if (found := best_file(path, last.facts["start"])) is not None:
            return found
        text = "is missing or damaged, or of another run"
        complain(f"{path.name} {text}; the weights of step {last.step} replace it.")
    return under(last.tensors, "model/") | under(last.tensors, "average/")


def best_file(path: Path, start: str) -> Tensors | None:
    """Read a file of best weights; None where it is not whole, or of another start or step."""
    mark = stamp(path) if is_whole(path) else None
    if mark is None or mark["start"] != start or not _is_itself(path, mark):
        return None
    return read(path, checked=True).tensors


def needed(names: Iterable[str], step: int, passing: Container[int] = ()) -> set[str]:
    """Select the newest generations up to `step`, and the best weights that each of them names.

    Parameters
    ----------
    names : iterable of str
        File names of checkpoints and best weights.
    step : int
        A file of a later step is damaged or of another start, so it is no generation.
    passing : container of int
        Steps that were saved only because this session stopped there. Such a checkpoint stays
        while it is the newest, and is no generation either.
    """
    steps = {name: step_of(name) for name in names}
    order = sorted((name for name in steps if steps[name] <= step), key=steps.__getitem__)
    checkpoints = [name for name in order if name.startswith("checkpoint-")]
    planned = [name for name in checkpoints if steps[name] not in passing]
    generations = {*planned[-GENERATIONS:], *checkpoints[-1:]}
    bests = [name for name in order if name.startswith("best-")]
    for name in generations.copy():
        generations.update([best for best in bests if steps[best] <= steps[name]][-1:])
    return generations


def prune(folder: Path, step: int, passing: Container[int] = ()) -> None:
    """Delete the files up to `step` that two generations do not need.

    New files are durable before old ones go.
    """
    steps = _files(folder)
    wanted = needed(steps, step, passing)
    _delete(folder, [name for name in steps if steps[name] <= step and name not in wanted])


def forget_after(folder: Path, step: int) -> None:
    """Delete all files of later steps: the run went back to `step`, and they are not its past."""
    steps = _files(folder)
    _delete(folder, [name for name in steps if steps[name] > step])


def _files(folder: Path) -> dict[str, int]:
    """List checkpoints and best weights with their steps."""
    names = [path.name for path in folder.glob("*-*.safetensors")]
    return {name: step_of(name) for name in names if name.startswith(("checkpoint-", "best-"))}


def _delete(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        with suppress(OSError):  # it costs room, not the run; the next save tries again
            (folder / name).unlink(missing_ok=True)


def put_back(optimizer: torch.optim.Optimizer, packed: Any, tensors: Tensors) -> bool:
    """Load an optimizer's packed state, each tensor in the memory format of its parameter.

    A fused step walks through both in memory order. Optimizers that it wraps share its learning
    rates again, where they did: loading gives each its own.

    Returns
    -------
    bool
        Whether all of it came back: an optimizer of the user's may drop parts of its state.
    """
    wrapped = [own for own in vars(optimizer).values() if isinstance(own, torch.optim.Optimizer)]
    sharing = [own for own in wrapped if own.param_groups is optimizer.param_groups]
    optimizer.load_state_dict(unpack(packed, tensors))
    for own in sharing:
        own.param_groups = optimizer.param_groups
    for one in (optimizer, *wrapped):
        for parameter, values in one.state.items():
            for name, value in values.items() if isinstance(parameter, torch.Tensor) else ():
                is_like_it = isinstance(value, torch.Tensor) and value.shape == parameter.shape
                if is_like_it and not value.is_sparse:
                    alike = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False)
                    values[name] = alike.copy_(value)
    if type(optimizer).__module__.startswith("torch.optim."):
        return True
    saved, again = dict[str, torch.Tensor](), dict[str, torch.Tensor]()
    is_same = pack(unpack(packed, tensors), saved, "") == pack(optimizer.state_dict(), again, "")
    # torch leaves the number in place of a parameter where it knows no parameter of that number
    is_assigned = not any(isinstance(parameter, int) for parameter in optimizer.state)
    whole = is_same and is_assigned
    return whole and all(torch.equal(again[name].cpu(), saved[name]) for name in saved)
