"""The report: one HTML file with a run's figures and pictures, that opens offline. Nothing in it comes from elsewhere, no script runs."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd }
img { max-width: 100%; height: auto } table { border-collapse: collapse; margin: 1em 0 }
td, th { padding: .2em .8em .2em 0; text-align: left; vertical-align: top; overflow-wrap: anywhere }
td + td, th + th { text-align: left } tr:nth-child(even) { background: #f6f6f6 }
.small { color: #666; font-size: .9em }
"""


def page(title: str, about: str, parts: Sequence[tuple[str, str]]) -> str:
    """A whole page.

    title, about : text, to be escaped    parts : a heading as text, and its content as HTML
    """
    said = html.escape
    body = "".join(f"<h2>{said(heading)}</h2>\n{content}\n" for heading, content in parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{said(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f'<body><h1>{said(title)}</h1>\n<p class="small">{said(about)}</p>\n{body}</body></html>\n'
    )


def picture(path: Path, text: str) -> str:
    """A PNG, inside the page."""
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of texts and numbers."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = (
        "<tr>" + "".join(f"<td>{html.escape(_told(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{top}</tr>{''.join(lines)}</table>"


def _told(cell: Any) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else "" if cell is None else str(cell)


def history(rows: Sequence[Mapping[str, Any]]) -> str:
    """The validations, a row each."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return table(names, [[row.get(name) for name in names] for row in rows])
