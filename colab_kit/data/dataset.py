"""Data and its splits: rows of a source, by a keyed, stratified draw that each session repeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from ..errors import DataError, in_line, plain
from ..system.console import (
    NO_FONT,
    escape,
    font_has,
    fonts_for,
    opened_font,
    rare_signs,
    without_formulas,
)
from .keyed_random import SPLIT, permutation
from .sources import Pictures, Source
from .targets import UNLABELLED, of_row, spoken, strata, unlabelled

if TYPE_CHECKING:
    from .batches import Batch


@dataclass(frozen=True, eq=False)
class Split:
    """Some rows of a source: to train on, to validate with, or to test with."""

    source: Source
    rows: ndarray = field(repr=False)  # int64, (n,): which rows, in the order of this split
    name: str = "train"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[ndarray, Any]:
        """Give picture i as uint8 (H, W, C), and its label: int, or float32 (K,)."""
        row = int(self.rows[i])
        return self.source.picture(row), of_row(self.source.labels, row)

    @property
    def labels(self) -> ndarray:
        """int64, (n,); of another task float32, (n, K)."""
        return np.asarray(self.source.labels[self.rows])

    @property
    def paths(self) -> list[Path] | None:
        """The files, in this split's order; None where the pictures are no files."""
        if isinstance(self.source, Pictures):
            return [self.source.paths[row] for row in self.rows]
        return None

    def batches(
        self,
        batch_size: int,
        *,
        epoch: int = 0,
        first: int = 0,
        seed: int = 0,
        augment: str = "none",
        size: int | None = None,
        device: Any = None,
    ) -> Iterator[Batch]:
        """Give an epoch of batches to a loop of your own, by the same pipeline as train().

        Pictures are decoded once, and the next batches are made ready while one is used. The
        training split comes in an order that only (seed, epoch) decides, any other split in its
        own order. A loop that was killed after batch k of an epoch continues with first=k: the
        same batches, to the bit.

        Parameters
        ----------
        batch_size : int
            Pictures a batch; the last one may hold fewer, or one more.
        epoch, first : int
            Which epoch, and the first of its batches to give.
        seed : int
            Key of the order and of the augmentation.
        augment : str
            "none", "light", "standard" or "strong", for the training split. All but "none" mirror
            half of the pictures.
        size : int, optional
            Side of the pictures in pixels; 224 for files, the arrays' own size for arrays.
        device : torch.device or str, optional
            Where the batches go; the CPU, if None.

        Yields
        ------
        Batch
            x : float32, (n, C, size, size), from -1 to 1 (floats as they are);
            y : int64, (n,); index : int64, (n,), rows of the source

        Examples
        --------
        >>> for epoch in range(3):                                              # doctest: +SKIP
        ...     for x, y, _ in data.train.batches(64, epoch=epoch, augment="light"):
        ...         loss = criterion(net(x), y)
        """
        from .batches import loader_of

        loader = loader_of(self, batch_size, seed, augment, size, device)
        if self.name == "train":
            return loader.shuffled(epoch, first=first)
        return loader.in_order(first=first)


@dataclass(frozen=True, eq=False)
class Data:
    """What `load` gives and `train` takes: splits, class names, and a fingerprint.

    fingerprint : hex, the same on every machine
    task : "classification" (one class a picture), "multilabel" (several), or "regression" (numbers,
        and `classes` are their names)
    batch_size : a DataLoader's own, that training takes over
    keyed : False where transforms draw numbers that no key reaches: then no run of it is exact
    notes : what loading saw: other files, unreadable pictures
    reading : how the source was read, a line each: which folder is what, where labels come from
    """

    train: Split
    valid: Split | None
    test: Split | None
    classes: tuple[str, ...]
    name: str
    fingerprint: str
    task: str = "classification"
    batch_size: int | None = None
    keyed: bool = True
    notes: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, Split]:
        splits = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Pictures for each class, for each split; where numbers are learned, for each target."""
        out = {}
        for name, split in self.splits.items():
            labels = split.labels[~unlabelled(split.labels)]
            if self.task == "classification":
                each = np.bincount(labels, minlength=len(self.classes)).tolist()
            elif self.task == "multilabel":
                each = labels.sum(0).astype(int).tolist()
            else:
                each = [len(labels)] * len(self.classes)
            out[name] = dict(zip(self.classes, each, strict=True))
        return out

    def show(self, n: int = 8) -> Any:
        """Draw a sheet of n training pictures with their class names, always the same ones."""

        return sheet(self, n)

    def __repr__(self) -> str:

        return as_text(self)

    def _repr_html_(self) -> str:

        return as_html(self)


def stratified(labels: ndarray, share: float, seed: int) -> tuple[ndarray, ndarray]:
    """Divide row numbers into (rest, drawn): `share` of each class is drawn.

    At least one row of a class is drawn, and never its last.
    The draw is keyed by (seed, label, row count), so earlier draws do not change it.

    Parameters
    ----------
    labels : ndarray
        int64, (N,), or float32, (N, K): see targets.strata.
    share : float
        From 0 to 1.
    seed : int
        Key of the draw.

    Returns
    -------
    rest, drawn : ndarray
        int64, each sorted.
    """
    draws, groups = [np.empty(0, np.int64)], strata(labels)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        take = min(max(1, round(share * len(rows))), len(rows) - 1)
        if group != UNLABELLED and take:
            draws.append(rows[permutation(len(rows), seed, SPLIT, int(group))[:take]])
    out = np.sort(np.concatenate(draws))
    return np.setdiff1d(np.arange(len(groups)), out), out


def default_share(n: int) -> float:
    """Give the share held back for validation: a fifth, a tenth from 20,000 rows up."""
    return 0.1 if n >= 20_000 else 0.2


CELL, LINE, GAP = 128, 20, 8  # pixels: side of a picture, height of its name, space between
COLUMNS = 8
SHOWN = 20  # classes that a text lists


def sheet(data: Any, n: int = 8) -> Any:
    """Draw n training pictures, one class after the other, each over its class name.

    Parameters
    ----------
    data : Data
    n : int
        Pictures; all of them if there are fewer.

    Returns
    -------
    PIL.Image.Image
    """
    from PIL import Image, ImageDraw, ImageFont

    rows = _spread(strata(data.train.labels), n)
    columns = len(rows)
    if columns > COLUMNS:
        columns = max(4, min(COLUMNS, int(np.ceil(columns**0.5))))
    lines, wide, high = -(-len(rows) // columns), CELL + GAP, CELL + LINE + GAP
    font = ImageFont.load_default(size=14)
    files, are_enough = fonts_for(rare_signs(data.classes))
    lines_below = data.reading if are_enough else (*data.reading, NO_FONT)
    caption = _wrapped(lines_below, columns * wide, font)
    height = lines * high + GAP
    out = Image.new("RGB", (columns * wide + GAP, height + len(caption) * LINE), "white")
    draw = ImageDraw.Draw(out)
    for number, line in enumerate(caption):
        draw.text((GAP, height + number * LINE), line, fill="dimgrey", font=font)
    for place, row in enumerate(rows):
        x, y = GAP + place % columns * wide, GAP + place // columns * high
        picture, label = _picture(data.train, row)
        out.paste(picture, (x + (CELL - picture.width) // 2, y + (CELL - picture.height) // 2))
        name = spoken(label, data.classes, data.task)
        runs, length = _runs(name, files, font), len(name)
        while length > 1 and sum(part.getlength(text) for text, part in runs) > CELL:
            length -= 1  # cut to the width of the cell
            runs = _runs(name[:length] + "…", files, font)
        at = x + (CELL - sum(part.getlength(text) for text, part in runs)) / 2
        for text, part in runs:
            draw.text((at, y + CELL + 16), text, fill="black", font=part, anchor="ls")
            at += part.getlength(text)
    return out


def _runs(text: str, files: Sequence[str], usual: Any) -> list[tuple[str, Any]]:
    """Cut text where another font goes on: (text, font). One font that has all of it takes all."""
    signs = rare_signs([text])
    for file in files if signs else ():
        if all(font_has(file, sign) for sign in text if not sign.isspace()):
            return [(text, opened_font(file))]
    of = [next((f for f in files if s in signs and font_has(f, s)), "") for s in text]
    return [
        ("".join(text[i] for i, _ in part), opened_font(file) if file else usual)
        for file, part in groupby(enumerate(of), key=lambda pair: pair[1])
    ]


def _wrapped(lines: Iterable[str], width: int, font: Any) -> list[str]:
    """Break lines at blanks so that each is at most `width` pixels wide, if it has blanks."""
    out: list[str] = []
    for line in lines:
        row = ""
        for word in line.split():
            if row and font.getlength(f"{row} {word}") > width:
                out.append(row)
                row = ""
            row = f"{row} {word}".strip()
        out.append(row)
    return out


def as_text(data: Any) -> str:
    """Say in a few lines: what, how many, which classes, what loading saw."""
    counts = " · ".join(f"{name} {len(split):,}" for name, split in data.splits.items())
    classes = zip(data.classes[:SHOWN], _contents(data, "train"), strict=False)
    shown = ", ".join(f"{in_line(name)} {content}" for name, content in classes)
    more = len(data.classes) - SHOWN
    if more > 0:
        shown += f", and {more} more classes"
    lines = [f"{data.name}: {_kinds(data)} · {counts} pictures", f"  train: {shown}"]
    lines += [f"  read: {line}" for line in data.reading]
    return plain("\n".join(lines + [f"  note: {note}" for note in data.notes]))


def as_html(data: Any) -> str:
    """Say the same as a table, a row for each class; all names escaped."""
    splits = data.splits
    contents = zip(*(_contents(data, name) for name in splits), strict=True)
    rows = [
        f"<tr><td>{escape(name)}</td>{_cells('td', row)}</tr>"
        for name, row in zip(data.classes[:SHOWN], contents, strict=False)
    ]
    if len(data.classes) > SHOWN:
        text = f"and {len(data.classes) - SHOWN} more classes"
        rows.append(f'<tr><td colspan="{len(splits) + 1}">{text}</td></tr>')
    first = "target" if data.task == "regression" else "class"
    total = _cells("th", (f"{len(split):,}" for split in splits.values()))
    notes = "".join(f"<li>{escape(note)}</li>" for note in (*data.reading, *data.notes))
    return without_formulas(
        f"<b>{escape(data.name)}</b>: {_kinds(data)}<table><thead>"
        f"<tr><th>{first}</th>{_cells('th', splits)}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody><tfoot><tr><th>all</th>{total}</tr></tfoot></table>"
        f"{notes and f'<ul>{notes}</ul>'}"
    )


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _kinds(data: Any) -> str:
    n = len(data.classes)
    if data.task == "regression":
        return "a number a picture" if n == 1 else f"{n} numbers a picture"
    return f"{n} classes{', several a picture' if data.task == 'multilabel' else ''}"


def _contents(data: Any, name: str) -> list[str]:
    """Say what a split has of each class: pictures; of each target: from where to where."""
    if data.task != "regression":
        return [f"{n:,}" for n in data.counts[name].values()]
    labels = data.splits[name].labels
    columns = labels[~unlabelled(labels)].T
    return [f"{c.min():.4g} to {c.max():.4g}" if len(c) else "–" for c in columns]


def _spread(labels: np.ndarray, n: int) -> list[int]:
    """Choose n positions, each class once before any class comes twice; always the same ones."""
    order = permutation(len(labels), 0, SPLIT)
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        turn[of_class] = np.arange(len(of_class))
    chosen: list[int] = np.lexsort((labels, turn))[: max(1, n)].tolist()
    return chosen


def _picture(split: Any, i: int) -> tuple[Any, Any]:
    """Fit picture i to the cell, small ones enlarged pixel by pixel; a bad one is a grey square."""
    from PIL import Image

    try:
        pixels, label = split[i]
    except DataError:
        return Image.new("RGB", (CELL, CELL), "lightgrey"), of_row(split.labels, i)
    channels = pixels.shape[2]
    if channels == 4:
        pixels = pixels[..., :3]
    elif channels != 3:
        pixels = pixels.mean(2).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    scale = CELL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if image.height == 1:  # a row of features: a strip of bars
        size = (CELL, CELL // 4)
    resample = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    return image.resize(size, resample), label
