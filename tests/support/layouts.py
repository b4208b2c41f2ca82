"""Data sets as people have them, in miniature, and a judge of what `kit.load` makes of them.

A picture's colour says its true class, so that the judge holds each label against its own picture:
a loader that counts right and labels wrong is found out. Numbers below 12 are colours, or greys in
a picture of mode "L"; a strip at the bottom tells each file from every other.

RIGHT        the data is what its publisher means
HINT         an error of the kit's, and the first `kit.load(...)` of its fix that loads is right
REFUSAL      nothing right is possible, and the error says truly why
UNSUPPORTED  an error of the kit's whose fix leads nowhere
SILENT       wrong data, or a fix that loads wrong data
FOREIGN      a traceback of another library
"""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import math
import re
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

import colab_kit as kit

# --- pictures ---

SIDE = 16
COLOURS = np.array(
    "200 20 20, 20 180 20, 20 20 200, 200 200 20, 20 180 180, 180 20 180, 240 120 20, 100 20 200,"
    "130 70 20, 20 90 50, 250 150 190, 150 230 110".replace(",", " ").split(),
    np.uint8,
).reshape(-1, 3)
MASK = 25  # what a mask, a thumbnail or a diagram shows: no class at all, as grey
_serial = itertools.count(1)


def pixels(n: int, side: int = SIDE) -> np.ndarray:
    """Colour n as uint8 (side, side, 3), unlike each one before."""
    out = np.full((side, side, 3), COLOURS[n], np.uint8)
    return _stamped(out)


def greys(n: int, side: int = SIDE) -> np.ndarray:
    """Grey n, below 26, as uint8 (side, side), unlike each one before."""
    return _stamped(np.full((side, side), 10 + 9 * n, np.uint8))


def _stamped(out: np.ndarray) -> np.ndarray:
    number = next(_serial)
    bits = np.array([255 * (number >> bit & 1) for bit in range(SIDE)], np.uint8)
    out[-2:, :SIDE] = bits if out.ndim == 2 else bits[:, None]
    return out


def meant(picture: Any) -> int:
    """The number that a picture shows: (H, W), (H, W, C), (C, H, W), or a flat square."""
    array = np.asarray(picture)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 1 or 1 in array.shape[:2]:
        array = array.reshape(math.isqrt(array.size), -1, 1)
    colour = np.median(array[:-8].reshape(-1, array.shape[2] if array.ndim == 3 else 1), 0)
    if colour.max() - colour.min() < 25:
        return round((float(colour[0]) - 10) / 9)
    return int(((COLOURS - colour[:3].astype(float)) ** 2).sum(1).argmin())


def picture(path: Path, n: int, mode: str = "RGB") -> Path:
    """A file that shows n, in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = mode == "L" or n >= len(COLOURS)
    Image.fromarray(greys(n) if grey else pixels(n)).save(path, **_options(path))
    return path


def _options(path: Path) -> dict[str, Any]:
    return {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg") else {}


def pictures(folder: Path, names: Iterable[str], n: int, mode: str = "RGB") -> None:
    for name in names:
        picture(folder / name, n, mode)


def classes_in(folder: Path, kinds: Iterable[str], names: Iterable[str], mode: str = "RGB") -> None:
    """A folder a class, its pictures named alike in each; {kind} and {n} stand in a name."""
    names = list(names)
    for n, kind in enumerate(kinds):
        pictures(folder / kind, [name.format(kind=kind, n=n) for name in names], n, mode)


def lines(path: Path, *rows: str, end: str = "\n") -> Path:
    """A text file of these rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(row + end for row in rows).encode())
    return path


def junk(*paths: Path) -> None:
    """Files of no meaning, under the names that real archives carry."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x00\x01 nothing to see")


def packed(folder: Path, kind: str = "zip", *, inside: bool = True) -> None:
    """The folder becomes an archive beside it, with its own name inside or not."""
    top, rest = (folder.parent, folder.name) if inside else (folder, ".")
    shutil.make_archive(str(folder), kind, top, rest)
    shutil.rmtree(folder)


# --- what is right ---

DRAWN = "drawn"  # valid is the kit's own draw from train


@dataclass(frozen=True)
class Bare:
    """A split of so many pictures without labels."""

    count: int


Part = int | tuple[int, ...] | str | Bare | None


@dataclass(frozen=True)
class Want:
    """What the data must be.

    classes : names, in any order
    train, valid, test : pictures a class: one number for all, one for each, Bare, None (no such
        split); valid also DRAWN: then train counts both
    labels : what each number shown is labelled: class names; for "multilabel" a set of them; for
        "regression" a number. None: the classes, in their order
    shows : the numbers that the pictures of each label show; None: 0, 1, 2 ...
    noted : what a note must say, a regular expression, if this answer leaves something out
    check : callable(data) -> what is wrong, or ""
    blind : the pictures show nothing that can be held against their labels
    """

    classes: tuple[str, ...]
    train: Part
    valid: Part = DRAWN
    test: Part = None
    task: str = "classification"
    labels: tuple[Any, ...] | None = None
    shows: tuple[int, ...] | None = None
    noted: str = ""
    check: Callable[[Any], str] | None = None
    blind: bool = False

    @property
    def by_number(self) -> dict[int, Any]:
        """The label of each number shown."""
        labels = self.classes if self.labels is None else self.labels
        return dict(zip(self.shows or range(len(labels)), labels, strict=True))

    def numbers(self, part: Part) -> Counter[int]:
        """How often each number is shown in a split."""
        counts = part if isinstance(part, tuple) else (part,) * len(self.by_number)
        return +Counter(dict(zip(self.by_number, counts, strict=True)))


@dataclass(frozen=True)
class Layout:
    """One data set.

    source : who hands it out so, or which public code reads it
    make : writes it into a folder
    typed : the line that a person types first, beside it; the lines before it run first
    want : what is right; several: each is
    after : what is right besides, where a person chose it by pasting a fix
    refusal : what an error must name where it is the only right answer, a regular expression
    further : chosen after the code was written, to see how it meets what it never saw
    """

    name: str
    source: str
    make: Callable[[Path], None]
    typed: str
    want: Want | tuple[Want, ...] = ()
    after: tuple[Want, ...] = ()
    refusal: str = ""
    further: bool = False

    @property
    def wants(self) -> tuple[Want, ...]:
        return self.want if isinstance(self.want, tuple) else (self.want,)


def layout(
    shelf: list[Layout],
    source: str,
    typed: str,
    want: Any = (),
    *,
    spellings: dict[str, dict[str, Any]] | None = None,
    **more: Any,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Put what the function makes on the shelf, under its name; once for each spelling, whose
    values the function gets, and `typed` where it says <value>, and `want` if it is a function.
    """

    def keep(make: Callable[..., None]) -> Callable[..., None]:
        for word, values in (spellings or {"": {}}).items():
            line = typed
            for key, value in values.items():
                line = line.replace(f"<{key}>", str(value))
            due = want(**values) if callable(want) else want
            name = f"{make.__name__}-{word}".rstrip("-")
            shelf.append(Layout(name, source, partial(make, **values), line, due, **more))
        return make

    return keep


def either(names: Iterable[str], *others: Iterable[str], **want: Any) -> tuple[Want, ...]:
    """The same data under each way to name its classes."""
    return tuple(Want(tuple(of), **want) for of in (names, *others))


def cases(shelf: list[Layout]) -> list[Any]:
    """What pytest runs: each layout by its name; the further ones bear their mark."""
    names = [one.name for one in shelf]
    assert len(set(names)) == len(names)
    marks = {True: pytest.mark.further, False: ()}
    return [pytest.param(one, id=one.name, marks=marks[one.further]) for one in shelf]


# --- judging ---


@dataclass(frozen=True)
class Verdict:
    """How it went, and all that was said on the way."""

    kind: str
    told: str

    @property
    def good(self) -> bool:
        return self.kind in ("RIGHT", "HINT", "REFUSAL")

    def __str__(self) -> str:
        return f"{self.kind}\n{self.told}"


def check(layout: Layout, folder: Path) -> None:
    """Make the layout in the folder and fail unless `kit.load` is right or leads there."""
    layout.make(folder)
    verdict = judge(layout, folder)
    assert verdict.good, f"{layout.typed}\n{verdict}\nsource: {layout.source}"


def judge(layout: Layout, folder: Path) -> Verdict:
    """Run the typed line in the folder, then what its errors say to paste."""
    try:
        data, said = run(layout.typed, folder)
    except kit.ColabKitError as err:
        return _follow(layout, folder, err)
    except BaseException:
        return Verdict("FOREIGN", traceback.format_exc(limit=-4))
    return _weigh(data, layout.wants, "RIGHT", "", said)


def run(code: str, folder: Path) -> tuple[Any, str]:
    """The value of the last expression of code, run in the folder with kit, np and Path at hand,
    and what was printed.
    """
    *before, last = ast.parse(code).body
    assert isinstance(last, ast.Expr)
    names = {"kit": kit, "np": np, "Path": Path}
    said = io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        patch("socket.socket.connect", side_effect=OSError("a layout lies on the disk")),
    ):
        exec(compile(ast.Module(before, []), "typed", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "typed", "eval"), names)
    return value, _told(said.getvalue(), folder)


def _told(text: str, folder: Path) -> str:
    """The text without the folder of the test, whose name means nothing."""
    return text.replace(str(folder), "")


def _follow(layout: Layout, folder: Path, first: kit.ColabKitError) -> Verdict:
    """Paste the lines of its fix, in their order, then those of the errors that come of it."""
    told, open_, pasted = [str(first)], [first], {layout.typed}
    while open_ and len(pasted) < 8:
        for line in pasteable(open_.pop(0).fix):
            if line in pasted:
                continue
            pasted.add(line)
            told.append(f"--- pasted: {line}")
            try:
                data, said = run(line, folder)
            except kit.ColabKitError as err:
                told.append(str(err))
                open_.append(err)
            except BaseException as err:
                told.append(f"{type(err).__name__}: {err}")
            else:
                if isinstance(data, kit.Data):  # explain=True and the like give none
                    wants = layout.wants + layout.after
                    return _weigh(data, wants, "HINT", "\n".join(told), said)
    if layout.refusal and re.search(layout.refusal, _told(str(first), folder), re.I | re.S):
        return Verdict("REFUSAL", told[0])
    return Verdict("UNSUPPORTED", "\n".join(told))


def pasteable(fix: str) -> Iterator[str]:
    """The calls of kit.load that stand in a fix as code, with the code that leads up to each."""
    for start in (m.start() for m in re.finditer(r"kit\.load\(", fix)):
        ends = (start + m.end() for m in re.finditer(r"\)", fix[start:]))
        if call := next((fix[start:end] for end in ends if _compiles(fix[start:end])), ""):
            marks = (m.end() for m in re.finditer(r"^|: |\n|`", fix[:start]))
            heads = (fix[mark:start] for mark in marks)
            whole = (head for head in heads if head.rstrip(" ")[-1:] in ("", ";", "\n"))
            yield next(filter(_compiles, whole), "").lstrip() + call


def _compiles(code: str) -> bool:
    with contextlib.suppress(SyntaxError):
        return bool(compile(code, "fix", "exec"))
    return False


def _weigh(data: Any, wants: tuple[Want, ...], kind: str, before: str, said: str) -> Verdict:
    said = "\n".join((said, *map(str, data.notes)))
    said = re.sub(r".*left out: no pictures.*", "", said)  # names files, not what they mean
    try:
        found = [differences(want, data, said) for want in wants]
    except BaseException:
        trace = traceback.format_exc()
        return Verdict("FOREIGN", f"{before}\nit loads, but not its pictures\n{trace}")
    told = f"{before}\n{data!r}\n{said}"
    if any(not wrong for wrong in found):
        return Verdict(kind, told)
    wrong = found[0] if found else ["only an error is right"]
    return Verdict("SILENT", f"{told}\nWRONG: {'; '.join(wrong)}")


def differences(want: Want, data: Any, said: str = "") -> list[str]:
    """In what the data is not what it must be: task, classes, splits, each label, notes."""
    wrong = []
    if data.task != want.task:
        wrong.append(f"task {data.task}, not {want.task}")
    if set(data.classes) != set(want.classes) and want.task != "regression":
        wrong.append(f"classes {data.classes}, not {want.classes}")
    if wrong:
        return wrong
    seen = {name: list(_seen(split, data, want)) for name, split in data.splits.items()}
    if want.valid == DRAWN:
        seen["train"] += seen.pop("valid", [])
    for name in ("train", "valid", "test"):
        wrong += _against(name, getattr(want, name), seen.get(name), want)
    if want.noted and not re.search(want.noted, said, re.I):
        wrong.append(f"no note says {want.noted}")
    if want.check and not wrong and (said := want.check(data)):
        wrong.append(said)
    return wrong


def _seen(split: Any, data: Any, want: Want) -> Iterator[tuple[int, Any]]:
    """(number shown, label) of each picture; None is no label."""
    for at in range(len(split)):
        image, label = split[at]
        label = _label(label, data)
        if not want.blind:
            yield meant(image), label
        else:
            numbers = {told: number for number, told in want.by_number.items()}
            yield numbers.get(label, -1), label


def _label(label: Any, data: Any) -> Any:
    """A class name, a set of names, a number; None for none."""
    values = np.ravel(np.asarray(label, np.float64))
    if data.task == "classification":
        return data.classes[int(values[0])] if values[0] >= 0 else None
    if np.isnan(values).any() or (data.task == "multilabel" and (values < 0).any()):
        return None
    if data.task == "multilabel":
        return frozenset(np.array(data.classes)[values > 0].tolist())
    return float(values[0])


def _against(name: str, part: Part, seen: list[tuple[int, Any]] | None, want: Want) -> list[str]:
    if part in (None, DRAWN) and name != "train":
        return [f"{name} has {len(seen)} pictures, and there is no such split"] if seen else []
    if seen is None:
        return [f"there is no {name}"]
    if isinstance(part, Bare):
        labelled = sum(label is not None for _, label in seen)
        right = len(seen) == part.count and not labelled
        return [] if right else [f"{name}: {len(seen)} pictures, {labelled} labelled, not {part}"]
    numbers, due = Counter(number for number, _ in seen), want.numbers(part)
    if numbers != due:
        return [f"{name} shows {dict(numbers)}, not {dict(due)}"]
    meant_by = want.by_number
    bad = [(meant_by[n], label) for n, label in seen if not _same(meant_by[n], label)]
    if bad:
        return [f"{name}: {len(bad)} of {len(seen)} labels contradict their pictures: {bad[:2]}"]
    return []


def _same(due: Any, label: Any) -> bool:
    return due == label if not isinstance(due, set | tuple | list) else frozenset(due) == label
