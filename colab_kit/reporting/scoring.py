"""Scoring: a trained network over anything that can be seen as pictures; class probabilities come out."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.batches import Feed
from ..data.folders import PICTURES
from ..data.preprocess import Preprocess
from ..data.splits import Split
from ..errors import DataError
from ..training.losses import primary

BATCH = 64


@dataclass
class Scorer:
    """model : on `device`, put to eval    output : what it puts out: logits, log_probabilities or probabilities"""

    model: nn.Module
    preprocess: Preprocess
    device: torch.device
    output: str
    floats: bool = False  # trained on float arrays, whose preparation only the user knows

    def split(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities, float32 (n, classes), and labels, int64 (n,). Damaged pictures are left out of both."""
        feed = Feed(split, self.preprocess, batch_size=BATCH, device=self.device)
        probabilities, labels = [], []
        for batch in feed.in_order():
            probabilities.append(self.probabilities(batch.x))
            labels.append(batch.y.cpu().numpy())
        return np.concatenate(probabilities), np.concatenate(labels)

    @torch.no_grad()
    def probabilities(self, x: torch.Tensor) -> np.ndarray:
        """Of network input: float32 (n, classes)."""
        self.model.to(self.device).eval()
        out = primary(self.model(x)).float()
        out = out.softmax(1) if self.output == "logits" else out.exp() if self.output == "log_probabilities" else out
        return np.asarray(out.cpu().numpy())

    def pictures(self, pictures: Sequence[Any]) -> np.ndarray:
        """Of files, PIL pictures or arrays, one by one in batches: float32 (n, classes)."""
        found = []
        for start in range(0, len(pictures), BATCH):
            rows = [self._ready(p) for p in pictures[start : start + BATCH]]
            found.append(self.probabilities(self.preprocess.input(torch.stack(rows), self.device)))
        return np.concatenate(found)

    def _ready(self, picture: Any) -> torch.Tensor:
        """One picture as the network's loader would have given it."""
        if isinstance(picture, torch.Tensor) and picture.dtype != torch.uint8:
            return picture
        if self.floats:
            raise DataError(
                "This run was trained on float arrays, and a picture file or uint8 array was given.",
                "how those floats were made from pixels is not known to the run",
                "give predict() an array prepared as the training data was",
            )
        if self.preprocess.size is None:
            if isinstance(picture, torch.Tensor):
                return picture
            raise DataError("This run was trained on arrays that are no squares.", "a file cannot be brought to their shape", "give predict() an array")
        if isinstance(picture, torch.Tensor):
            return picture  # Preprocess.input resizes it
        pixels = self.preprocess.picture(picture if isinstance(picture, Path) else np.asarray(picture.convert("RGB")))
        return torch.from_numpy(pixels.copy()).movedim(2, 0)


def pictures_of(x: Any) -> tuple[list[Any], list[Path | None], bool]:
    """What predict() was given as a list of pictures, their paths, and whether it was a single one.

    x : path, folder, glob, PIL picture, array (H, W), (H, W, C), (C, H, W), (features,) or a batch of them
    """
    if isinstance(x, (str, Path)):
        files, one = _files(x)
        return list(files), list(files), one
    if hasattr(x, "convert") and hasattr(x, "size"):
        return [x], [None], True
    if isinstance(x, (list, tuple)):
        parts = [pictures_of(item) for item in x]
        return [p for part in parts for p in part[0]], [p for part in parts for p in part[1]], False
    if isinstance(x, (np.ndarray, torch.Tensor)):
        rows, one = _rows(torch.as_tensor(x))
        return rows, [None] * len(rows), one
    raise DataError(
        f"predict() was given a {type(x).__name__}.", "it takes a path, folder, glob, PIL picture, array, batch or Split", "pass one of these"
    )


def _files(x: str | Path) -> tuple[list[Path], bool]:
    path = Path(x).expanduser()
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in PICTURES)
    elif path.is_file():
        return [path], True
    else:
        found = sorted(p for p in map(Path, glob.glob(str(path), recursive=True)) if p.suffix.lower() in PICTURES)
    if not found:
        raise DataError(f"No picture is at {x}.", "neither a file, a folder with pictures nor a pattern that matches any", "correct the path")
    return found, False


def _rows(x: torch.Tensor) -> tuple[list[torch.Tensor], bool]:
    """Pictures (C, H, W), or vectors, of one array or a batch; what it is, is told by where 1, 3 or 4 channels stand."""
    match x.ndim:
        case 1:
            return [x], True
        case 2:
            return [x.unsqueeze(0)], True
        case 3 if x.shape[2] in (1, 3, 4):
            return [x.movedim(2, 0)[:3]], True
        case 3 if x.shape[0] in (1, 3):
            return [x], True
        case 3:
            return list(x.unsqueeze(1)), False
        case 4:
            return list(_channels_first(x)), False
    raise DataError(f"predict() was given an array of shape {tuple(x.shape)}.", "a picture has 2 or 3 axes, a batch 4", "reshape it")


def _channels_first(x: torch.Tensor) -> Iterator[torch.Tensor]:
    yield from (x.movedim(3, 1)[:, :3] if x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3) else x)
