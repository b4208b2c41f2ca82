"""How data looks: a sheet of its pictures with their class names, and what a cell prints of it."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from ..errors import DataError
from .keyed_random import SPLIT, permutation
from .targets import of_row, spoken, strata, unlabelled

CELL, LINE, GAP = 128, 20, 8  # pixels: side of a picture, height of its name, space between
COLUMNS = 8
SHOWN = 20  # classes that a text lists


def sheet(data: Any, n: int = 8) -> Any:
    """A PIL picture of n training pictures, one class after the other, each over its class name.

    Parameters
    ----------
    data : Data
    n : int
        Pictures; all of them if there are fewer.
    """
    from PIL import Image, ImageDraw, ImageFont

    rows = _spread(strata(data.train.labels), n)
    columns = (
        min(COLUMNS, len(rows))
        if len(rows) < COLUMNS + 1
        else max(4, min(COLUMNS, int(np.ceil(len(rows) ** 0.5))))
    )
    lines = -(-len(rows) // columns)
    wide, high = CELL + GAP, CELL + LINE + GAP
    out = Image.new("RGB", (columns * wide + GAP, lines * high + GAP), "white")
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(size=14)
    for place, row in enumerate(rows):
        x, y = GAP + place % columns * wide, GAP + place // columns * high
        picture, label = _picture(data.train, row)
        out.paste(picture, (x + (CELL - picture.width) // 2, y + (CELL - picture.height) // 2))
        name = _fitted(
            spoken(label, data.classes, data.task),
            lambda text: float(draw.textlength(text, font=font)),
        )
        draw.text((x + CELL / 2, y + CELL + 2), name, fill="black", font=font, anchor="ma")
    return out


def as_text(data: Any) -> str:
    """A few lines: what, how many, which classes, what loading saw."""
    counts = " · ".join(f"{name} {len(split):,}" for name, split in data.splits.items())
    lines = [f"{data.name}: {_kinds(data)} · {counts} pictures"]
    shown = [
        f"{name} {said}"
        for name, said in zip(data.classes[:SHOWN], _held(data, "train"), strict=False)
    ]
    more = len(data.classes) - SHOWN
    lines.append(
        "  train: " + ", ".join(shown) + (f", and {more} more classes" if more > 0 else "")
    )
    return "\n".join(lines + [f"  note: {note}" for note in data.notes])


def as_html(data: Any) -> str:
    """The same as a table, a row for each class; all names escaped."""
    said, splits = html.escape, data.splits
    head = "".join(f"<th>{name}</th>" for name in splits)
    held = zip(*(_held(data, name) for name in splits), strict=True)
    rows = []
    for name, cells in zip(data.classes[:SHOWN], held, strict=False):
        rows.append(
            f"<tr><td>{said(name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        )
    if len(data.classes) > SHOWN:
        rows.append(
            f'<tr><td colspan="{len(splits) + 1}">and {len(data.classes) - SHOWN} more classes</td></tr>'
        )
    total = "".join(f"<th>{len(split):,}</th>" for split in splits.values())
    notes = "".join(f"<li>{said(note)}</li>" for note in data.notes)
    return (
        f"<b>{said(data.name)}</b>: {_kinds(data)}"
        f"<table><thead><tr><th>{'target' if data.task == 'regression' else 'class'}</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
        f"<tfoot><tr><th>all</th>{total}</tr></tfoot></table>"
        + (f"<ul>{notes}</ul>" if notes else "")
    )


def _kinds(data: Any) -> str:
    n = len(data.classes)
    if data.task == "regression":
        return "a number a picture" if n == 1 else f"{n} numbers a picture"
    return f"{n} classes{', several a picture' if data.task == 'multilabel' else ''}"


def _held(data: Any, name: str) -> list[str]:
    """What a split has of each class: pictures; of each target: from where to where."""
    if data.task != "regression":
        return [f"{n:,}" for n in data.counts[name].values()]
    labels = data.splits[name].labels
    known = labels[~unlabelled(labels)]
    return [
        f"{column.min():.4g} to {column.max():.4g}" if len(column) else "–" for column in known.T
    ]


def _spread(labels: np.ndarray, n: int) -> list[int]:
    """n positions, a round through all classes before any class comes twice; the same ones each time."""
    order = permutation(len(labels), 0, SPLIT)
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        turn[of_class] = np.arange(len(of_class))
    chosen = np.lexsort((labels, turn))[: max(1, n)]
    return [int(row) for row in chosen]


def _picture(split: Any, i: int) -> tuple[Any, Any]:
    """Picture i, brought to the cell: small ones enlarged pixel by pixel. One that cannot be read is a grey square."""
    from PIL import Image

    try:
        pixels, label = split[i]
    except DataError:
        return Image.new("RGB", (CELL, CELL), "lightgrey"), of_row(split.labels, i)
    if pixels.shape[2] not in (1, 3):
        pixels = (
            pixels[..., :3]
            if pixels.shape[2] == 4
            else pixels.mean(2, keepdims=True).astype(np.uint8)
        )
    image = Image.fromarray(
        np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    ).convert("RGB")
    scale = CELL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if image.height == 1:  # a row of features: a strip of bars
        size = (CELL, CELL // 4)
    return image.resize(
        size, Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    ), label


def _fitted(name: str, width: Any) -> str:
    """The name, cut to the width of its cell."""
    if width(name) <= CELL:
        return name
    while name and width(name + "…") > CELL:
        name = name[:-1]
    return name + "…"
