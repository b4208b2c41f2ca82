"""Sights: what a panel shows, as HTML of its own: bar, curve, table, error, pictures. Every text from outside is escaped."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..training.budget import spoken
from .worker import Snapshot

WIDE, HIGH, LEFT, FOOT = 640, 220, 48, 26  # of the curve, in its own units
POINTS = 200  # that a curve has at most
TRAIN, VALID = (
    "#1668a8",
    "#b34700",
)  # 4.5 : 1 and more on white; on dark themes they are lightened by the panel's own style
STYLE = """<style>
.colab-kit { font-family: system-ui, sans-serif; line-height: 1.45 }
.colab-kit .heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
.colab-kit progress { width: 100%; height: 1em }
.colab-kit table { border-collapse: collapse } .colab-kit td, .colab-kit th { padding: .15em .8em .15em 0; text-align: left }
.colab-kit .train { stroke: #1668a8 } .colab-kit .valid { stroke: #b34700; fill: #b34700 }
.colab-kit [role=alert] { border-left: 4px solid #b3261e; padding: .3em .8em }
@media (prefers-color-scheme: dark) { .colab-kit .train { stroke: #7cc0ff } .colab-kit .valid { stroke: #ffb27a; fill: #ffb27a } }
body[data-jp-theme-light=false] .colab-kit .train { stroke: #7cc0ff }
body[data-jp-theme-light=false] .colab-kit .valid { stroke: #ffb27a; fill: #ffb27a }
</style>"""


def framed(content: str) -> str:
    return f'<div class="colab-kit">{content}</div>'


def bar(now: Snapshot) -> str:
    """How far it is, and how long it takes yet."""
    if now.state == "ready":
        return ""
    left = (
        f" · about {spoken(now.left)} left"
        if now.left is not None and now.state == "working"
        else ""
    )
    if now.state in ("failed", "stopped"):
        return framed(f"<div>{html.escape(now.doing)}</div>")
    known = (
        f'max="{now.of}" value="{min(now.done, now.of)}"'
        if now.of
        else ('max="1" value="1"' if now.state == "finished" else "")
    )
    return framed(
        f'<progress aria-label="progress" {known}></progress><div>{html.escape(now.doing)}{left}</div>'
    )


def status(now: Snapshot) -> str:
    """What a screen reader is told: changes of state and whole epochs, never each step."""
    said = {"working": now.work, "ready": "Ready"}.get(now.state, now.doing)
    row = now.rows[-1] if now.rows else None
    epoch = f", epoch {row['epoch']:g} of {now.epochs}: {told(row)}" if row else ""
    return framed(
        f'<div class="heard" role="status" data-state="{now.state}">{html.escape(said)}{html.escape(epoch)}</div>'
    )


def told(row: Mapping[str, float]) -> str:
    """A validation in words."""
    return ", ".join(f"{name} {value:.4g}" for name, value in row.items() if "/" in name)


def thinned(points: Sequence[tuple[float, float]], most: int = POINTS) -> list[tuple[float, float]]:
    """At most so many points, each the mean of those it stands for."""
    step = -(-len(points) // most) or 1
    groups = [points[i : i + step] for i in range(0, len(points), step)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


def curve(now: Snapshot) -> str:
    """The loss while it falls, as a picture of lines."""
    per_epoch = now.of / now.epochs if now.epochs and now.of else 0
    steps = [(float(step), loss) for step, loss in now.losses if math.isfinite(loss)]
    checks = [
        (row.get("step", row["epoch"] * per_epoch), row["valid/loss"])
        for row in now.rows
        if math.isfinite(row.get("valid/loss", math.nan))
    ]
    if not steps:
        steps = [
            (row.get("step", row["epoch"]), row["train/loss"])
            for row in now.rows
            if "train/loss" in row
        ]
    if not steps and not checks:
        return ""
    train, last = thinned(steps), max(now.of, *(int(x) for x, _ in [*steps, *checks]), 1)
    low = min(y for _, y in [*train, *checks])
    high = max(y for _, y in [*train, *checks])
    span = high - low or 1.0

    def at(point: tuple[float, float]) -> str:
        x = LEFT + point[0] / last * (WIDE - LEFT - 8)
        return f"{x:.1f},{8 + (high - point[1]) / span * (HIGH - FOOT - 16):.1f}"

    words = f"training loss {train[-1][1]:.4g}" if train else ""
    words += (
        f"{', ' if words and checks else ''}validation loss {checks[-1][1]:.4g}" if checks else ""
    )
    dots = "".join(
        '<circle class="valid" cx="{}" cy="{}" r="3.5"/>'.format(*at(point).split(","))
        for point in checks
    )
    axes = (
        f'<path d="M{LEFT},4 V{HIGH - FOOT} H{WIDE - 4}" stroke="currentColor" fill="none"/>'
        f'<text x="{LEFT - 6}" y="16" text-anchor="end">{high:.3g}</text>'
        f'<text x="{LEFT - 6}" y="{HIGH - FOOT}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{WIDE - 4}" y="{HIGH - 8}" text-anchor="end">step {last}</text>'
    )
    return framed(
        f'<svg viewBox="0 0 {WIDE} {HIGH}" style="max-width:{WIDE}px;width:100%" role="img" aria-label="{html.escape(words)}" '
        f'font-size="12" fill="currentColor">{axes}'
        f'<polyline class="train" fill="none" stroke-width="2" points="{" ".join(map(at, train))}"/>'
        f'<polyline class="valid" style="fill:none" stroke-width="2" points="{" ".join(map(at, checks))}"/>{dots}</svg>'
        f"<div>{html.escape(words)}</div>"
    )


def table(rows: Sequence[Mapping[str, float]]) -> str:
    """The validations, a row each."""
    if not rows:
        return ""
    names = [
        name
        for name in dict.fromkeys(name for row in rows for name in row)
        if name not in ("step",)
    ]
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    lines = (
        "<tr>"
        + "".join(f"<td>{row[name]:.4g}</td>" if name in row else "<td></td>" for name in names)
        + "</tr>"
        for row in rows
    )
    return framed(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>")


def alert(error: tuple[str, str, str, str]) -> str:
    """An error in its three sentences, the traceback folded."""
    what, why, fix, trace = (html.escape(part) for part in error)
    more = f"<br>Why: {why}" * bool(why) + f"<br>Fix: {fix}" * bool(fix)
    return framed(
        f'<div role="alert"><strong>{what}</strong>{more}<details><summary>Traceback</summary><pre>{trace}</pre></details></div>'
    )


def notes(now: Snapshot) -> str:
    """What was said meanwhile: warnings first."""
    said = [text for level, text in now.notes if level == "warn"] + [
        text for level, text in now.notes if level != "warn"
    ]
    if not said:
        return ""
    warned = sum(level == "warn" for level, _ in now.notes)
    head = f"Notes ({len(said)}{f', {warned} warnings' if warned else ''})"
    items = "".join(f"<li>{html.escape(text)}</li>" for text in said)
    opened = ' open="open"' if warned else ""
    return framed(f"<details{opened}><summary>{head}</summary><ul>{items}</ul></details>")


def findings(found: Sequence[Any]) -> str:
    """What was found before the first step, a line each."""
    lines = "".join(
        f"<li><strong>{html.escape(one.level)}</strong>: {html.escape(str(one))}</li>"
        for one in found
    )
    return f"<ul>{lines}</ul>" if found else ""


def picture(image: Any, text: str) -> str:
    """A PIL picture in the page."""
    out = io.BytesIO()
    image.save(out, format="PNG")
    return f'<img alt="{html.escape(text)}" style="max-width:100%" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'


def image(path: Path, text: str) -> str:
    """A PNG file in the page."""
    return f'<img alt="{html.escape(text)}" style="max-width:100%" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'


def chances(found: Any) -> str:
    """A prediction as words and bars."""
    if found.task == "regression":
        return framed(f"<strong>{html.escape(repr(found))}</strong>")
    rows = "".join(
        f'<tr><td>{html.escape(name)}</td><td><meter min="0" max="1" value="{score:.4f}" aria-label="{html.escape(name)}"></meter></td>'
        f"<td>{100 * score:.1f} %</td></tr>"
        for name, score in found.top
    )
    return framed(f"<strong>{html.escape(found.label)}</strong><table>{rows}</table>")


def code(line: str) -> str:
    """The line that does the same without a panel."""
    return framed(f"<pre><code>{html.escape(line)}</code></pre>")


def plain(line: str) -> Any:
    """The same as text alone, where no widgets are wanted."""
    from IPython.display import Code

    return Code(line, language="python")  # type: ignore[no-untyped-call]
