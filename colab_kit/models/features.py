"""Frozen features: what a backbone's head is given, computed once a view and kept for every head that comes.

A frozen backbone puts out the same numbers each epoch, so they are computed once: in eval, its BatchNorms folded into the convolutions.
They are kept in groups of one batch, and a pass that was killed goes on after the last whole group, to the bit: no picture is ever
computed beside others than the first time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..data.batches import Batch
from ..errors import ColabKitError
from ..system.files import Shelf
from ..system.row_store import open_store
from ..training.checkpoint import read, write
from .folding import folded
from .precision import Precision

SMALL = 64 << 20  # bytes: larger sets are not copied to the shelf
KEPT = 32  # sets of features that stay on the disk when no process uses them
VERSION = 1  # of what is computed: another one's features are not used again


def head_of(model: nn.Module, parameters: Sequence[str]) -> str:
    """The innermost part of a network that holds all of its main head.

    parameters : names of the head's, those of side heads last
    """
    name, head = parameters[0].rpartition(".")[0], set(parameters)
    found, most = name, 0
    while (
        name
        and (own := {f"{name}.{key}" for key, _ in model.get_submodule(name).named_parameters()})
        <= head
    ):
        if len(own) > most:
            found, most = name, len(own)
        name = name.rpartition(".")[0]
    return found


@contextmanager
def headless(model: nn.Module, head: str) -> Iterator[None]:
    """The model puts out what its head is given, for as long as the block lasts."""
    parent, _, child = head.rpartition(".")
    place = model.get_submodule(parent)
    own = place.get_submodule(child)
    setattr(place, child, nn.Identity())
    try:
        yield
    finally:
        setattr(place, child, own)


class Extractor:
    """A network up to its head: pictures in, what the head is given out.

    model : in eval, with its head    head : the head's name
    x : a batch of input, to see what the head is given

    Attributes
    ----------
    width : features a picture, or 0: the head is no last step on one row of numbers a picture
    why : the reason for 0
    """

    def __init__(self, model: nn.Module, head: str, x: torch.Tensor) -> None:
        self.head, self.width, self.why = head, 0, ""
        self._net = model.eval()
        self._own: nn.Module | None = None
        given: list[torch.Tensor] = []
        hook = model.get_submodule(head).register_forward_pre_hook(
            lambda _m, args: given.append(args[0])
        )
        with torch.no_grad():
            try:
                model(x)
            finally:
                hook.remove()
            with headless(model, head):
                out = model(x)
            if len(given) != 1 or given[0].ndim != 2 or not isinstance(out, torch.Tensor):
                self.why = "its head works on a map, not on one row of numbers a picture"
            elif not torch.allclose(model.get_submodule(head)(out), model(x), rtol=1e-3, atol=1e-4):
                self.why = "what its head gives is changed before it comes out"
            else:
                self.width = int(out.shape[1])

    def fold(self, x: torch.Tensor) -> None:
        """Go on with a copy whose BatchNorms are folded into its convolutions: the network itself stays as it is."""
        if self._own is None:
            with headless(self._net, self.head):
                made = folded(self._net, x)[0]
                self._own = made if made is not self._net else copy.deepcopy(made)

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, how: Precision) -> torch.Tensor:
        """Features of network input: float32 (n, width), on the CPU."""
        self.fold(x[:2])
        assert self._own is not None
        how.lay(self._own)
        with how.on(x.device):
            return self._own.eval()(how.input(x)).float().cpu()  # type: ignore[no-any-return]


def begun(place: Path, key: str, shelf: Shelf | None) -> bool:
    """Whether some features of this key are there, on the fast disk or on the shelf."""
    if (place / "features" / key / "rows").exists():
        return True
    with suppress(ColabKitError, OSError):
        return shelf is not None and bool(shelf.find(f"features/{key}.safetensors"))
    return False


class Features:
    """The features of one view of a split: float32 (n, width); nan in the rows of damaged pictures.

    On the fast disk where that has room; in memory, gone with the process, where it has not.

    Parameters
    ----------
    place : the kit's home
    key : a hash of what they are of
    rows : int64 (n,), of the source
    bounds : where each batch of the split begins and ends: they are computed together
    shelf : keeps a copy of small sets for the next machine, and has what an earlier one put there
    """

    def __init__(
        self,
        place: Path,
        key: str,
        rows: np.ndarray,
        width: int,
        bounds: Sequence[tuple[int, int]],
        shelf: Shelf | None = None,
    ) -> None:
        self.rows, self.width, self.bounds, self.key, self.place = rows, width, bounds, key, place
        self.shelf = shelf if len(rows) * width * 4 <= SMALL else None
        found = open_store(place, "features", key, (len(rows), width), np.float32, kept=KEPT)
        self._kept = None if isinstance(found, str) else found
        self._held = np.full((len(rows), width), np.nan, np.float32)
        self.done = 0  # groups
        while self.done < len(bounds) and self._take(*bounds[self.done]):
            self.done += 1
        if self.shelf is not None and not self.whole:
            self._fetch(self.shelf)

    def _fetch(self, shelf: Shelf) -> None:
        """Take what another machine has put on the shelf."""
        with suppress(ColabKitError, OSError):
            for copy in shelf.find(f"features/{self.key}.safetensors"):
                values = read(copy).tensors["features"].numpy()
                if values.shape == self._held.shape:
                    self._held[:], self.done = values, len(self.bounds)
                    for row in range(len(values) if self._kept is not None else 0):
                        self._kept.put(row, values[row])  # type: ignore[union-attr]

    def _keep(self, shelf: Shelf) -> None:
        """Put a copy on the shelf."""
        file = self.place / "features" / f"{self.key}.safetensors"
        with suppress(ColabKitError, OSError):
            write(file, {"features": self.values}, {"start": self.key, "step": 0})
            shelf.push(file, f"features/{file.name}")
            file.unlink()

    @property
    def whole(self) -> bool:
        return self.done == len(self.bounds)

    def _take(self, start: int, stop: int) -> bool:
        """Bring a group from the disk into memory; False if it is not there, or not whole."""
        if self._kept is None:
            return False
        for row in range(start, stop):
            if (found := self._kept.get(row)) is None:
                return False
            self._held[row] = found[0]
        return True

    def compute(
        self,
        batches: Iterator[Batch],
        extract: Callable[[torch.Tensor], torch.Tensor],
        told: Callable[[int], bool],
    ) -> None:
        """Compute the groups that are missing.

        batches : the split's, from number `done` on
        told : asked after each group, with how many there are now; False ends it
        """
        for batch in batches:
            start, stop = self.bounds[self.done]
            block = np.full((stop - start, self.width), np.nan, np.float32)
            if len(batch):
                block[np.isin(self.rows[start:stop], batch.index)] = extract(batch.x).numpy()
            self._held[start:stop] = block
            if self._kept is not None:
                for row in range(start, stop):
                    self._kept.put(row, self._held[row])
            self.done += 1
            if self.whole and self.shelf is not None:
                self._keep(self.shelf)
            if not told(self.done):
                break

    @property
    def values(self) -> torch.Tensor:
        """float32, (n, width)."""
        return torch.from_numpy(self._held)
