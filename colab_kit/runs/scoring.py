"""Scoring: a trained network over anything that shows pictures, as probabilities or numbers."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.batches import Batch, BatchLoader, bounds
from ..data.dataset import Split
from ..data.folders.tree import some
from ..data.formats.bands import as_in_set
from ..data.images import decode
from ..data.prefetch import crew, run_ahead
from ..data.preprocess import Preprocess
from ..errors import DataError, ModelError
from ..models.inference import Answers, Inference, Scores, Watch, is_out_of_memory
from ..training.outputs import chances
from .pictures import Shown, on_files, pictures_of, pixels_of

BATCH = 64
NEARER = 0.05  # of each side, left out by the next nearer view
_LOCKS = tuple(threading.Lock() for _ in range(16))  # one PIL picture is decoded by one thread


@dataclass(frozen=True, eq=False)
class Scored:
    """Probabilities or numbers of pictures, those that could not be read left out.

    probabilities : ndarray, float32, (n, classes)
    labels : ndarray, (n,) or (n, classes)
    rows : ndarray, int64, (n,)
        Of the source; of pictures that were shown, their places.
    seen : int
        Pictures that were looked at, from the first on.
    faults : dict
        {row: why it could not be read}
    outputs : Tensor, float32, (n, …), or None
        Of a split seen in one view: what the network puts out.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    seen: int
    faults: dict[int, str] = field(default_factory=dict)
    outputs: torch.Tensor | None = None

    def named(self, classes: Sequence[str]) -> Scored:
        """Give these, if each of the network's numbers has a name.

        Raises
        ------
        ModelError
        """
        width = self.probabilities.shape[1]
        if width == len(classes):
            return self
        raise ModelError(
            f"The network puts out {width} numbers a picture, and the run knows {len(classes)} "
            "classes.",
            "it is not the network that was trained",
            "pass that one: open_run(…, model=MyNetwork)",
        )


@dataclass(frozen=True)
class Scorer:
    """A network with all that it needs to see pictures as it was trained.

    Attributes
    ----------
    inference : Inference
    output : str
        What the network puts out (outputs.output_kind); "values" are given as they are.
    floats : bool
        Whether it was trained on float arrays, whose preparation only the user knows.
    tta : int
        Views of each picture; their probabilities are averaged.
    batch_size : int
        The run's.
    num_workers : int
        Processes for a user's own Dataset.
    flip : bool
        Whether every second view is mirrored.
    """

    inference: Inference
    preprocess: Preprocess
    output: str
    floats: bool = False
    tta: int = 1
    batch_size: int = BATCH
    num_workers: int = 0
    flip: bool = True

    def split(self, split: Split, watch: Watch | None = None, fingerprint: str = "") -> Scored:
        """Score a split.

        Parameters
        ----------
        watch : Watch, optional
            Hears how far it is.
        fingerprint : str
            Of the split's data: under it, a frozen backbone's features of it are kept.
        """
        watch = watch or Watch(split.name, len(split))
        found = Answers.none()
        if len(split):
            found = self._of_loader(self._loader(split), watch, fingerprint)
        if not len(found.rows):
            raise DataError(
                f"The split {split.name} has no picture that can be read.",
                f"it holds {len(split)}",
                "give another split",
            )
        if self.tta > 1:
            return Scored(found.outputs.numpy(), found.labels, found.rows, found.seen)
        scored = self._chances(found.outputs).numpy(), found.labels, found.rows, found.seen
        return Scored(*scored, outputs=found.outputs)

    def _loader(self, split: Split) -> BatchLoader:
        loader = BatchLoader(
            split,
            self.preprocess,
            batch_size=self.batch_size,
            device=self.inference.device,
            num_workers=self.num_workers,
        )
        loader.channels_last = self.inference.precision.channels_last
        return loader

    def _of_loader(self, loader: BatchLoader, watch: Watch, fingerprint: str) -> Answers:
        if self.tta > 1:
            return self.inference.over(loader.in_order(), loader.bounds, self._look(), watch)
        return self.inference.split(loader, watch, fingerprint)

    def pictures(self, shown: Sequence[Shown], watch: Watch | None = None) -> Scored:
        """Score pictures as they were shown, in batches; labels are none.

        Raises
        ------
        DataError
            None of them can be read, or they are not what the run was trained on.
        """
        if not shown:
            raise DataError("No picture was given.", "the list is empty", "pass at least one")
        for one in shown:
            self._check(one.item)
        faults, spans = dict[int, str](), bounds(len(shown), self.batch_size)
        batches, watch = self._batches(shown, spans, faults), watch or Watch("pictures", len(shown))
        found = self.inference.over(batches, spans, self._guarded(self._look()), watch)
        if not len(found.rows):
            raise _unreadable(shown, faults, self.preprocess)
        return Scored(found.outputs.numpy(), found.labels, found.rows, found.seen, faults)

    def _look(self) -> Scores:
        """Give what makes probabilities of network input, averaged over the views."""
        scores = self.inference.scores

        def look(x: torch.Tensor) -> torch.Tensor:
            views = self.tta if x.ndim == 4 else 1
            rows = [self._chances(scores(_view(x, i, flip=self.flip))) for i in range(views)]
            return sum(rows[1:], rows[0]) / len(rows)

        return look

    def _chances(self, out: torch.Tensor) -> torch.Tensor:
        """Turn what the network puts out into a row of probabilities, or numbers, a picture."""
        if out.ndim == 1 and self.output == "values":
            out = out.unsqueeze(1)
        if out.ndim != 2:
            raise ValueError(f"it puts out {tuple(out.shape)} and not a row a picture")
        return chances(out, self.output)

    def _guarded(self, look: Scores) -> Scores:
        def guarded(x: torch.Tensor) -> torch.Tensor:
            try:
                return look(x)
            except (RuntimeError, ValueError, IndexError) as err:
                if is_out_of_memory(err):
                    raise
                raise DataError(
                    f"The network cannot take pictures of shape {tuple(x.shape[1:])}.",
                    f"{type(err).__name__}: {str(err).splitlines()[0]}",
                    "give predict() pictures of the size and with the channels of the training"
                    " data",
                ) from err

        return guarded

    def _batches(
        self, shown: Sequence[Shown], spans: list[tuple[int, int]], faults: dict[int, str]
    ) -> Iterator[Batch]:
        """Read pictures batch by batch, ahead of the network; faults are noted by their places."""
        last = self.inference.precision.channels_last
        reading = self._read(shown, spans)
        with closing(run_ahead(reading) if len(shown) > 1 else reading) as ready:
            for (start, _), pictures in zip(spans, ready, strict=True):
                rows = list(enumerate(pictures, start))
                faults |= {place: row for place, row in rows if isinstance(row, str)}
                good = {place: row for place, row in rows if isinstance(row, torch.Tensor)}
                x = torch.empty(0)
                if good:
                    x = _stacked(list(good.values()))
                    x = self.preprocess.input(x, self.inference.device, channels_last=last)
                index = np.array(list(good), np.int64)
                yield Batch(x, torch.from_numpy(index), index)

    def _read(
        self, shown: Sequence[Shown], spans: list[tuple[int, int]]
    ) -> Generator[list[torch.Tensor | str], None, None]:
        if len(shown) == 1:  # a thread would cost more than it gives
            yield [self._ready(shown[0])]
            return
        pool, _ = crew()
        groups = (pool.map(self._ready, shown[start:stop]) for start, stop in spans)
        coming = next(groups, None)
        while coming is not None:
            later = next(groups, None)  # it is decoded while this one is used
            yield list(coming)
            coming = later

    def squares(self, x: Any) -> list[torch.Tensor]:
        """Give what predict() takes as the uint8 squares (C, H, W) that the network is shown.

        Raises
        ------
        DataError
            They are float arrays, or one cannot be read.
        """
        squares, shown = list[torch.Tensor](), pictures_of(x, self.preprocess)[0]
        for one in shown:
            self._check(one.item)
            ready = self._ready(one)
            if isinstance(ready, str):
                raise _unreadable([one], {0: ready}, self.preprocess)
            squares.append(ready)
        if any(picture.dtype != torch.uint8 or picture.ndim != 3 for picture in squares):
            raise DataError(
                "These are no pictures to look at.",
                "they are float arrays",
                "give files, PIL pictures or uint8 arrays",
            )
        return squares

    def input(self, picture: torch.Tensor) -> torch.Tensor:
        """Give one of those squares as network input, (1, C, H, W)."""
        return self.preprocess.input(picture.unsqueeze(0), self.inference.device)

    def _check(self, picture: Any) -> None:
        """Refuse what is not of the kind that the run was trained on.

        A channel that the network wants, and the picture has not, nobody can make up. Grey becomes
        coloured and back, and alpha is dropped.
        """
        want, have, is_array = self.preprocess.channels, 3, isinstance(picture, torch.Tensor)
        if is_array and picture.dtype != torch.uint8 and not self.floats:
            raise DataError(
                f"This run was trained on pictures, and this is an array of {picture.dtype}.",
                "its pictures were bytes from 0 to 255, and how these numbers were made of bytes is"
                " not known",
                "give predict() uint8",
            )
        if self.preprocess.bands is not None:
            return  # a file is read as the training files were, and the bands of arrays are counted
        if self.floats and picture is not None and not (is_array and picture.dtype != torch.uint8):
            raise DataError(
                "This run was trained on float arrays, and this is a picture file or uint8 array.",
                "the run does not know how those floats were made from pixels",
                "give predict() an array prepared as the training data was",
            )
        if picture is None or self.floats:
            return
        if is_array:
            have = len(picture) if picture.ndim == 3 else want or 3
        if want not in (None, 1, 3, have):
            raise DataError(
                f"This run was trained on arrays of {want} channels, and this picture has {have}.",
                "the content of the others is not known",
                f"give predict() an array ({want}, H, W)",
            )
        if self.preprocess.size is None and not is_array:
            raise DataError(
                "This run was trained on arrays that are no squares, or of no one size.",
                "a file cannot be brought to their shape",
                "give predict() an array",
            )

    def _ready(self, shown: Shown) -> torch.Tensor | str:
        """Prepare one picture as the run's loader does, (C, H, W); or say why it cannot be read."""
        picture, side = shown.item, self.preprocess.side
        if picture is None:
            return shown.fault
        if isinstance(picture, torch.Tensor):  # of a run on arrays it is resized in its batch
            if self.floats or picture.ndim != 3 or not on_files(self.preprocess):
                return picture
            pixels = decode(picture.movedim(0, 2).numpy())
        else:
            try:
                with _LOCKS[id(picture) % len(_LOCKS)]:
                    if self.preprocess.bands is not None:
                        return torch.from_numpy(as_in_set(picture, self.preprocess.bands))
                    if isinstance(picture, np.ndarray):
                        pixels = pixels_of(shown, self.preprocess)
                    else:
                        pixels = decode(picture, side, self.preprocess.span)
            except DataError as err:
                return err.why
        return torch.from_numpy(self.preprocess.picture(pixels)).movedim(2, 0)


def _stacked(rows: list[torch.Tensor]) -> torch.Tensor:
    shapes = {tuple(row.shape) for row in rows}
    if len(shapes) > 1:
        raise DataError(
            "The arrays have several shapes.",
            f"there are {', '.join(map(str, sorted(shapes)))}",
            "bring them to one size",
        )
    if rows[0].ndim < 3:
        return torch.stack(rows)
    return torch.stack([row.movedim(0, -1) for row in rows]).movedim(-1, 1)  # as pixels lie


def _unreadable(
    shown: Sequence[Shown], faults: dict[int, str], preprocess: Preprocess
) -> DataError:
    names = [f"{one.path or 'the picture'}: {faults.get(i, '')}" for i, one in enumerate(shown)]
    fix = "give files that Pillow reads, or correct the paths"
    if preprocess.bands is not None:
        fix = "give TIFFs with the bands of the training files, in their order and scale"
    return DataError("No picture could be read.", some(names), fix)


def _view(x: torch.Tensor, number: int, *, flip: bool = True) -> torch.Tensor:
    """Give a view of network input (n, C, H, W).

    0 is the input as it is, 1 mirrored; 2 and 3 are both without a twentieth of each side, and so
    on. Without `flip` each view is nearer than the one before.
    """
    x = x.flip(3) if flip and number % 2 else x
    for _ in range(number // 2 if flip else number):
        high, wide = x.shape[2:]
        top, left = (min(max(1, round(side * NEARER)), (side - 1) // 2) for side in (high, wide))
        inner = x[:, :, top : high - top, left : wide - left]
        x = nn.functional.interpolate(
            inner, (high, wide), mode="bilinear", align_corners=False, antialias=True
        )
    return x
