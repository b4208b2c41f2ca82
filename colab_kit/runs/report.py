"""The report: one HTML file with a run's figures and pictures, that opens offline.

Nothing in it comes from elsewhere, and no script runs.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..system.console import html_table
from ..system.files import write_whole
from ..training.history import History
from .evaluation import Evaluation, figures

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em }
body { color: #222; background: #fff }
h1 { font-size: 1.5em }
h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd }
img { max-width: 100%; height: auto }
table { border-collapse: collapse; margin: 1em 0 }
td, th { padding: .2em .8em .2em 0; text-align: left; vertical-align: top; overflow-wrap: anywhere }
tr:nth-child(even) { background: #f6f6f6 }
.small { color: #666; font-size: .9em }
"""
COMPARISONS = {  # task: the heading over its comparison, and over its table
    "classification": ("Which classes the run confuses", "Class by class"),
    "multilabel": ("How well the run finds each class", "Class by class"),
    "regression": ("Predicted and true numbers", "Target by target"),
}


def write_report(
    title: str,
    record: Mapping[str, Any],
    choices: Mapping[str, Sequence[Any]],
    history: Sequence[Mapping[str, Any]],
    evaluation: Evaluation,
    drawings: Sequence[Path],
    folder: Path,
) -> Path:
    """Write all that is known of a run as one HTML file, report.html in its folder.

    Parameters
    ----------
    drawings : sequence of Path
        The curves, the comparison and the pictures with the largest losses.
    """
    data, names = record["data"], figures(evaluation)
    comparison, each = COMPARISONS[data["task"]]
    curves, compared, worst = drawings
    rows = [[row[name] for name in ("name", "count", *names)] for row in evaluation.per_class]
    chosen = [(name, *choice[:2]) for name, choice in choices.items()]
    summary = html.escape(repr(evaluation).splitlines()[0])
    parts = {
        f"On the {evaluation.split} split": f"<p>{summary}</p>",
        "Curves": _picture(curves, "loss and accuracy over the epochs"),
        comparison: _picture(compared, comparison),
        each: _table(rows, ("name", "pictures", *names)),
        "The largest losses": _picture(worst, "the pictures with the largest losses"),
        "What was chosen": _table(chosen, ("what", "value", "why")),
        "Recipe": _table(record["recipe"].items(), ("field", "value")),
        "Validations": History(history)._repr_html_(),
    }
    kind = "targets" if data["task"] == "regression" else "classes"
    path = folder / "report.html"
    write_whole(path, page(title, f"{data['name']}, {len(data['classes'])} {kind}", parts))
    return path


def page(title: str, about: str, parts: Mapping[str, str]) -> str:
    """Make a whole page.

    Parameters
    ----------
    title, about : str
        Text; it is escaped.
    parts : dict
        {a heading as text: its content as HTML}
    """
    title = html.escape(title)
    body = "".join(f"<h2>{html.escape(name)}</h2>\n{content}\n" for name, content in parts.items())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f'<body><h1>{title}</h1>\n<p class="small">{html.escape(about)}</p>\n{body}</body></html>\n'
    )


def _picture(path: Path, text: str) -> str:
    """Put a PNG inside the page."""
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{content}">'


def _table(rows: Iterable[Iterable[Any]], head: Iterable[str]) -> str:
    return html_table(([_cell(cell) for cell in row] for row in rows), head)


def _cell(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return "" if cell is None else str(cell)
