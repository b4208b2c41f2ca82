"""Text of rows and cells: the mark between cells is found, no cell is understood.

comma, semicolon, tab or | between cells; else blanks. A first line that is a count (CelebA),
comment lines at the start, a header that lacks the name of the first column, and rows with too
many cells are as data sets are handed out.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from ...system.console import from_csv_field

MARKS = ",;\t|"
LARGEST = 512 << 20  # bytes of a table: it takes several times that in memory
LONG, LONGEST = 64 << 20, 4 << 20  # bytes of a table whose lines are looked at, and of one of them
SAMPLE = 200  # lines that decide the mark
MARK_LINE = re.compile(r'"?sep=."?\s*\n', re.I)  # Excel's own first line
CLEAR = 0.6  # share of lines that must have one width

Rows = list[list[str]]


def read_text(path: Path) -> str | None:
    """Read a file of text; None where it is no text.

    Raises
    ------
    OSError
    ValueError
        It is larger than a table may be, or a row of it is: such a row is one cell by mistake.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"it has {size:,} bytes, more than {LARGEST:,}")
    if size > LONG and path.suffix.lower() not in (".json", ".xml"):  # these may be one line
        with open(path, "rb") as file:
            while line := file.readline(LONGEST + 1):
                if len(line) > LONGEST:
                    raise ValueError(f"a line of it has more than {LONGEST:,} bytes")
    return decode(path.read_bytes())


def decode(content: bytes) -> str | None:
    """Give the text of a file; None where it is no text."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    head = content[:4096]
    if len(head) > 8 and b"\0" not in head[::2] and not any(head[1::2]):
        return content.decode("utf-16-le", "replace")  # as Windows writes it without a mark
    if content[:4096].count(b"\0") > 8:
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    text = text.replace("\0", "")
    return text if "\n" in text else text.replace("\r", "\n")  # as old Macs ended lines


def read_rows(text: str) -> tuple[Rows, frozenset[int]]:
    """Give rows of one width, and the numbers of those that had too many cells.

    The cells too many are joined to the last one.

    Raises
    ------
    csv.Error
        A quote that is opened is never closed, or the like.
    """
    comments, text = _without_head(text)
    lines = _sample(text)
    if not lines:
        return [], frozenset()
    mark = _mark(lines)
    rows = list(_by_mark(text, mark)) if mark else _by_blanks(text, lines)
    if comments and rows:
        name = comments[-1].lstrip("# ")
        names = name.split(mark) if mark else name.split()
        if len(names) == len(rows[0]) and not any(cell.isdigit() for cell in names):
            rows.insert(0, [cell.strip() for cell in names])
    return _of_one_width(rows)


def _without_head(text: str) -> tuple[list[str], str]:
    """Part the comment lines at the start, and a lone count, from the rest."""
    comments = []
    text = text.lstrip("\r\n")
    if MARK_LINE.match(text):
        text = text.partition("\n")[2]
    while text.startswith("#"):
        line, _, text = text.partition("\n")
        comments.append(line.strip())
    first, _, rest = text.partition("\n")
    second = rest.partition("\n")[0].strip()
    if first.strip().isdigit() and any(gap in second for gap in (*MARKS, " ")):
        text = rest
    return comments, text


def _sample(text: str) -> list[str]:
    lines = (line.rstrip("\r\n") for line in io.StringIO(text[: 1 << 22]))
    return list(islice((line for line in lines if line.strip()), SAMPLE))


def _mark(lines: Sequence[str]) -> str | None:
    """Find the mark that gives most lines one width of two cells or more."""
    best, choice = (0.0, 0), None
    for mark in MARKS:
        try:
            widths = [len(row) for row in _read(csv.reader(lines, delimiter=mark)) if row]
        except csv.Error:  # a quoted cell holds the end of a line, and quotes begin elsewhere
            continue
        [(width, n)] = Counter(widths).most_common(1)
        score = (round(n / len(widths), 3), -(lines[0].find(mark) % (1 << 30)))
        if width > 1 and score[0] >= CLEAR and score > best:
            best, choice = score, mark
    return choice


def _by_mark(text: str, mark: str) -> Iterable[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    rows: Iterable[list[str]] = filter(any, _read(reader))
    if "'" in text:
        rows = ([from_csv_field(cell) for cell in row] for row in rows)
    if f" {mark}" in text or " \n" in text or " \r" in text:
        return ([cell.strip() for cell in row] for row in rows)
    return rows


def _read(reader: Iterator[list[str]]) -> list[list[str]]:
    """Read all rows, with cells of any length."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        return list(reader)
    finally:
        csv.field_size_limit(limit)


def _by_blanks(text: str, lines: Sequence[str]) -> Rows:
    part = _blanks(lines)
    return [part(line) for line in text.splitlines() if line.strip()]


def _blanks(lines: Sequence[str]) -> Callable[[str], list[str]]:
    """Choose how lines are parted at blanks: everywhere, at the last one, or at the first."""
    words = [line.split() for line in lines]
    widths = {len(row) for row in words[1:]} or {len(words[0])}
    short = len(words) > 2 and not words[0][-1].isdigit()  # the first column may have no name
    if len(widths) == 1 and (len(words[0]) in widths or short and len(words[0]) + 1 in widths):
        return str.split
    if all(row[-1].lstrip("-").isdigit() and len(row) > 1 for row in words):
        return lambda line: line.rsplit(None, 1)
    return lambda line: line.strip().split(None, 1)


def _of_one_width(rows: Rows) -> tuple[Rows, frozenset[int]]:
    widths = Counter(map(len, rows))
    [(width, _)] = widths.most_common(1)
    if len(widths) == 1:
        return rows, frozenset()
    if len(rows[0]) == width - 1 and len(rows) > 2:  # the first column has no name
        rows[0] = ["", *rows[0]]
    width = max(width, len(rows[0]))
    too_long = set()
    for number, row in enumerate(rows):
        while len(row) > width and not row[-1]:
            row.pop()
        if len(row) > width:
            rows[number] = [*row[: width - 1], ", ".join(row[width - 1 :])]
            too_long.add(number)
        elif len(row) < width:
            row += [""] * (width - len(row))
    return rows, frozenset(too_long)
