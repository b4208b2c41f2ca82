"""How data looks: a sheet of its pictures with their class names, and what a cell prints of it."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import DataError
from .keyed_random import SPLIT, permutation
from .targets import of_row, spoken, strata, unlabelled

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
    out = Image.new("RGB", (columns * wide + GAP, lines * high + GAP), "white")
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(size=14)
    for place, row in enumerate(rows):
        x, y = GAP + place % columns * wide, GAP + place // columns * high
        picture, label = _picture(data.train, row)
        out.paste(picture, (x + (CELL - picture.width) // 2, y + (CELL - picture.height) // 2))
        name, shown = spoken(label, data.classes, data.task), ""
        for length in range(len(name), 0, -1):  # cut to the width of the cell
            shown = name[:length] + "…" * (length < len(name))
            if draw.textlength(shown, font=font) <= CELL:
                break
        draw.text((x + CELL / 2, y + CELL + 2), shown, fill="black", font=font, anchor="ma")
    return out


def as_text(data: Any) -> str:
    """Say in a few lines: what, how many, which classes, what loading saw."""
    counts = " · ".join(f"{name} {len(split):,}" for name, split in data.splits.items())
    classes = zip(data.classes[:SHOWN], _contents(data, "train"), strict=False)
    shown = ", ".join(f"{name} {content}" for name, content in classes)
    more = len(data.classes) - SHOWN
    if more > 0:
        shown += f", and {more} more classes"
    lines = [f"{data.name}: {_kinds(data)} · {counts} pictures", f"  train: {shown}"]
    return "\n".join(lines + [f"  note: {note}" for note in data.notes])


def as_html(data: Any) -> str:
    """Say the same as a table, a row for each class; all names escaped."""
    splits, escape = data.splits, html.escape
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
    notes = "".join(f"<li>{escape(note)}</li>" for note in data.notes)
    return (
        f"<b>{escape(data.name)}</b>: {_kinds(data)}<table><thead>"
        f"<tr><th>{first}</th>{_cells('th', splits)}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody><tfoot><tr><th>all</th>{total}</tr></tfoot></table>"
        f"{notes and f'<ul>{notes}</ul>'}"
    )


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{text}</{tag}>" for text in texts)


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
