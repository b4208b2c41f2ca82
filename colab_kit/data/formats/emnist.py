"""What EMNIST does its own way: pictures that lie on their sides, and its files of class names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from numpy import ndarray

from .place import damaged, unreadable

TURNED = "EMNIST stores its pictures on their sides; they are turned upright."


def upright(x: ndarray) -> ndarray:
    """Turn pictures (N, S, S) that are stored column by column."""
    return x.swapaxes(1, 2)


def class_names(file: Path) -> dict[int, str]:
    """Read the mapping beside a file of EMNIST: what its labels mean; {} where there is none.

    `emnist-letters-mapping.txt` has a label and its characters' codes in each line: a letter in
    both cases is called by its small form.

    Raises
    ------
    DataError
        The mapping is damaged.
    """
    parts = file.name.lower().split("-")
    if len(parts) < 3 or parts[0] != "emnist":
        return {}
    path = file.parent / f"emnist-{parts[1]}-mapping.txt"
    if not path.is_file():
        return {}
    try:
        rows = [
            [int(cell) for cell in line.split()]
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        return of_rows(rows)
    except OSError as err:
        raise unreadable(path, err) from err
    except (ValueError, OverflowError) as err:
        raise damaged(path, f"it is no list of labels and characters: {err}") from err


def of_rows(rows: Sequence[Sequence[int]]) -> dict[int, str]:
    """Give the character of each label, from rows of a label and codes of characters."""
    return {row[0]: chr(row[-1]) for row in sorted(map(tuple, filter(None, rows)))}
