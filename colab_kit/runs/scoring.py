"""Scoring: a trained network over anything that can be seen as pictures; class probabilities come out, or the numbers it learned."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.batches import BatchLoader
from ..data.dataset import Split
from ..data.folders import PICTURES
from ..data.preprocess import Preprocess
from ..errors import DataError
from ..training.losses import primary

BATCH = 64
NEARER = 0.05  # of each side, left out by the next nearer view


@dataclass
class Scorer:
    """model : on `device`, put to eval    output : what it puts out (losses.output_kind); of "values", these are what comes out here"""

    model: nn.Module
    preprocess: Preprocess
    device: torch.device
    output: str
    floats: bool = False  # trained on float arrays, whose preparation only the user knows
    tta: int = 1  # views of each picture, whose probabilities are averaged

    def split(self, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probabilities, float32 (n, classes), labels, and rows of the source, int64 (n,). Damaged pictures are in none of them."""
        probabilities, labels, rows = [], [], []
        if len(split):
            for batch in BatchLoader(
                split, self.preprocess, batch_size=BATCH, device=self.device
            ).in_order():
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
        """Of network input: float32 (n, classes)."""
        self.model.to(self.device).eval()
        total: torch.Tensor | None = None
        shown = [_seen(x, view) for view in range(self.tta if x.ndim == 4 else 1)]
        for view in shown:
            out = primary(self.model(view)).float()
            out = out.unsqueeze(1) if out.ndim == 1 and self.output == "values" else out
            if out.ndim != 2:
                raise ValueError(f"it puts out {tuple(out.shape)} and not a row a picture")
            out = _CHANCES[self.output](out) if self.output in _CHANCES else out
            total = out if total is None else total + out
        assert total is not None
        return np.asarray((total / len(shown)).cpu().numpy())

    def pictures(self, pictures: Sequence[Any]) -> np.ndarray:
        """Of files, PIL pictures or arrays, one by one in batches: float32 (n, classes)."""
        if not pictures:
            raise DataError("No picture was given.", "the list is empty", "pass at least one")
        found = []
        for start in range(0, len(pictures), BATCH):
            rows = [self._ready(p) for p in pictures[start : start + BATCH]]
            if len(shapes := {tuple(row.shape) for row in rows}) > 1:
                why = f"there are {', '.join(map(str, sorted(shapes)))}"
                raise DataError("The arrays have several shapes.", why, "bring them to one size")
            found.append(self._scores(self.preprocess.input(torch.stack(rows), self.device)))
        return np.concatenate(found)

    def squares(self, x: Any) -> list[torch.Tensor]:
        """What predict() was given as the uint8 squares (C, H, W) that are evaluated; float arrays are none.

        Raises
        ------
        DataError
        """
        found = [self._ready(picture) for picture in pictures_of(x, self.preprocess)[0]]
        if any(picture.dtype != torch.uint8 or picture.ndim != 3 for picture in found):
            raise DataError(
                "These are no pictures to look at.",
                "they are float arrays",
                "give files, PIL pictures or uint8 arrays",
            )
        return found

    def input(self, picture: torch.Tensor) -> torch.Tensor:
        """One of those as network input, (1, C, H, W)."""
        self.model.to(self.device).eval()
        return self.preprocess.input(picture.unsqueeze(0), self.device)

    def _scores(self, x: torch.Tensor) -> np.ndarray:
        try:
            return self.probabilities(x)
        except (RuntimeError, ValueError, IndexError) as err:
            if "out of memory" in str(err):
                raise
            why = f"{type(err).__name__}: {str(err).splitlines()[0]}"
            fix = "give predict() pictures of the size and with the channels that the run was trained on"
            raise DataError(
                f"The network cannot take pictures of shape {tuple(x.shape[1:])}.", why, fix
            ) from err

    def _ready(self, picture: Any) -> torch.Tensor:
        """One picture as the network's loader would have given it."""
        if isinstance(picture, torch.Tensor) and picture.dtype != torch.uint8:
            if not self.floats:
                why = "its pictures were bytes from 0 to 255, and how these numbers were made of such is not known"
                raise DataError(
                    f"This run was trained on pictures, and an array of {picture.dtype} was given.",
                    why,
                    "give predict() uint8",
                )
            return picture
        if self.floats:
            raise DataError(
                "This run was trained on float arrays, and a picture file or uint8 array was given.",
                "how those floats were made from pixels is not known to the run",
                "give predict() an array prepared as the training data was",
            )
        whole = self.preprocess.crop == 1.0  # trained on arrays, which are resized in the batch
        self._check_channels(picture)
        if isinstance(picture, torch.Tensor) and (whole or picture.ndim != 3):
            return picture
        if self.preprocess.size is None:
            what = "This run was trained on arrays that are no squares, or of no one size."
            raise DataError(
                what, "a file cannot be brought to their shape", "give predict() an array"
            )
        if isinstance(picture, torch.Tensor):
            picture = (
                picture.movedim(0, 2).expand(-1, -1, 3).numpy()
                if picture.shape[0] == 1
                else picture.movedim(0, 2).numpy()
            )
        elif not isinstance(picture, Path):
            picture = np.asarray(picture.convert("RGB"))
        return torch.from_numpy(self.preprocess.picture(picture).copy()).movedim(2, 0)

    def _check_channels(self, picture: Any) -> None:
        """Grey becomes coloured and back, and alpha is dropped; nobody knows a fourth channel that is not there."""
        want = self.preprocess.channels
        have = (
            3
            if not isinstance(picture, torch.Tensor)
            else picture.shape[0]
            if picture.ndim == 3
            else want
        )
        if want not in (None, 1, 3, have):
            what = f"This run was trained on arrays of {want} channels, and a picture of {have} was given."
            raise DataError(
                what,
                "what the others would be is not known",
                f"give predict() an array ({want}, H, W)",
            )


_CHANCES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "logits": lambda out: torch.softmax(out, 1), "log_probabilities": torch.exp, "multilabel_logits": torch.sigmoid,
}  # fmt: skip


def _seen(x: torch.Tensor, view: int) -> torch.Tensor:
    """A view of network input (n, C, H, W): 0 as it is, 1 mirrored, then both with a tenth less of each side, and so on."""
    x = x.flip(3) if view % 2 else x
    for _ in range(view // 2):
        high, wide = x.shape[2:]
        top, left = (min(max(1, round(side * NEARER)), (side - 1) // 2) for side in (high, wide))
        inner = x[:, :, top : high - top, left : wide - left]
        x = torch.nn.functional.interpolate(
            inner, (high, wide), mode="bilinear", align_corners=False, antialias=True
        )
    return x


def pictures_of(x: Any, preprocess: Preprocess) -> tuple[list[Any], list[Path | None], bool]:
    """What predict() was given as a list of pictures, their paths, and whether it was a single one.

    x : path, folder, glob, PIL picture, array (H, W), (H, W, C), (C, H, W), (features,) or a batch of them
    preprocess : of the run; it tells rows of numbers from grey pictures, and three grey pictures from a coloured one
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
    what = f"predict() was given a {type(x).__name__}."
    raise DataError(
        what,
        "it takes a path, folder, glob, PIL picture, array, batch or Split",
        "pass one of these",
    )


def _files(x: str | Path) -> tuple[list[Path], bool]:
    path = Path(x).expanduser()
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in PICTURES)
    elif path.is_file():
        return [path], True
    else:
        found = sorted(
            p
            for p in map(Path, glob.glob(str(path), recursive=True))
            if p.suffix.lower() in PICTURES
        )
    if not found:
        why = "neither a file, a folder with pictures nor a pattern that matches any"
        raise DataError(f"No picture is at {x}.", why, "correct the path")
    return found, False


def _tensor(x: Any) -> torch.Tensor:
    """uint8 or float; whole numbers from 0 to 255 are taken as pixels, as `load` does."""
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "biuf" or not x.size:
            raise DataError(
                f"predict() was given an array of {x.dtype}, shape {x.shape}.",
                "pictures are numbers",
                "pass uint8 pixels, or floats",
            )
        x = torch.from_numpy(
            np.array(
                x,
                dtype=np.float32
                if x.dtype.kind == "f"
                else np.uint8
                if x.dtype == np.uint8
                else np.int64,
            )
        )
    if x.dtype == torch.uint8 or x.is_floating_point():
        return x.detach().cpu()  # type: ignore[no-any-return]
    if x.dtype == torch.bool or int(x.min()) < 0 or int(x.max()) > 255:
        raise DataError(
            f"predict() was given {str(x.dtype)[6:]} numbers.",
            "pixels are whole numbers from 0 to 255",
            "pass uint8 pixels, or floats",
        )
    return x.to("cpu", torch.uint8)  # type: ignore[no-any-return]


def _rows(x: torch.Tensor, preprocess: Preprocess) -> tuple[list[torch.Tensor], bool]:
    """Pictures (C, H, W), or vectors, of one array or a batch; what it is, is told by where the network's channels stand, or 1, 3, 4."""
    vectors = preprocess.size is None and preprocess.channels is None
    match x.ndim:
        case 1:
            return [x], True
        case 2 if vectors:
            return list(x), False
        case 2:
            return [x.unsqueeze(0)], True
        case 3 if (axis := _colours(x.shape, preprocess.channels)) is not None:
            return [_opaque(x.movedim(axis, 0), preprocess)], True
        case 3:
            return list(x.unsqueeze(1)), False
        case 4:
            axis = _colours(x.shape[1:], preprocess.channels) or 0
            return [_opaque(picture, preprocess) for picture in x.movedim(1 + axis, 1)], False
    raise DataError(
        f"predict() was given an array of shape {tuple(x.shape)}.",
        "a picture has 2 or 3 axes, a batch 4",
        "reshape it",
    )


def _colours(shape: Sequence[int], want: int | None) -> int | None:
    """Which axis of three holds the colours, the last (2) or the first (0); None: neither, they are grey pictures."""
    for axis in (2, 0):
        if shape[axis] == want:
            return axis
    if shape[2] in (1, 3, 4):
        return 2
    return 0 if shape[0] in (1, 3, 4) and want != 1 else None


def _opaque(x: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """A picture (C, H, W) without alpha, if the network wants none; one without `channels` that crops was trained on files."""
    want = preprocess.channels or (3 if preprocess.crop < 1 else None)
    return x[:3] if len(x) == 4 and want in (1, 3) else x
