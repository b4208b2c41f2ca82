"""Inference: a network looks at pictures, for validation, evaluation and prediction alike.

Who asks changes no number: training validates through `scores`, and so does all that is asked of a
run later, in the precision that was chosen for it. Where a backbone is frozen, its features stand
for pictures, as they did in training, and those of a known split are kept: the next look at it
costs a matrix product.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data import keyed_random
from ..data.batches import Batch, BatchLoader
from ..errors import ModelError
from ..events import Control, LookProgress, Note, interrupts_stop
from ..system.files import Shelf, home
from ..system.memory import large_blocks_kept
from .build import LazyBackbone
from .features import Features, key_of
from .precision import PLAIN, Precision, floated
from .weights import weights_hash

KEPT = 4  # splits whose features stay in memory
PATIENCE = 2.0  # seconds: a look that takes longer says how far it is
REDRAW = 0.1  # seconds between two times that it says so
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")  # torch's own words
Scores = Callable[[torch.Tensor], torch.Tensor]  # network input -> float32, a row a picture


def primary(output: Any) -> torch.Tensor:
    """Give the logits among a network's outputs: Inception and GoogLeNet add auxiliary ones."""
    match output:
        case torch.Tensor():
            return output
        case [torch.Tensor() as first, *_] | {"logits": torch.Tensor() as first}:
            return first
    raise ModelError(
        f"The network puts out a {type(output).__name__}.",
        "a tensor of shape (pictures, classes) is needed",
        "let forward return the class scores alone",
    )


def outputs(net: Callable[[Any], Any], x: torch.Tensor, precision: Precision) -> Any:
    """Compute a network's output: in float32, whatever it computes in."""
    if precision == PLAIN:
        return floated(net(x))
    with precision.on(x.device):
        return floated(net(precision.input(x)))


def scores(
    net: Callable[[Any], Any], x: torch.Tensor, precision: Precision, pieces: int = 1
) -> torch.Tensor:
    """Compute the scores of a batch, piece by piece: (n, …), on its device."""
    return torch.cat([primary(outputs(net, x[part], precision)) for part in parts(len(x), pieces)])


def parts(n: int, k: int) -> Iterator[slice]:
    """Cut n pictures into at most k parts of nearly one size.

    No part is a single picture: BatchNorm cannot learn from one.
    """
    k = max(1, min(k, n // 2))
    return (slice(n * i // k, n * (i + 1) // k) for i in range(k))


def is_out_of_memory(err: BaseException) -> bool:
    """Whether there is not enough memory, of a GPU or of the machine."""
    if isinstance(err, torch.OutOfMemoryError):
        return True
    return isinstance(err, RuntimeError) and any(words in str(err) for words in _NO_MEMORY)


def let_go(err: BaseException) -> None:
    """Free what a failed step left behind: the frames of its traceback hold its tensors."""
    cause: BaseException | None = err
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


class Watch:
    """Say how far a look is, once it takes long, and end it where somebody says stop.

    Parameters
    ----------
    name : str
        What is looked at.
    total : int
        Pictures.
    emit : callable(event)
    control : Control
    """

    def __init__(
        self,
        name: str,
        total: int,
        emit: Callable[[Any], None] = lambda event: None,
        control: Control | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.total, self.emit, self.clock = name, total, emit, clock
        self.control = control or Control()
        self.done, self.began, self.spoke = 0, clock(), 0.0

    def __call__(self, done: int) -> bool:
        """Hear that so many pictures are done; False ends the look."""
        self.done, seconds = done, self.clock() - self.began
        is_due = seconds >= max(PATIENCE, self.spoke + REDRAW)
        if is_due and done < self.total:
            self.spoke = seconds
            left = seconds / max(1, done) * (self.total - done)
            self.emit(LookProgress(self.name, done, self.total, left))
        return not self.control.stopped

    def end(self) -> None:
        """Take the bar away, and say where the look was ended early."""
        if self.spoke:
            self.emit(LookProgress(self.name, self.total, self.total, 0.0))
        if self.control.stopped and self.done < self.total:
            seen = f"after {self.done:,} of {self.total:,} pictures of {self.name}"
            self.emit(Note(f"Stopped {seen}: what follows is of these alone.", "warn"))


@contextmanager
def watched(name: str, total: int, emit: Callable[[Any], None]) -> Iterator[Watch]:
    """Watch a look; the first interrupt ends it with what is there."""
    control = Control()
    watch = Watch(name, total, emit, control)
    with interrupts_stop(
        control, emit, "finishing this batch. Then the cell returns what is there"
    ):
        try:
            yield watch
        finally:
            watch.end()


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network puts out for the pictures that could be read.

    outputs : float32, (n, …)
    labels : as the split has them
    rows : int64, (n,), of the source
    seen : pictures that were looked at, the damaged ones too
    """

    outputs: torch.Tensor
    labels: np.ndarray
    rows: np.ndarray
    seen: int

    @classmethod
    def none(cls, seen: int = 0) -> Answers:
        return cls(torch.empty(0, 0), np.empty(0, np.int64), np.empty(0, np.int64), seen)


class Inference:
    """A trained network, ready to look.

    Parameters
    ----------
    make : callable
        It gives the network when somebody first asks: a Module; or a backbone that was frozen, with
        its trained head.
    device : torch.device
    precision : Precision
        The one that the run validated in; of a frozen backbone, that of its features.
    seed : int
        The run's: a network that draws random numbers draws those of training's validation.
    shelf : Shelf, optional
        Keeps features for the next machine.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module | LazyBackbone],
        device: torch.device,
        precision: Precision = PLAIN,
        *,
        seed: int = 0,
        shelf: Shelf | None = None,
    ) -> None:
        self._make, self.device, self.precision, self.seed = make, device, precision, seed
        self.shelf, self._pieces = shelf, 1
        self._network: nn.Module | LazyBackbone | None = None
        self._seal: list[Any] | None = None
        self._kept: dict[str, Features] = {}

    def find(self) -> nn.Module | LazyBackbone:
        """Find the network; whoever changes it from here on is noticed."""
        if self._network is None:
            self._network = self._make()
            if isinstance(self._network, LazyBackbone) and self._network.is_built:
                self._seal = _marks(self._network.module.to(self.device))
        return self._network

    @property
    def model(self) -> nn.Module:
        """The whole network, on the device and in eval."""
        return self._build()

    def _build(self) -> nn.Module:
        network = self.find()
        model = network.module if isinstance(network, LazyBackbone) else network
        model = model.to(self.device).eval()
        if isinstance(network, LazyBackbone) and self._seal is None:
            self._seal = _marks(model)
        return model

    @property
    def frozen(self) -> LazyBackbone | None:
        """The backbone whose features stand for pictures; None where all of the network is asked.

        So it is where somebody changed the network after it was trained.
        """
        network = self.find()
        if not isinstance(network, LazyBackbone):
            return None
        if network.is_built and self._seal and _marks(network.module) != self._seal:
            return None
        network.head.to(self.device).eval()
        return network

    @property
    def scores(self) -> Scores:
        """What gives the scores of network input: float32 (n, …)."""
        if (frozen := self.frozen) is not None:
            features = self._features(frozen)
            return lambda x: self._of_features(frozen, features(x))
        model = self.model
        self.precision.lay(model)
        return lambda x: self._as_fits(lambda k: scores(model, x, self.precision, k), len(x))

    def split(self, loader: BatchLoader, watch: Watch, fingerprint: str = "") -> Answers:
        """Look at a split.

        Parameters
        ----------
        fingerprint : str
            Of its data: features are kept under it. "": they are not kept.
        """
        frozen = self.frozen
        if frozen is None or not fingerprint:
            return self.over(loader.in_order(), loader.bounds, self.scores, watch)
        features, split = self._kept_features(frozen, loader, fingerprint), loader.split
        if not features.whole:
            loader.keeps_pixels = False  # the features are kept, a hundredth of the bytes
            extract, batches = self._features(frozen), loader.in_order(first=features.done)
            with keyed_random.outer_streams_kept(), closing(batches):  # type: ignore[type-var]
                features.compute(
                    batches,
                    extract,
                    lambda done: watch(loader.bounds[done - 1][1]),
                )
        seen = loader.bounds[features.done - 1][1] if features.done else 0
        good = np.flatnonzero(np.isfinite(features.values[:seen, 0].numpy()))
        rows, x = split.rows[good], features.values
        found = self._of_features(frozen, x if len(good) == len(x) else x[good])
        return Answers(found.cpu(), split.source.labels[rows], rows, seen)

    @torch.no_grad()
    def over(
        self, batches: Iterable[Batch], bounds: list[tuple[int, int]], look: Scores, watch: Watch
    ) -> Answers:
        """Look at batches, until somebody says stop; the figures are fetched at the end.

        What they are kept in is made once: between the large blocks of the batches, many small
        results leave holes that glibc before 2.38 does not use again, 1 MB a batch.
        """
        found: torch.Tensor | None = None
        labels, rows, n, seen = torch.empty(0), np.empty(bounds[-1][1], np.int64), 0, 0
        memory = large_blocks_kept() if len(bounds) > 1 else nullcontext()
        with keyed_random.outer_streams_kept(), memory, closing(batches):  # type: ignore[type-var]
            for number, (batch, (_, seen)) in enumerate(zip(batches, bounds, strict=True)):
                keyed_random.seed_torch(self.seed, keyed_random.VALID, number)
                if len(batch):
                    out, y = look(batch.x), batch.y
                    if found is None:
                        found = out.new_empty((len(rows), *out.shape[1:]))
                        labels = y.new_empty((len(rows), *y.shape[1:]))
                    part = slice(n, n + len(batch))
                    found[part], labels[part], rows[part] = out, y, batch.index
                    n = part.stop
                if not watch(seen):
                    break
        if found is None:
            return Answers.none(seen)
        return Answers(found[:n].cpu(), labels[:n].cpu().numpy(), rows[:n], seen)

    def _kept_features(
        self, frozen: LazyBackbone, loader: BatchLoader, fingerprint: str
    ) -> Features:
        """Open the features of a split, as far as they are there."""
        if not frozen.identity:
            frozen.identity = weights_hash(self.model, without=frozen.head_names)
        key = key_of(frozen, loader, fingerprint, self.precision, 0)
        if key not in self._kept:
            rows, width = loader.split.rows, frozen.features_width
            self._kept[key] = Features(home(), key, rows, width, loader.bounds, self.shelf)
        for old in list(self._kept)[:-KEPT]:
            del self._kept[old]  # it is on the disk still
        return self._kept[key]

    def _features(self, frozen: LazyBackbone) -> Scores:
        if not frozen.is_built:
            self._build()

        def features(x: torch.Tensor) -> torch.Tensor:
            def piece_by_piece(k: int) -> torch.Tensor:
                pieces = parts(len(x), k)
                return torch.cat([frozen.features(x[part], self.precision) for part in pieces])

            return self._as_fits(piece_by_piece, len(x))

        return features

    @torch.no_grad()
    def _of_features(self, frozen: LazyBackbone, x: torch.Tensor) -> torch.Tensor:
        return primary(frozen.head(x.to(self.device))).float()

    def _as_fits(self, compute: Callable[[int], torch.Tensor], n: int) -> torch.Tensor:
        """Compute in as many pieces as fit into the memory."""
        with torch.no_grad():
            while True:
                try:
                    return compute(self._pieces).float()
                except RuntimeError as err:
                    if not is_out_of_memory(err) or self._pieces > n // 2:
                        raise
                    let_go(err)
                    self._pieces *= 2


def _marks(model: nn.Module) -> list[Any]:
    """Tell whether a network's tensors were replaced or written to, some milliseconds a look.

    Torch counts the writes, but not those through `.data`; these the sums show.
    """
    tensors = [*model.parameters(), *model.buffers()]
    numbers = [t.detach().float() for t in tensors]
    if any(t.device.type != "cpu" for t in numbers):  # one fetch: each waits for the device
        sums = torch.stack([t.sum() for t in numbers]).tolist()
    else:  # by one thread: many small sums do not pay for several
        sums = [float(t.numpy().sum()) for t in numbers]
    return [[(id(t), t._version) for t in tensors], sums]
