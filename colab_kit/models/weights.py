"""Weights: read from and written to files without pickle, put into a network, hashed.

A tensor file is a safetensors file that any tool opens. The facts stand as JSON in its metadata,
and so does the sha256 of the file. It is whole or absent.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data.keyed_random import outer_streams_kept
from ..errors import ModelError, RunError
from ..events import Note
from ..system.files import LONGEST, SEAL, digest, is_whole, parse, seal, write_whole


def read_weights(path: Path) -> Tensors:
    """Read the tensors of a .safetensors or .pth file, by name.

    A checkpoint's wrapping is undone; names that wrappers lengthened stay for `named_as`.

    Raises
    ------
    ModelError
        The file is missing, is no weights file, or holds a whole pickled model.
    """
    if not path.is_file():
        fix = "give the path of a .pth or .safetensors file"
        raise ModelError(f"There is no weights file {path}.", "nothing is there", fix)
    try:
        content: Any
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # torch and safetensors raise a dozen kinds for a bad file
        why, fix = f"{type(err).__name__}: {err}".splitlines()[0], "fetch the file again"
        if "weights_only" in str(err) or "Unsupported" in str(err):  # torch has no type for it
            why = "it holds a whole pickled model, and loading one runs code from the file"
            fix = "save only the weights: torch.save(model.state_dict(), 'weights.pth')"
        raise ModelError(f"{path.name} cannot be read as weights.", why, fix) from err
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    items = content.items() if isinstance(content, dict) else ()
    tensors = {str(k): v for k, v in items if isinstance(v, torch.Tensor)}
    if not tensors:
        why = f"it is a {type(content).__name__}"
        raise ModelError(f"{path.name} holds no weights.", why, "save model.state_dict()")
    return under(tensors, "model/") or tensors  # our own checkpoints hold an optimizer too


def put(model: nn.Module, tensors: Tensors) -> None:
    """Load a state of this very network.

    The state gets what modules note beside their tensors: MNASNet does not load without it.

    Raises
    ------
    RuntimeError
        Torch's own: names or shapes differ.
    """
    state = OrderedDict(tensors)
    state._metadata = model.state_dict()._metadata  # type: ignore[attr-defined]
    model.load_state_dict(state)


def named_as(own: Tensors, tensors: Tensors) -> tuple[Tensors, str]:
    """Give a file's tensors under a network's own names, and an example where they differ.

    torch.compile and DataParallel write `_orig_mod.` and `module.` into names, at any place; a
    LightningModule and other wrappers begin each name with the attribute that holds the network,
    as `model.`. Of all such beginnings the one counts after which the most tensors fit, and most
    of its own do.

    Parameters
    ----------
    own : state of the network
    tensors : of the file

    Returns
    -------
    tensors, example : dict, str
        "" where the names are the network's as they stand.
    """
    as_plain = {_unwrapped(name): name for name in own}
    best, names = _matches(own, tensors, {name: name for name in tensors}), dict[str, str]()
    if best == len(own):
        return tensors, ""
    for plain in (lambda name: name, _unwrapped):
        for start in _beginnings(map(plain, tensors)):
            new = {k: plain(k).removeprefix(start) for k in tensors if plain(k).startswith(start)}
            new = {k: name if name in own else as_plain.get(name, name) for k, name in new.items()}
            fits = _matches(own, tensors, new)
            if fits > best and 2 * fits >= len(new):
                best, names = fits, new
    if not names:
        return tensors, ""
    theirs, ours = next((k, name) for k, name in names.items() if k != name)
    return {name: tensors[k] for k, name in names.items()}, f"{theirs} as {ours}"


WRAPPERS = ("_orig_mod", "module")  # parts of names: torch.compile's; (Distributed)DataParallel's


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _beginnings(names: Iterable[str]) -> list[str]:
    """List what names may begin with: nothing, then one to three of their parts."""
    parts = [name.split(".")[:-1] for name in names]
    starts = {".".join([*of[:n], ""]) for of in parts for n in range(1, min(3, len(of)) + 1)}
    return ["", *sorted(starts, key=lambda start: (start.count("."), start))]


def _matches(own: Tensors, tensors: Tensors, names: dict[str, str]) -> int:
    """Count the tensors that fit under these names: {name in the file: name}."""
    return sum(name in own and own[name].shape == tensors[k].shape for k, name in names.items())


def warm_start(model: nn.Module, tensors: Tensors) -> Note:
    """Copy what matches by name and shape into the model, and say what did and did not match.

    Names that wrappers lengthened are brought to the model's (`named_as`), and that is said. Where
    fewer than half of the model's tensors match, the note is a warning.

    Raises
    ------
    ModelError
        Nothing matches.
    """
    own = model.state_dict()
    tensors, example = named_as(own, tensors)
    fits = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
    shapes = [
        f"{k} {list(v.shape)} into {list(own[k].shape)}"
        for k, v in tensors.items()
        if k in own and k not in fits
    ]
    if not fits:
        theirs, ours = next(iter(tensors)), next(iter(own), "nothing")
        why = shapes[0] if shapes else f"the file has {theirs} …, the network {ours} …"
        fix = "give the file of the same architecture"
        raise ModelError("None of the file's weights fits this network.", why, fix)
    put(model, {**own, **fits})
    text = f"Warm start: {len(fits)} of {len(own)} tensors matched."
    if example:
        text += f" A wrapper lengthened the file's names: {example}, and so on."
    missing = [k for k in own if k not in fits]
    for what, names in (("Of another shape", shapes), ("Fresh", missing)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            text += f" {what}: {', '.join(names[:3])}{more}."
    if 2 * len(fits) < len(own):
        return Note(f"{text} Fewer than half matched: is the file of this network?", "warn")
    return Note(text)


def tensor_hash(tensor: torch.Tensor) -> str:
    """Hash dtype, shape and bytes by sha256, hex."""
    flat = tensor.detach().to("cpu").contiguous()
    head = f"{flat.dtype}{list(flat.shape)}".encode()
    return hashlib.sha256(head + flat.flatten().view(torch.uint8).numpy().tobytes()).hexdigest()


def hashes(model: nn.Module) -> dict[str, str]:
    """Hash each weight and buffer, by name; of what is no tensor, give the type."""
    return {
        name: tensor_hash(t) if isinstance(t, torch.Tensor) else type(t).__name__
        for name, t in model.state_dict().items()
    }


def weights_hash(model: nn.Module, *, without: Iterable[str] = ()) -> str:
    """One hash over all weights and buffers, by name.

    Parameters
    ----------
    without : iterable of str
        Names that do not count: a head's.
    """
    skipped = set(without)
    return digest({name: value for name, value in hashes(model).items() if name not in skipped})


@contextmanager
def hooked(
    model: nn.Module, layers: Iterable[str], hook: Callable[[str, nn.Module, Any, Any], Any]
) -> Iterator[None]:
    """Call hook(name, layer, inputs, output) after each forward of these layers.

    What the hook returns replaces the output, unless it is None.
    """
    handles = [
        model.get_submodule(name).register_forward_hook(functools.partial(hook, name))
        for name in layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def untouched(model: nn.Module, *, weights: bool = False) -> Iterator[None]:
    """Let a network be tried out, and give it back as it came.

    Buffers, gradients, memory formats, what wants gradients, the mode of each part and all random
    streams are restored. Within the block there are no gradients yet.

    Parameters
    ----------
    weights : bool
        Whether the weights are written to meanwhile: then they are copied first.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [  # by place: a forward may put another tensor there
        (module._buffers, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    parameters = [
        (p, p.data, p.data.clone() if weights else None, p.grad, p.requires_grad)
        for p in model.parameters()
    ]
    model.zero_grad(set_to_none=True)
    try:
        with outer_streams_kept():
            yield
    finally:
        with torch.no_grad():
            for place, name, buffer, before in buffers:
                place[name] = buffer.copy_(before)
            for parameter, data, copy, grad, wanted in parameters:
                parameter.data = data if copy is None else data.copy_(copy)
                parameter.grad = grad
                parameter.requires_grad_(wanted)
        for module, training in modes:
            module.training = training


Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class TensorFile:
    """What a file holds: tensors by name, and facts as plain data."""

    path: Path
    step: int
    tensors: Tensors
    facts: dict[str, Any]


def write(path: Path, tensors: Tensors, facts: dict[str, Any]) -> None:
    """Write a sealed file, whole or not at all.

    Its header repeats the `start` and the `step` of the facts, and has the first part of its name.
    Tensors may live on any device and share memory.

    Raises
    ------
    RunError
        The disk is full, the folder cannot be written, or the header would be too long to be read.
    """
    from safetensors.torch import save

    stored: Tensors = {}
    memory: set[int] = set()
    pairs = [name for name, tensor in tensors.items() if tensor.is_complex()]
    for name, tensor in tensors.items():
        copy = tensor.detach().to("cpu").resolve_conj().contiguous()
        if copy.is_complex():  # the format has no complex128
            copy = torch.view_as_real(copy)
        address = copy.untyped_storage().data_ptr()
        if copy.numel() > 0 and address in memory:
            copy = copy.clone()  # tied weights are stored twice, and tied again when loaded
        memory.add(address)
        stored[name] = copy
    mark = {"sha256": SEAL, "start": str(facts.get("start", "")), "step": str(facts.get("step", 0))}
    mark["kind"] = path.name.partition("-")[0]  # a file of best weights is no checkpoint
    if pairs:
        mark["complex"] = json.dumps(pairs)
    content = save(stored, {**mark, "facts": json.dumps(facts)})
    if int.from_bytes(content[:8], "little") > LONGEST:
        what, why = f"{path} is not written.", f"its header would be longer than {LONGEST >> 20} MB"
        raise RunError(what, why, "validate more seldom: the history of all validations is in it")
    write_whole(path, seal(content))


def read(path: Path, *, checked: bool = False) -> TensorFile:
    """Read a sealed file after checking its seal.

    Parameters
    ----------
    checked : bool
        True if the caller has checked the seal.

    Raises
    ------
    RunError
        The file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not checked and not is_whole(path):
        raise damaged(path)
    try:
        with safe_open(path, "pt") as file:
            facts = parse(file.metadata()["facts"])
            pairs = parse(file.metadata().get("complex", "[]"))
            # cloned: a tensor that is still mapped to the file changes with it
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
        for name in pairs:
            tensors[name] = torch.view_as_complex(tensors[name])
        return TensorFile(path, int(facts.get("step", 0)), tensors, facts)
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, AttributeError) as err:
        raise damaged(path) from err


def damaged(path: Path) -> RunError:
    """Return the error for a file whose seal is broken."""
    return RunError(
        f"{path.name} in {path.parent} is damaged.",
        "its sha256 is not the one it was written with: bits changed, or its end is missing",
        "start over with restart=True, or put a whole copy of it there (one may be on Drive)",
    )


def under(tensors: Tensors, prefix: str) -> Tensors:
    """Return the tensors whose names begin with `prefix`, under their names without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
