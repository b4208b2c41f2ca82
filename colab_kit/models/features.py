"""Frozen features: what a backbone's head is given, computed once a view and kept.

A frozen backbone gives the same numbers each epoch, so they are computed once: in eval, with its
BatchNorms folded into its convolutions. They are computed and kept in groups of one batch. A pass
that was killed goes on after the last whole group and gives the same bits: no picture is ever
computed in another batch than the first time.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.batches import Batch, BatchLoader
from ..data.fingerprints import of_array, of_split, of_value
from ..data.image_checks import contents_of
from ..data.sources import Chosen, Pictures
from ..errors import ColabKitError
from ..system import timings
from ..system.files import Shelf, digest
from ..system.memory import large_blocks_kept
from ..system.row_store import open_store
from .heads import put_layer
from .precision import Precision
from .weights import hooked, read, write

SMALL = 64 << 20  # bytes: larger sets are not copied to the shelf
KEPT = 32  # sets of features that stay on the disk when no process uses them
FETCH_EVERY = 0.1  # seconds between two times that an accelerator is waited for
VERSION = 2  # of what is computed: features of another version are not used again
NEAR = (
    1e-3  # of the largest output: how far folding may move an output; fp32 rounds differently then
)


class Features:
    """The features of one view of a split: float32 (n, width); nan in the rows of damaged pictures.

    They lie on the fast disk where it has room. Where it has not, they lie in memory and end with
    the process.

    Parameters
    ----------
    place : Path
        The kit's home.
    key : str
        A hash of what the features are of.
    rows : int64 (n,)
        Rows of the source.
    bounds : sequence of (int, int)
        Where each batch of the split begins and ends: its rows are computed together.
    shelf : Shelf, optional
        Keeps a copy of small sets for the next machine, and has what an earlier machine put there.
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
        store = open_store(place, "features", key, (len(rows), width), np.float32, kept=KEPT)
        self._store = None if isinstance(store, str) else store
        self._values = np.full((len(rows), width), np.nan, np.float32)
        self.done = 0  # groups
        while self.done < len(bounds) and self._read_group(*bounds[self.done]):
            self.done += 1
        if self.shelf is not None and not self.whole:
            self._take_from(self.shelf)

    @property
    def whole(self) -> bool:
        return self.done == len(self.bounds)

    @property
    def values(self) -> torch.Tensor:
        """float32, (n, width)."""
        return torch.from_numpy(self._values)

    @large_blocks_kept()
    def compute(
        self,
        batches: Iterator[Batch],
        extract: Callable[[torch.Tensor], torch.Tensor],
        go_on: Callable[[int], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Compute the missing groups.

        What an accelerator computed is fetched FETCH_EVERY seconds and at the end: each fetch waits
        for it. A kill loses no more than these groups.

        Parameters
        ----------
        batches : iterator of Batch
            The batches of the split, from number `done` on.
        extract : callable
            Turns network input into features, on any device.
        go_on : callable
            Is called after each group with the number of groups there are now; False ends the pass.
        """
        waiting, fetched = list[tuple[np.ndarray, torch.Tensor]](), clock()
        for batch in batches:
            features = extract(batch.x) if len(batch) else torch.empty(0, self.width)
            waiting.append((batch.index, features))
            done = self.done + len(waiting)
            is_here = features.device.type == "cpu"
            if is_here or done == len(self.bounds) or clock() - fetched >= FETCH_EVERY:
                self._fetch(waiting)
                fetched = clock()
            if not go_on(done):
                break
        self._fetch(waiting)

    def _fetch(self, waiting: list[tuple[np.ndarray, torch.Tensor]]) -> None:
        """Take what groups have in common: their rows and features, fetched in one go."""
        if not waiting:
            return
        sizes = [len(features) for _, features in waiting]
        with timings.during("forward"):
            device = waiting[-1][1].device
            values = torch.cat([features.to(device) for _, features in waiting]).cpu()
        for (index, _), features in zip(waiting, torch.split(values, sizes), strict=True):
            start, stop = self.bounds[self.done]
            block = np.full((stop - start, self.width), np.nan, np.float32)
            block[np.isin(self.rows[start:stop], index)] = features.numpy()
            self._values[start:stop] = block
            with timings.during("save"):
                self._write_rows(start, stop)
            self.done += 1
        waiting.clear()
        if self.whole and self.shelf is not None:
            self._put_on(self.shelf)

    def _read_group(self, start: int, stop: int) -> bool:
        """Read a group from the disk; False if it is missing or not whole."""
        if self._store is None:
            return False
        for row in range(start, stop):
            entry = self._store.get(row)
            if entry is None:
                return False
            self._values[row] = entry[0]
        return True

    def _write_rows(self, start: int, stop: int) -> None:
        if self._store is not None:
            for row in range(start, stop):
                self._store.put(row, self._values[row])

    def _take_from(self, shelf: Shelf) -> None:
        """Take what another machine has put on the shelf."""
        with suppress(ColabKitError, OSError):
            for file in shelf.find(f"features/{self.key}.safetensors"):
                kept = read(file)
                values = kept.tensors["features"].numpy()
                if kept.facts["start"] == self.key and values.shape == self._values.shape:
                    self._values[:], self.done = values, len(self.bounds)
                    self._write_rows(0, len(values))

    def _put_on(self, shelf: Shelf) -> None:
        """Put a copy on the shelf."""
        file = self.place / "features" / f"{self.key}.safetensors"
        with suppress(ColabKitError, OSError):
            write(file, {"features": self.values}, {"start": self.key, "step": 0})
            shelf.push(file, f"features/{file.name}")
            file.unlink()


def key_of(
    backbone: Any, loader: BatchLoader, fingerprint: str, precision: Precision, seen: Any
) -> str:
    """Hash what the features of a split are of.

    Parameters
    ----------
    backbone : LazyBackbone
        Surveyed: it knows its identity.
    fingerprint : str
        Of the data; picture files are known by their own content.
    seen : plain data
        The view: 0 is each picture as it is, a list draws by the row.
    """
    made_of: list[Any] = [backbone.identity, backbone.layer, loader.preprocess.as_json()]
    made_of += [_pictures(loader.split, fingerprint, seen), torch.__version__]
    ends = [*loader.bounds[:1], *loader.bounds[-1:]]
    return digest([VERSION, made_of, str(precision), seen, ends])[:16]


def _pictures(split: Chosen, fingerprint: str, seen: Any) -> list[Any]:
    """Say what pictures a split holds, in its order.

    Of files it is their content: moved, renamed or under another label they have the same features.
    What is drawn for a view (a list says how) goes by the row.
    """
    source = split.source
    if not isinstance(source, Pictures):
        return [fingerprint, of_split(split.rows, source.labels[split.rows])]
    rows = of_array(split.rows) if isinstance(seen, list) else None
    return [of_value(contents_of(source, split.rows)), source.span, rows]


def begun(place: Path, key: str, shelf: Shelf | None) -> bool:
    """Whether some features of this key are there, on the fast disk or on the shelf."""
    if (place / "features" / key / "rows").exists():
        return True
    with suppress(ColabKitError, OSError):
        return shelf is not None and bool(shelf.find(f"features/{key}.safetensors"))
    return False


@contextmanager
def headless(model: nn.Module, head: str) -> Iterator[None]:
    """Let the model put out what its head is given, for as long as the block lasts."""
    layer = model.get_submodule(head)
    put_layer(model, head, nn.Identity())
    try:
        yield
    finally:
        put_layer(model, head, layer)


def features_width(model: nn.Module, head: str, x: torch.Tensor) -> tuple[int, str]:
    """Count the features a picture; 0 and the reason if they cannot replace the backbone.

    Parameters
    ----------
    model : Module
        The network with its head. It is left in eval.
    head : str
        Name of the head in the network.
    x : Tensor
        Network input; two rows are enough.
    """
    inputs: list[torch.Tensor] = []
    layer = model.eval().get_submodule(head)
    with torch.no_grad():
        with hooked(model, [head], lambda _name, _layer, args, _out: inputs.append(args[0])):
            answer = model(x)
        if len(inputs) != 1 or inputs[0].ndim != 2:
            return 0, "its head works on a map, not on one row of numbers a picture"
        try:
            with headless(model, head):
                out = model(x)
            same = torch.allclose(layer(out), answer, rtol=1e-3, atol=1e-4)
        except (RuntimeError, TypeError):  # other shapes, or several tensors
            same = False
    if not same:
        return 0, "the model changes the head's output, so features cannot replace the backbone"
    return int(out.shape[1]), ""


def folded(model: nn.Module, x: torch.Tensor) -> tuple[nn.Module, int]:
    """Copy `model` in eval, fold BatchNorms into the convolutions that feed them, and count them.

    Which convolution feeds which BatchNorm is seen, not guessed: one batch goes through, and a
    BatchNorm is folded where its input is the very tensor that a convolution put out, each of them
    run once. The outputs of the copy are compared with the model's. Where they differ, the model
    itself is returned.

    Parameters
    ----------
    x : Tensor
        Network input, (n, …).
    """
    model.eval()
    with torch.no_grad():
        pairs, before = _pairs(model, x)
        if not pairs:
            return model, 0
        net = copy.deepcopy(model)
        for conv, norm in pairs:
            _fold(net, conv, norm)
        after = _first_tensor(net(x))
        if after.shape == before.shape:
            if float((after - before).abs().max()) <= NEAR * float(before.abs().max()):
                return net, len(pairs)
    return model, 0


def _pairs(model: nn.Module, x: torch.Tensor) -> tuple[list[tuple[str, str]], torch.Tensor]:
    """Name each convolution and the BatchNorm after it, and give what the model puts out."""
    conv_of_output: dict[int, str] = {}
    conv_of_norm: dict[str, str] = {}
    runs: dict[str, int] = {}
    outputs: list[torch.Tensor] = []  # kept alive, so that no two tensors have one id

    def watch(name: str, module: nn.Module, inputs: Any, out: Any) -> None:
        runs[name] = runs.get(name, 0) + 1
        if isinstance(module, nn.Conv2d):
            conv_of_output[id(out)] = name
            outputs.append(out)
        elif inputs and id(inputs[0]) in conv_of_output:
            conv_of_norm[name] = conv_of_output[id(inputs[0])]

    # timm's BatchNorm, which also drops and activates, is a BatchNorm2d too
    layers = [
        name
        for name, m in model.named_modules()
        if isinstance(m, nn.Conv2d) or (isinstance(m, nn.BatchNorm2d) and m.running_var is not None)
    ]
    with hooked(model, layers, watch):
        out = _first_tensor(model(x))
    feeders = list(conv_of_norm.values())
    pairs = [
        (conv, norm)
        for norm, conv in conv_of_norm.items()
        if runs[norm] == 1 == runs[conv] == feeders.count(conv)
    ]
    return pairs, out


def _fold(model: nn.Module, conv_name: str, norm_name: str) -> None:
    conv: Any = model.get_submodule(conv_name)
    norm: Any = model.get_submodule(norm_name)
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    if norm.bias is not None:
        shift = norm.bias + shift
    if conv.bias is not None:
        shift = conv.bias * scale + shift
    conv.weight = nn.Parameter(conv.weight * scale.view(-1, 1, 1, 1), requires_grad=False)
    conv.bias = nn.Parameter(shift, requires_grad=False)
    rest = [getattr(norm, name, None) for name in ("drop", "act")]
    put_layer(model, norm_name, nn.Sequential(*[m for m in rest if isinstance(m, nn.Module)]))


def _first_tensor(out: Any) -> torch.Tensor:
    while not isinstance(out, torch.Tensor):
        out = next(iter(out.values() if isinstance(out, dict) else out))
    return out
