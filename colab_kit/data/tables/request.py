"""What a user says of labels, and the line that says it again with one word more."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Labels = str | os.PathLike[str] | Mapping[Any, Any] | Callable[[Path], Any]


@dataclass(frozen=True)
class LabelRequest:
    """What a user says of labels; None where nothing was said.

    labels : the path of a table, {file: label}, or callable(path)
    label_column, file_column : names of a table's columns, or their numbers from 0; several labels
        as a list
    group : a column, {file: group}, or callable(path): pictures of one group stay on one side
    task : classification, multilabel or regression
    source : what was typed as the first argument; None where this is not the whole source
    words : what else was typed: {keyword: value}, for lines to paste
    named : whether class_names= says what classes are called
    split : the split that the pictures are, where they are given as valid= or test=
    others : then the pictures of train: a name means one of these first
    """

    labels: Labels | None = None
    label_column: Any = None
    file_column: Any = None
    group: Any = None
    task: str | None = None
    source: Any = None
    words: Mapping[str, Any] = field(default_factory=dict)
    named: bool = False
    split: str = "train"
    others: Sequence[Path] = ()

    def line(self, **more: Any) -> str:
        """Give the call as it was typed, with these words more: it can be pasted.

        A word that is "" says nothing, and the value that was typed stays.
        """
        source = _typed(self.source) or "source"
        words = {**self.words, **{word: value for word, value in more.items() if value != ""}}
        shown = {word: _typed(value) for word, value in words.items() if value is not None}
        # what cannot be written again (a dict, a function) is left as a word
        return f"kit.load({', '.join([source, *(f'{w}={s or w}' for w, s in shown.items())])})"

    def line_of(self, code: str, **more: Any) -> str:
        """Give the call with labels= a function of the path, whose code this is."""
        # a function cannot be shown as a value: it is written into the line
        columns = {"label_column": None, "file_column": None}
        line = self.line(labels="\0", **columns, **more)
        return line.replace(repr("\0"), f"lambda path: {code}")

    def line_with(self, text: str) -> str:
        """Give the call as it was typed, with a piece of code as its last word."""
        return f"{self.line()[:-1]}, {text})"


def _typed(value: Any) -> str | None:
    """Write a value as it is typed; None for what has no such form."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    plain = str | int | float | bool
    if isinstance(value, list | tuple) and all(isinstance(one, plain) for one in value):
        return repr(list(value))
    return repr(value) if isinstance(value, plain) else None
