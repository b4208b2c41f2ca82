"""Scoring: a trained network over anything that shows pictures, as probabilities or numbers."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.batches import BatchLoader
from ..data.dataset import Split
from ..data.folders.tree import PICTURES
from ..data.image_checks import look_at
from ..data.images import as_rgb, decode
from ..data.preprocess import Preprocess
from ..data.sources import Arrays
from ..errors import DataError
from ..events import Note
from ..system.console import Console
from ..training.losses import primary
from ..training.recovery import is_out_of_memory

BATCH = 64
NEARER = 0.05  # of each side, left out by the next nearer view


@dataclass(frozen=True)
class Scorer:
    """A network with all that it needs to see pictures as it was trained.

    Attributes
    ----------
    model : Module
        It is moved to `device` and put to eval.
    output : str
        What the network puts out (losses.output_kind); "values" are given as they are.
    floats : bool
        Whether it was trained on float arrays, whose preparation only the user knows.
    tta : int
        Views of each picture; their probabilities are averaged.
    flip : bool
        Whether every second view is mirrored.
    """

    model: nn.Module
    preprocess: Preprocess
    device: torch.device
    output: str
    floats: bool = False
    tta: int = 1
    flip: bool = True

    def split(self, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Score a split; damaged pictures are in none of the three arrays.

        Returns
        -------
        probabilities : ndarray, float32, (n, classes)
        labels : ndarray
        rows : ndarray, int64, (n,)
            Rows of the source.
        """
        probabilities, labels, rows = [], [], []
        if len(split):
            feed = BatchLoader(split, self.preprocess, batch_size=BATCH, device=self.device)
            for batch in feed.in_order():
                if len(batch):
                    probabilities.append(self.probabilities(batch.x))
                    labels.append(batch.y.cpu().numpy())
                    rows.append(batch.index)
        if not rows:
            raise DataError(
                f"The split {split.name} has no picture that can be read.",
                f"it holds {len(split)}",
                "give another split",
            )
        return np.concatenate(probabilities), np.concatenate(labels), np.concatenate(rows)

    @torch.no_grad()
    def probabilities(self, x: torch.Tensor) -> np.ndarray:
        """Score network input: float32, (n, classes)."""
        self.model.to(self.device).eval()
        views = range(self.tta if x.ndim == 4 else 1)
        rows = [self._rows(_view(x, number, flip=self.flip)) for number in views]
        return np.asarray((sum(rows[1:], rows[0]) / len(rows)).cpu().numpy())

    def _rows(self, x: torch.Tensor) -> torch.Tensor:
        out = primary(self.model(x)).float()
        if out.ndim == 1 and self.output == "values":
            out = out.unsqueeze(1)
        if out.ndim != 2:
            raise ValueError(f"it puts out {tuple(out.shape)} and not a row a picture")
        return _CHANCES.get(self.output, torch.Tensor.float)(out)

    def pictures(self, pictures: Sequence[Any]) -> np.ndarray:
        """Score files, PIL pictures or arrays, in batches: float32, (n, classes)."""
        if not pictures:
            raise DataError("No picture was given.", "the list is empty", "pass at least one")
        scores = []
        for start in range(0, len(pictures), BATCH):
            rows = [self._ready(p) for p in pictures[start : start + BATCH]]
            shapes = {tuple(row.shape) for row in rows}
            if len(shapes) > 1:
                raise DataError(
                    "The arrays have several shapes.",
                    f"there are {', '.join(map(str, sorted(shapes)))}",
                    "bring them to one size",
                )
            scores.append(self._scores(self.preprocess.input(torch.stack(rows), self.device)))
        return np.concatenate(scores)

    def squares(self, x: Any) -> list[torch.Tensor]:
        """Give what predict() takes as the uint8 squares (C, H, W) that the network is shown.

        Raises
        ------
        DataError
            They are float arrays.
        """
        squares = [self._ready(picture) for picture in pictures_of(x, self.preprocess)[0]]
        if any(picture.dtype != torch.uint8 or picture.ndim != 3 for picture in squares):
            raise DataError(
                "These are no pictures to look at.",
                "they are float arrays",
                "give files, PIL pictures or uint8 arrays",
            )
        return squares

    def input(self, picture: torch.Tensor) -> torch.Tensor:
        """Give one of those squares as network input, (1, C, H, W)."""
        self.model.to(self.device).eval()
        return self.preprocess.input(picture.unsqueeze(0), self.device)

    def _scores(self, x: torch.Tensor) -> np.ndarray:
        try:
            return self.probabilities(x)
        except (RuntimeError, ValueError, IndexError) as err:
            if is_out_of_memory(err):
                raise
            raise DataError(
                f"The network cannot take pictures of shape {tuple(x.shape[1:])}.",
                f"{type(err).__name__}: {str(err).splitlines()[0]}",
                "give predict() pictures of the size and with the channels of the training data",
            ) from err

    def _ready(self, picture: Any) -> torch.Tensor:
        """Prepare one picture as the network's loader does."""
        array = isinstance(picture, torch.Tensor)
        if array and picture.dtype != torch.uint8:
            if self.floats:
                return picture  # type: ignore[no-any-return]
            raise DataError(
                f"This run was trained on pictures, and this is an array of {picture.dtype}.",
                "its pictures were bytes from 0 to 255, and how these numbers were made of bytes is"
                " not known",
                "give predict() uint8",
            )
        if self.floats:
            raise DataError(
                "This run was trained on float arrays, and this is a picture file or uint8 array.",
                "the run does not know how those floats were made from pixels",
                "give predict() an array prepared as the training data was",
            )
        self._check_channels(picture)
        whole = self.preprocess.crop == 1.0  # trained on arrays, which are resized in the batch
        if array and (whole or picture.ndim != 3):
            return picture  # type: ignore[no-any-return]
        if self.preprocess.size is None:
            raise DataError(
                "This run was trained on arrays that are no squares, or of no one size.",
                "a file cannot be brought to their shape",
                "give predict() an array",
            )
        if array:
            colours = picture.expand(3, -1, -1) if len(picture) == 1 else picture
            picture = colours.movedim(0, 2).numpy()
        elif not isinstance(picture, Path):
            picture = np.asarray(as_rgb(picture, self.preprocess.span))
        return torch.from_numpy(self.preprocess.picture(picture).copy()).movedim(2, 0)

    def _check_channels(self, picture: Any) -> None:
        """Refuse a picture without a channel that the network wants, and that nobody can make up.

        Grey becomes coloured and back, and alpha is dropped.
        """
        want, have = self.preprocess.channels, 3
        if isinstance(picture, torch.Tensor):
            have = len(picture) if picture.ndim == 3 else want or 3
        if want not in (None, 1, 3, have):
            raise DataError(
                f"This run was trained on arrays of {want} channels, and this picture has {have}.",
                "the content of the others is not known",
                f"give predict() an array ({want}, H, W)",
            )


_CHANCES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "logits": lambda out: torch.softmax(out, 1),
    "log_probabilities": torch.exp,
    "multilabel_logits": torch.sigmoid,
}


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


def pictures_of(x: Any, preprocess: Preprocess) -> tuple[list[Any], list[Path | None], bool]:
    """Give predict()'s argument as a list of pictures, their paths, and whether it is a single one.

    Parameters
    ----------
    x : path, folder, glob, PIL picture or array
        An array is (H, W), (H, W, C), (C, H, W), (features,) or a batch of them.
    preprocess : Preprocess
        Of the run. It tells rows of numbers from grey pictures, and three grey pictures from a
        coloured one.
    """
    if isinstance(x, (str, Path)):
        files, one = _files(x)
        return list(files), list(files), one
    if hasattr(x, "convert") and hasattr(x, "size"):
        return [x], [None], True
    if isinstance(x, (list, tuple)):
        parts = [pictures_of(item, preprocess) for item in x]
        return [p for part in parts for p in part[0]], [p for part in parts for p in part[1]], False
    if isinstance(x, (np.ndarray, torch.Tensor)):
        rows, one = _rows(_tensor(x), preprocess)
        return rows, [None] * len(rows), one
    raise DataError(
        f"predict() was given a {type(x).__name__}.",
        "it takes a path, folder, glob, PIL picture, array, batch or Split",
        "pass one of these",
    )


def pixels_of(x: Any, preprocess: Preprocess) -> np.ndarray:
    """Give predict()'s argument, a single picture, as pixels to draw: uint8, (H, W, C)."""
    picture = pictures_of(x, preprocess)[0][0]
    if isinstance(picture, Path):
        return decode(picture, span=preprocess.span)
    if isinstance(picture, torch.Tensor):
        return Arrays(picture.unsqueeze(0), np.zeros(1, np.int64)).picture(0)
    return np.asarray(as_rgb(picture, preprocess.span))


def _files(x: str | Path) -> tuple[list[Path], bool]:
    path = Path(x).expanduser()
    if path.is_file():
        return [path], True
    paths: Iterable[Path] = map(Path, glob.glob(str(path), recursive=True))
    if path.is_dir():
        paths = path.rglob("*")
    files = sorted(p for p in paths if p.suffix.lower() in PICTURES and p.is_file())
    if not files:
        raise DataError(
            f"No picture is at {x}.",
            "this is neither a file, a folder with pictures nor a pattern that matches any",
            "correct the path",
        )
    return files, False


def _tensor(x: Any) -> torch.Tensor:
    """Give uint8 or float; whole numbers from 0 to 255 are taken as pixels, as `load` does."""
    fix = "pass uint8 pixels, or floats"
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "biuf" or not x.size:
            raise DataError(
                f"predict() was given an array of {x.dtype}, shape {x.shape}.",
                "pictures are numbers",
                fix,
            )
        kind: Any = np.float32 if x.dtype.kind == "f" else np.int64
        x = torch.from_numpy(np.array(x, np.uint8 if x.dtype == np.uint8 else kind))
    if x.dtype == torch.uint8 or x.is_floating_point():
        return x.detach().cpu()  # type: ignore[no-any-return]
    if x.dtype == torch.bool or int(x.min()) < 0 or int(x.max()) > 255:
        raise DataError(
            f"predict() was given {str(x.dtype)[6:]} numbers.",
            "pixels are whole numbers from 0 to 255",
            fix,
        )
    return x.to("cpu", torch.uint8)  # type: ignore[no-any-return]


def _rows(x: torch.Tensor, preprocess: Preprocess) -> tuple[list[torch.Tensor], bool]:
    """Give the pictures (C, H, W) or the vectors of one array or a batch, and whether it is one.

    The place of the network's number of channels, or of 1, 3 or 4, says what it is.
    """
    vectors = preprocess.size is None and preprocess.channels is None
    match x.ndim:
        case 1:
            return [x], True
        case 2:
            return (list(x), False) if vectors else ([x.unsqueeze(0)], True)
        case 3:
            axis = _colours(x.shape, preprocess.channels)
            if axis is None:
                return list(x.unsqueeze(1)), False
            return [_opaque(x.movedim(axis, 0), preprocess)], True
        case 4:
            axis = _colours(x.shape[1:], preprocess.channels) or 0
            return [_opaque(picture, preprocess) for picture in x.movedim(1 + axis, 1)], False
    raise DataError(
        f"predict() was given an array of shape {tuple(x.shape)}.",
        "a picture has 2 or 3 axes, a batch 4",
        "reshape it",
    )


def _colours(shape: Sequence[int], want: int | None) -> int | None:
    """Say which of three axes holds the colours: the last (2), the first (0) or none (None)."""
    for axis in (2, 0):
        if shape[axis] == want:
            return axis
    if shape[2] in (1, 3, 4):
        return 2
    return 0 if shape[0] in (1, 3, 4) and want != 1 else None


def _opaque(x: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """Drop the alpha of a picture (C, H, W), if the network wants none.

    A network without `channels` that crops was trained on files, so it wants three.
    """
    want = preprocess.channels or (3 if preprocess.crop < 1 else None)
    return x[:3] if len(x) == 4 and want in (1, 3) else x


def readable(files: list[Path]) -> list[Path]:
    """Leave out files that are no pictures, and name them."""
    looks = look_at(files)
    bad = [f"{look.path.name} {look.fault}" for look in looks if look.fault]
    names = "; ".join(bad[:3])
    if len(bad) == len(files):
        raise DataError("None of the files is a picture.", names, "give a folder of pictures")
    if bad:
        more = " …" if len(bad) > 3 else ""
        text = f"{len(bad)} of {len(files)} files are left out: {names}{more}."
        Console()(Note(text, "warn"))
    return [look.path for look in looks if not look.fault]
