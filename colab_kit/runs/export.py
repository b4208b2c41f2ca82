"""Exporting: a trained network as one file that another machine opens: weights and what is known of them, no pickle, no code."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import ModelError, RunError
from ..system.files import is_whole, write_whole
from ..system.runtime import need
from ..training import checkpoint
from .record import FORMAT

KEPT = (
    "name",
    "key",
    "start",
    "created",
    "status",
    "reason",
    "recipe",
    "data",
    "preprocess",
    "model",
)  # of a run's record
NEAR = 1e-3  # how far an ONNX file's outputs may be off, of the largest


def save_weights(model: nn.Module, target: Path) -> Path:
    """A plain state_dict that torch or safetensors loads, by the ending: .pth, .pt or .safetensors.

    Raises
    ------
    RunError
        Another ending.
    """
    from safetensors.torch import save

    state = {
        k: v.detach().cpu().clone(memory_format=torch.contiguous_format)
        for k, v in model.state_dict().items()
    }
    if target.suffix == ".safetensors":
        write_whole(target, save(state))
    elif target.suffix in (".pth", ".pt"):
        out = io.BytesIO()
        torch.save(state, out)
        write_whole(target, out.getvalue())
    else:
        why = "weights are saved as .pth or .safetensors"
        raise RunError(
            f"{target.name} has no known ending.", why, f"write {target.stem}.safetensors"
        )
    return target


def export(
    target: Path,
    model: nn.Module,
    record: dict[str, Any],
    choices: dict[str, Any],
    facts: dict[str, Any],
) -> Path:
    """One file by its ending: .safetensors, sealed, which `open_run` opens anywhere; or .onnx.

    Parameters
    ----------
    record, choices, facts : of the run: how it is made and was trained; its history and best validation

    Raises
    ------
    RunError
        Another ending, or an ONNX file that computes something else.
    MissingExtra
        .onnx without the `onnx` extra.
    """
    record = {
        **record,
        "model": {k: v for k, v in record["model"].items() if k != "backbone"},
    }  # all weights are in the file
    about = {
        "export": FORMAT, "record": {name: record[name] for name in KEPT if name in record}, "choices": choices,
        "history": list(facts.get("history", [])), "best": facts.get("best"), "start": record["start"], "step": facts.get("step", 0),
    }  # fmt: skip
    if target.suffix == ".safetensors":
        weights = {f"model/{name}": t for name, t in model.state_dict().items()}
        checkpoint.write(target, weights, about)
    elif target.suffix == ".onnx":
        write_whole(target, _onnx(model, record, about))
    else:
        raise RunError(
            f"{target.name} has no known ending.",
            "a run is exported as .safetensors or .onnx",
            f"write {target.stem}.safetensors",
        )
    return target


def exported(path: Path) -> dict[str, Any] | None:
    """What an exported file says of itself; None: it is no such file.

    Raises
    ------
    RunError
        It is one, and damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file() or path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, "pt") as file:
            found = json.loads((file.metadata() or {}).get("facts", "{}"))
    except (SafetensorError, ValueError, OSError) as err:
        raise RunError(
            f"{path} cannot be read.", str(err), "copy it here again, or export the run again"
        ) from err
    if "export" not in found:
        return None
    if found["export"] < FORMAT:
        why = f"its format is {found['export']}, and this version reads {FORMAT}"
        raise RunError(
            f"{path} was written by an older colab_kit.", why, "train it again and export that run"
        )
    if not is_whole(path):
        raise RunError(
            f"{path} is damaged.",
            "its sha256 is not the one it was written with",
            "copy it here again, or export the run again",
        )
    return dict(found)


def _onnx(model: nn.Module, record: dict[str, Any], about: dict[str, Any]) -> bytes:
    """The network as ONNX: input "x", float32 (n, C, H, W) as preprocessing leaves it; output "y". What it is, is in its metadata."""
    onnx = need("onnx", extra="onnx", why="export to .onnx")
    need("onnxscript", extra="onnx", why="export to .onnx")
    runtime = need("onnxruntime", extra="onnx", why="export to .onnx")
    how = record["preprocess"]
    if how["size"] is None:
        fix = "export it as .safetensors, or train with image_size="
        raise ModelError(
            "This run has no one size of picture.",
            "an ONNX file is made by showing the network one",
            fix,
        )
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    x = torch.linspace(-1, 1, 2 * (how["channels"] or 3) * how["size"] ** 2).reshape(
        2, how["channels"] or 3, how["size"], how["size"]
    )
    model.cpu().eval()
    try:
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            file = Path(folder) / "model.onnx"
            expected = _first(model(x))
            _written(model, x, str(file))
            made = onnx.load(str(file))
    finally:
        model.to(device)
    for name in ("record", "choices"):
        entry = made.metadata_props.add()
        entry.key, entry.value = f"colab_kit.{name}", json.dumps(about[name])
    content: bytes = made.SerializeToString()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for rows in (2, 1):
        (found,) = session.run(["y"], {"x": x[:rows].numpy()})
        far = float((torch.from_numpy(found) - expected[:rows]).abs().max())
        if far > NEAR * max(1.0, float(expected.abs().max())):
            raise RunError(
                "The ONNX file computes something else.",
                f"its outputs are off by {far:.3g}",
                "export it as .safetensors",
            )
    return content


def _written(model: nn.Module, x: torch.Tensor, file: str) -> None:
    """By torch's exporter; by its former one where that cannot (torch 2.6 and today's onnxscript on a BatchNorm)."""
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"], "verbose": False}
    try:
        torch.onnx.export(
            model, (x,), file, dynamic_shapes=({0: "n"},), dynamo=True, external_data=False, **names
        )
    except Exception as err:  # a compiler of its own: anything may go wrong in it
        try:
            torch.onnx.export(
                model,
                (x,),
                file,
                dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
                dynamo=False,
                **names,
            )
        except Exception:
            why = f"{type(err).__name__}: {next(iter(str(err).splitlines()), '')}"
            raise ModelError(
                "The network cannot be written as ONNX.", why, "export it as .safetensors"
            ) from err


def _first(output: Any) -> torch.Tensor:
    parts: Sequence[Any] = output if isinstance(output, (tuple, list)) else [output]
    return parts[0]  # type: ignore[no-any-return]
