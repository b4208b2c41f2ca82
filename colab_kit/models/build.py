"""How a network is made: from what the user gave, under the run's key, or from what a record says.

A lazy backbone knows what an earlier call noted of it, and builds its network when somebody asks.
"""

from __future__ import annotations

import copy
import functools
import inspect
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from ..data import keyed_random
from ..errors import ModelError
from ..events import Control
from ..system.files import Shelf
from ..system.timings import during
from . import nets
from .backbone_notes import BackboneNote, note_file
from .backbones import Backbone, backbone
from .features import features_width, folded, headless
from .heads import Head, main_layer, make_head, put_layer, replace_head
from .precision import Precision
from .weights import put, untouched, weights_hash


def make(model: Any, seed: int) -> nn.Module:
    """Make the network: a Module stays as it is; a class is called under the run's seed.

    Raises
    ------
    ModelError
        `model` is neither, or cannot be made without arguments.
    """
    if isinstance(model, nn.Module):
        return model
    if not callable(model):
        why = "an nn.Module, or a class or function that makes one, was expected"
        raise ModelError(f"model= is a {type(model).__name__}.", why, "kit.train(model, data)")
    with keyed_random.outer_streams_kept():
        keyed_random.seed_all(seed, keyed_random.INIT)
        try:
            network = model()
        except TypeError as err:
            name = getattr(model, "__name__", "the model")
            maker = f"{name}(…)" if inspect.isclass(model) else f"lambda: {name}(…)"
            what = f"{name} cannot be made without arguments."
            fix = f"make it yourself: kit.train({maker}, data)"
            raise ModelError(what, str(err), fix) from err
    if not isinstance(network, nn.Module):
        what = f"model= made a {type(network).__name__}."
        raise ModelError(what, "an nn.Module was expected", "let it return the network")
    return network


def is_lazy(model: nn.Module) -> bool:
    """Whether some layer learns its shape from the first batch."""
    lazy = (UninitializedBuffer, UninitializedParameter)
    return any(isinstance(t, lazy) for t in [*model.parameters(), *model.buffers()])


def materialise(model: nn.Module, x: torch.Tensor, seed: int) -> bool:
    """Give lazy layers their shapes from one batch, and say whether there were any.

    Their weights are drawn under the run's seed.
    """
    if not is_lazy(model):
        return False
    was_training = model.training
    with keyed_random.outer_streams_kept(), torch.no_grad():
        keyed_random.seed_all(seed, keyed_random.INIT)
        try:
            model.eval()(x)
        except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as err:
            shape = tuple(x.shape)
            raise ModelError(
                f"The network's lazy layers cannot be made for pictures of shape {shape}.",
                f"{type(err).__name__}: {str(err).splitlines()[0]}",
                "fit the layers before them to (pictures, channels, height, width), "
                "or put nn.Flatten() first",
            ) from err
        finally:
            model.train(was_training)
    return True


class LazyBackbone:
    """A backbone with a new head, whose network is built when somebody first reads `module`.

    Building resnet18 imports torchvision (a second) and reads 45 MB. A head on kept features needs
    neither. What was learned when a named backbone was built stands in a note, on the disk and on
    the shelf; with it a later call knows all but the network itself.

    Parameters
    ----------
    source : str, Module or Backbone
        As `backbone` takes it.
    classes : int
        Width of the new head's output.
    head : "linear", sequence of int, or Module
        As `replace_head` takes it.
    weights : "default", None, or a path
    image_size : int, optional
        Side of the pictures in pixels, if not the backbone's own.
    seed : int
        The run's seed. The head's weights are drawn under it.
    shelf : Shelf, optional
        Keeps notes and weight files for the next machine.
    load : bool
        As `backbone` takes it: False where a run's own weights will follow.
    control : Control, optional
        May stop the download of the weights.
    use_notes : bool
        False where other weights will replace the published ones: nothing is read from notes, and
        none is written.

    Attributes
    ----------
    name : str
    preprocess : Preprocess
        How pictures become the network's input.
    made_by : dict or None
        The plain call that makes the network again; None for a network or a head of the user's own.
    layer : str
        The head's name in the network.
    head : Module
        The new head, which stays the same object when the network is built.
    head_names : list of str
        Full names of the parameters of the head, side heads included.
    can_be_noted : bool
        Whether this is a named backbone with its published weights: then a run may keep the head
        alone.
    identity : str
        A hash of all tensors but the head's. Empty until `survey`, unless a note has it.
    width : int
        Features a picture. 0: features cannot replace the backbone, or `survey` has not run.
    why_not : str
        The reason why features cannot replace the backbone.
    """

    def __init__(
        self,
        source: Any,
        *,
        classes: int,
        head: Head = "linear",
        weights: str | Path | None = "default",
        image_size: int | None = None,
        seed: int = 0,
        shelf: Shelf | None = None,
        load: bool = True,
        control: Control | None = None,
        use_notes: bool = True,
    ) -> None:
        named = isinstance(source, str) and not isinstance(head, nn.Module)
        self.made_by: dict[str, Any] | None = None
        if named:
            published = None if weights is None else "default"
            how = {"backbone": source, "weights": published, "head": head, "size": image_size}
            self.made_by = how
        self.can_be_noted = named and weights == "default" and load and use_notes
        self.identity, self.width, self.why_not = "", 0, ""
        self.head_names: list[str] = []
        self._shelf, self._seed, self._size = shelf, seed, image_size
        options: Any = {"weights": weights, "load": load, "shelf": shelf, "control": control}
        self._make = functools.partial(backbone, source, **options)
        self._put_head = functools.partial(replace_head, classes=classes, head=head)
        self._module: nn.Module | None = None
        self._headless_copy: nn.Module | None = None
        self._is_channels_last = False  # by us: the network's own layout stays
        note = BackboneNote.find(source, shelf) if self.can_be_noted else None
        if note is None:
            base = self._build()
            self._module, self.name, self.preprocess = base.model, base.name, base.preprocess
            self.layer = main_layer(self._module, self.head_names)
            self.head = self._module.get_submodule(self.layer)
            return
        self.name, self.preprocess, self.layer = source, note.preprocess, note.layer
        self.identity, self.width = note.identity, note.width
        with keyed_random.outer_streams_kept():
            old = nn.Linear(note.width, 1)
            keyed_random.seed_all(seed, keyed_random.INIT, 1)
            self.head = make_head(old, classes, head)
        self.head_names = [f"{self.layer}.{name}" for name, _ in self.head.named_parameters()]

    def _build(self) -> Backbone:
        """Make the backbone and put a new head on it."""
        with keyed_random.outer_streams_kept(), during("network"):
            keyed_random.seed_all(self._seed, keyed_random.INIT)
            base = self._make()
            # seeded again: the head's weights do not depend on what the backbone drew
            keyed_random.seed_all(self._seed, keyed_random.INIT, 1)
            side = self._size or base.preprocess.size or 224
            self.head_names = self._put_head(base.model, old_classes=base.classes, size=side)
        return base

    @property
    def is_built(self) -> bool:
        return self._module is not None

    @property
    def module(self) -> nn.Module:
        """The whole network with this head in it."""
        if self._module is None:
            network = self._build().model
            self._compare(network)
            put_layer(network, self.layer, self.head)
            self._module = network.train(self.head.training)
        return self._module

    def _compare(self, network: nn.Module) -> None:
        """Refuse a network that is not the one its note tells of: features were of that one.

        Raises
        ------
        ModelError
            The note is removed then, so that the next call learns what it says anew.
        """
        if weights_hash(network, without=self.head_names) != self.identity:
            note_file(self.name).unlink(missing_ok=True)
            raise ModelError(
                f"The weights of {self.name} are not those that were noted of it.",
                "its weight file, or the package that brings it, was replaced since",
                "run the cell again: the note is removed, and all is learned from these weights",
            )

    @functools.cached_property
    def head_alone(self) -> nn.Module:
        """The head under its full name: features (n, width) in, scores out."""
        return HeadAlone(self.layer, self.head)

    @property
    def linear(self) -> nn.Linear | None:
        """The one linear layer of the head; None if it has several layers, or another kind."""
        own = [
            m for m in self.head.modules() if next(m.parameters(recurse=False), None) is not None
        ]
        if len(own) == 1 and type(own[0]) is nn.Linear and own[0].bias is not None:
            return own[0]
        return None

    @property
    def features_width(self) -> int:
        """Features a picture, also of a backbone that nobody surveyed: what its head is given."""
        layers = (m for m in self.head.modules() if isinstance(m, nn.Linear))
        return self.width or next(layers).in_features

    def survey(self, x: torch.Tensor) -> str:
        """Learn `identity`, `width` and `why_not` from the untrained network, and write the note.

        Parameters
        ----------
        x : Tensor
            Network input; two rows are enough.

        Returns
        -------
        str
            Why features cannot replace the backbone; empty if they can.
        """
        if self._module is not None:
            with untouched(self._module):
                self.width, self.why_not = features_width(self._module, self.layer, x[:2])
            self.identity = weights_hash(self._module, without=self.head_names)
            if self.can_be_noted and self.width:
                note = BackboneNote(self.layer, self.width, self.identity, self.preprocess)
                note.keep(self.name, self._shelf)
        return self.why_not

    @torch.no_grad()
    def features(self, x: torch.Tensor, precision: Precision) -> torch.Tensor:
        """Return what the head is given for network input `x`: float32 (n, width), on its device.

        A copy of the network computes it, its BatchNorms folded into its convolutions: the network
        stays as it is.
        """
        if self._headless_copy is None:
            with headless(self.module, self.layer):
                net = folded(self.module, x[:2])[0]
                net = copy.deepcopy(net) if net is self.module else net
                self._headless_copy = net.eval()
        if self._is_channels_last != precision.channels_last:
            self._headless_copy.to(memory_format=precision.memory_format)
            self._is_channels_last = precision.channels_last
        with precision.on(x.device):
            features: torch.Tensor = self._headless_copy(precision.input(x))
            return features.float()


class HeadAlone(nn.Module):
    """The head of a network alone, under its full name in the network: features in, scores out."""

    def __init__(self, layer: str, head: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        *parents, last = layer.split(".")
        place: nn.Module = self
        for name in parents:
            place.add_module(name, nn.Module())
            place = place.get_submodule(name)
        place.add_module(last, head)

    def forward(self, x: torch.Tensor) -> Any:
        return self.get_submodule(self.layer)(x)


def remake(
    record: dict[str, Any], model: Any, weights: dict[str, torch.Tensor], shelf: Shelf | None = None
) -> nn.Module:
    """Make the network of a run's record with these weights, as `remade` does."""
    made = remade(record, model, weights, shelf)
    return made.module if isinstance(made, LazyBackbone) else made


def remade(
    record: dict[str, Any], model: Any, weights: dict[str, torch.Tensor], shelf: Shelf | None = None
) -> nn.Module | LazyBackbone:
    """Make the network of a run's record with these weights: of a named one, the backbone.

    Raises
    ------
    ModelError
        The network given does not fit the weights.
    """
    how, name = record["model"]["made_by"], record["name"]
    base: LazyBackbone | None = None
    identity = record["model"].get("backbone")  # of a run that keeps the head's weights alone
    if model is not None:
        network = make(model, 0)
    elif "net" in how:
        network = nets.again_for(how, weights)
    else:
        _check_head(how, len(record["data"]["classes"]), weights)
        base = LazyBackbone(
            how["backbone"],
            classes=len(record["data"]["classes"]),
            head=tuple(how["head"]) if isinstance(how["head"], list) else how["head"],
            weights=how["weights"],
            image_size=how["size"],
            shelf=shelf,
            load=identity is not None,
            use_notes=False,
        )
        network, base.identity = base.module, identity or ""
        if identity is not None and weights_hash(network, without=base.head_names) != identity:
            raise ModelError(
                f"The weights of {base.name} have changed.",
                f"run {name} keeps its head alone, which was fitted on other published weights",
                "install the versions of torchvision and timm of that time, or train again",
            )
    try:
        put(network, weights if identity is None else {**network.state_dict(), **weights})
    except RuntimeError as err:
        what = f"The network does not fit the weights of run {name}."
        why = str(err).splitlines()[-1].strip()
        raise ModelError(what, why, "pass the network it was trained with") from err
    return base or network


def _check_head(how: dict[str, Any], classes: int, weights: dict[str, torch.Tensor]) -> None:
    """Refuse a head that is larger than these weights, before it is made.

    Raises
    ------
    ModelError
    """
    inner = how["head"] if isinstance(how["head"], list | tuple) else []
    widths, layers = [*inner, classes], [tensor.shape for tensor in weights.values()]
    shapes = {tuple(shape[:2]) for shape in layers if len(shape) > 1}
    is_first = any(shape[0] == widths[0] for shape in shapes)
    if is_first and {(after, before) for before, after in pairwise(widths)} <= shapes:
        return
    raise ModelError(
        "The network does not fit the weights of its run.",
        f"they have no head of {', '.join(map(str, widths))} numbers",
        "open the file that the run was exported to, as it was written",
    )
