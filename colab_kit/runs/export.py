"""Exporting: a trained network as one file that another machine opens.

The file holds the weights and what is known of them; no pickle, no code.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data.preprocess import Preprocess
from ..errors import ModelError, RecipeError, RunError
from ..recipe import Recipe
from ..system.files import is_whole, parse, working_folder, write_whole
from ..system.runtime import need
from ..system.sealed import check
from ..training import checkpoint
from .record import FORMAT, refuse_unmounted

# what an exported file keeps of a run's record
FIELDS = "name key start created status reason recipe data preprocess model".split()
NEAR = 1e-3  # how far an ONNX file's outputs may be off, of the largest

# What a file from a stranger may ask for, beside the LONGEST and DEEPEST of system/files.py. More
# is refused before anything is made of it. The network may have no more weights than the file has.
LARGEST_SIDE = 8192  # pixels of a side of the network's input
MOST_CHANNELS = 1024
MOST_CLASSES = 1_000_000
LARGEST_BATCH = 1 << 16  # pictures at once


def save_weights(model: nn.Module, target: Path) -> Path:
    """Write a plain state_dict that torch or safetensors loads, by the ending of the name.

    Parameters
    ----------
    target : Path
        A .pth, .pt or .safetensors file.

    Raises
    ------
    RunError
        It has another ending.
    """
    from safetensors.torch import save

    state = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    if target.suffix == ".safetensors":
        write_whole(target, save(state))
    elif target.suffix in (".pth", ".pt"):
        out = io.BytesIO()
        torch.save(state, out)
        write_whole(target, out.getvalue())
    else:
        raise _unknown_ending(target, "weights are saved as .pth or .safetensors")
    return target


def export(
    target: Path,
    model: nn.Module,
    record: dict[str, Any],
    choices: dict[str, Any],
    facts: dict[str, Any],
) -> Path:
    """Write one file: a sealed .safetensors, which `open_run` opens anywhere, or .onnx.

    Parameters
    ----------
    record, choices, facts : dict
        Of the run: how it is made and was trained, with its history and best validation.

    Raises
    ------
    RunError
        The name has another ending, or the ONNX file computes something else.
    ModelError
        The network cannot be written as ONNX.
    MissingExtra
        .onnx needs the `onnx` extra.
    """
    # the file holds all weights, so it needs no backbone from elsewhere
    origin = {name: value for name, value in record["model"].items() if name != "backbone"}
    record = {**record, "model": origin}
    about = {
        "export": FORMAT,
        "record": {name: record[name] for name in FIELDS if name in record},
        "choices": choices,
        "history": list(facts.get("history", [])),
        "best": facts.get("best"),
        "start": record["start"],
        "step": facts.get("step", 0),
    }
    if target.suffix == ".safetensors":
        weights = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
        checkpoint.write(target, weights, about)
    elif target.suffix == ".onnx":
        write_whole(target, _onnx(model, record["preprocess"], about))
    else:
        raise _unknown_ending(target, "a run is exported as .safetensors or .onnx")
    return target


def _unknown_ending(target: Path, why: str) -> RunError:
    fix = f"write {target.stem}.safetensors"
    return RunError(f"{target.name} has no known ending.", why, fix)


def exported(path: Path) -> dict[str, Any] | None:
    """Read what an exported file says of itself; None: it is no such file.

    Raises
    ------
    RunError
        It is one, and is damaged or of an older format.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file() or path.suffix != ".safetensors":
        return None
    again = "copy it here again, or export the run again"
    try:
        with safe_open(path, "pt") as file:
            about = parse((file.metadata() or {}).get("facts", "{}"))
    except (SafetensorError, ValueError, OSError) as err:
        raise RunError(f"{path} cannot be read.", str(err), again) from err
    if not isinstance(about, dict) or "export" not in about:
        return None
    if not is_whole(path):
        raise RunError(
            f"{path} is damaged.", "its sha256 is not the one it was written with", again
        )
    if about["export"] != FORMAT:
        raise RunError(
            f"{path} was written by another version of colab_kit.",
            f"its format is {about['export']}, and this version reads {FORMAT}",
            "upgrade colab-kit with pip, or export the run again with this version",
        )
    try:
        check(About, about)
        _check_limits(about["record"], about["choices"])
    except (ValueError, RecipeError) as err:
        raise RunError(f"{path} is no exported run that can be opened.", str(err), again) from err
    return dict(about)


@dataclass(frozen=True)
class DataFacts:
    """What an exported file says of the data that its run learned from."""

    name: str
    classes: list[str]
    task: str
    fingerprint: str
    sizes: dict[str, int]
    floats: bool


@dataclass(frozen=True)
class NetCall:
    """The call that makes a small network again."""

    net: str
    args: dict[str, Any]


@dataclass(frozen=True)
class BackboneCall:
    """The call that makes a named backbone with a head again."""

    backbone: str
    head: str | list[int]
    weights: str | None
    size: int | None


@dataclass(frozen=True)
class ModelFacts:
    """How its network is made: None where only its author can."""

    made_by: NetCall | BackboneCall | None
    weights: str


@dataclass(frozen=True)
class RunFacts:
    """What it keeps of run.json."""

    name: str
    key: str
    start: str
    created: float
    status: str
    reason: str
    recipe: dict[str, Any]
    data: DataFacts
    preprocess: Preprocess
    model: ModelFacts


@dataclass(frozen=True)
class ChoiceFacts:
    """What it keeps of a choice."""

    value: Any
    why: str
    by: str


@dataclass(frozen=True)
class Best:
    """What it says of the best validation."""

    step: int
    epoch: float
    file: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class About:
    """All that an exported file says of itself."""

    export: int
    record: RunFacts
    choices: dict[str, ChoiceFacts]
    history: list[dict[str, float]]
    best: Best | None
    start: str
    step: int


def _check_limits(record: dict[str, Any], choices: dict[str, Any]) -> None:
    """Refuse what no run of ours says of itself; ValueError names it."""
    how, data, made_by = record["preprocess"], record["data"], record["model"]["made_by"] or {}
    pairs = list(zip(how["mean"], how["std"], strict=True))
    values = {name: choice["value"] for name, choice in choices.items()}
    recipe = {k: tuple(v) if isinstance(v, list) else v for k, v in record["recipe"].items()}
    Recipe.of(None, recipe)  # refuses what no recipe says
    sides = [(how["size"], LARGEST_SIDE), (made_by.get("size"), LARGEST_SIDE)]
    sides += [(how["channels"], MOST_CHANNELS)]
    wishes = {
        "its classes": 1 <= len(data["classes"]) <= MOST_CLASSES,
        "its task": data["task"] in ("classification", "multilabel", "regression"),
        "its mean and std": pairs and all(math.isfinite(m) and 0 < s < math.inf for m, s in pairs),
        "its colours": len(pairs) in (1, how["channels"] or len(pairs)),
        "its size": all(n is None or n in range(1, most + 1) for n, most in sides),
        "its interpolation": how["interpolation"] in ("bilinear", "bicubic"),
        "its crop": 0 < how["crop"] <= 1 and how["resize"] in ("crop", "squash", "pad"),
        "its output": isinstance(values.get("output"), str),
        "its batch_size": values.get("batch_size") in range(1, LARGEST_BATCH + 1),
        "its precision": all(isinstance(values.get(n, ""), str) for n in ("precision", "features")),
        "its weights": made_by.get("weights") in (None, "default"),
    }
    for name, is_right in wishes.items():
        if not is_right:
            raise ValueError(f"{name} cannot be that of a run")


def _onnx(model: nn.Module, preprocess: dict[str, Any], about: dict[str, Any]) -> bytes:
    """Give the network as ONNX, with what is known of it in its metadata.

    Its input "x" is (n, C, H, W), as preprocessing leaves it: float32, or float64 where the
    weights are. Its output is "y".
    """
    onnx, _, runtime = (
        need(name, extra="onnx", why="export to .onnx")
        for name in ("onnx", "onnxscript", "onnxruntime")
    )
    size, channels = preprocess["size"], preprocess["channels"] or 3
    if size is None:
        raise ModelError(
            "This run has no one size of picture.",
            "an ONNX file is made by showing the network one",
            "export it as .safetensors, or train with image_size=",
        )
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    x = torch.linspace(-1, 1, 2 * channels * size**2).reshape(2, channels, size, size)
    if preprocess.get("doubles"):
        x = x.double()
    model.cpu().eval()
    try:
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            file = Path(folder) / "model.onnx"
            output = model(x)
            expected = output[0] if isinstance(output, (tuple, list)) else output
            _write_onnx(model, x, str(file))
            proto = onnx.load(str(file))
    finally:
        model.to(device)
    for name in ("record", "choices"):
        entry = proto.metadata_props.add()
        entry.key, entry.value = f"colab_kit.{name}", json.dumps(about[name])
    content: bytes = proto.SerializeToString()
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as err:  # its errors have no class in common
        raise _no_onnx(err) from err
    for rows in (2, 1):
        (result,) = session.run(["y"], {"x": x[:rows].numpy()})
        far = float((torch.from_numpy(result) - expected[:rows]).abs().max())
        if far > NEAR * max(1.0, float(expected.abs().max())):
            raise RunError(
                "The ONNX file computes something else.",
                f"its outputs are off by {far:.3g}",
                "export it as .safetensors",
            )
    return content


def _write_onnx(model: nn.Module, x: torch.Tensor, file: str) -> None:
    """Write by torch's exporter, or by its former one where that fails.

    It fails for torch 2.6 and today's onnxscript on a BatchNorm.
    """
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"], "verbose": False}
    new: dict[str, Any] = {"dynamo": True, "external_data": False, "dynamic_shapes": ({0: "n"},)}
    former: dict[str, Any] = {"dynamo": False, "dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}}
    try:
        torch.onnx.export(model, (x,), file, **new, **names)
    except Exception as err:  # a compiler of its own: anything may go wrong in it
        try:
            torch.onnx.export(model, (x,), file, **former, **names)
        except Exception:
            raise _no_onnx(err) from err


def _no_onnx(err: Exception) -> ModelError:
    line = re.sub(r"\x1b\[[0-9;]*m", "", next(iter(str(err).splitlines()), ""))  # no colours
    return ModelError(
        "The network cannot be written as ONNX.",
        f"{type(err).__name__}: {line}",
        "export it as .safetensors",
    )


def target_of(path: str | Path) -> Path:
    """Give the place that a user names for a file, if a Drive there is mounted."""
    target = Path(os.path.expanduser(path))
    target = target if target.is_absolute() else working_folder() / target
    refuse_unmounted(target, str(target))
    return target
