"""Views: what a panel shows, as HTML: bar, curve, table, error, pictures.

Every text from outside is escaped.
"""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import in_line
from ..system.console import NO_FORMULAS, escape
from ..training.saver import spoken
from .worker import Failure, Snapshot

WIDE, HIGH, LEFT, FOOT = 640, 220, 48, 26  # of the curve, in its own units
POINTS = 200  # that a curve has at most
# the two colours have 4.5 : 1 and more on white; on dark themes the style lightens them
STYLE = """<style>
.colab-kit { font-family: system-ui, sans-serif; line-height: 1.45 }
.colab-kit .heard { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%) }
.colab-kit progress { width: 100%; height: 1em }
.colab-kit table { border-collapse: collapse }
.colab-kit td, .colab-kit th { padding: .15em .8em .15em 0; text-align: left }
.colab-kit .train { stroke: #1668a8 } .colab-kit .valid { stroke: #b34700; fill: #b34700 }
.colab-kit [role=alert] { border-left: 4px solid #b3261e; padding: .3em .8em }
@media (prefers-color-scheme: dark) {
  .colab-kit .train { stroke: #7cc0ff } .colab-kit .valid { stroke: #ffb27a; fill: #ffb27a } }
body[data-jp-theme-light=false] .colab-kit .train { stroke: #7cc0ff }
body[data-jp-theme-light=false] .colab-kit .valid { stroke: #ffb27a; fill: #ffb27a }
</style>"""


def framed(content: str) -> str:
    return f'<div class="colab-kit {NO_FORMULAS}">{content}</div>'


def description(text: str) -> str:
    """A text as a widget's description."""
    return escape(text) if descriptions_are_html() else in_line(text)


def descriptions_are_html() -> bool:
    """Whether a browser takes descriptions for HTML: before ipywidgets 8, so on Colab."""
    from ipywidgets import Dropdown

    return not hasattr(Dropdown, "description_allow_html")


def bar(now: Snapshot) -> str:
    """How far it is, and how long it will take."""
    if now.state == "ready":
        return ""
    words, known = escape(now.doing), ""
    if now.state in ("failed", "stopped"):
        return framed(f"<div>{words}</div>")
    if now.left is not None and now.state == "working":
        words += f" · about {spoken(now.left)} left"
    if now.of:
        known = f'max="{now.of}" value="{min(now.done, now.of)}"'
    elif now.state == "finished":
        known = 'max="1" value="1"'
    return framed(f'<progress aria-label="progress" {known}></progress><div>{words}</div>')


def status(now: Snapshot) -> str:
    """What a screen reader is told: changes of state and whole epochs, never each step."""
    words = {"working": now.work, "ready": "Ready"}.get(now.state, now.doing)
    if now.rows:
        row = now.rows[-1]
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if "/" in name)
        words += f", epoch {row['epoch']:g} of {now.epochs}: {metrics}"
    attributes = f'class="heard" role="status" data-state="{now.state}"'
    return framed(f"<div {attributes}>{escape(words)}</div>")


def thinned(points: Sequence[tuple[float, float]], most: int = POINTS) -> list[tuple[float, float]]:
    """At most so many points, each the mean of those it stands for."""
    step = -(-len(points) // most) or 1
    groups = [points[i : i + step] for i in range(0, len(points), step)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


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
        with_loss = [row for row in now.rows if "train/loss" in row]
        steps = [(row.get("step", row["epoch"]), row["train/loss"]) for row in with_loss]
    if not steps and not checks:
        return ""
    train, last = thinned(steps), max(now.of, *(int(x) for x, _ in [*steps, *checks]), 1)
    losses = [y for _, y in [*train, *checks]]
    low, high = min(losses), max(losses)
    span = high - low or 1.0

    def at(point: tuple[float, float]) -> str:
        x = LEFT + point[0] / last * (WIDE - LEFT - 8)
        return f"{x:.1f},{8 + (high - point[1]) / span * (HIGH - FOOT - 16):.1f}"

    parts = [f"training loss {train[-1][1]:.4g}"] if train else []
    if checks:
        parts.append(f"validation loss {checks[-1][1]:.4g}")
    words = escape(", ".join(parts))
    dot = '<circle class="valid" cx="{}" cy="{}" r="3.5"/>'
    dots = "".join(dot.format(*at(point).split(",")) for point in checks)
    return framed(
        f'<svg viewBox="0 0 {WIDE} {HIGH}" style="max-width:{WIDE}px;width:100%" role="img" '
        f'aria-label="{words}" font-size="12" fill="currentColor">'
        f'<path d="M{LEFT},4 V{HIGH - FOOT} H{WIDE - 4}" stroke="currentColor" fill="none"/>'
        f'<text x="{LEFT - 6}" y="16" text-anchor="end">{high:.3g}</text>'
        f'<text x="{LEFT - 6}" y="{HIGH - FOOT}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{WIDE - 4}" y="{HIGH - 8}" text-anchor="end">step {last}</text>'
        '<polyline class="train" fill="none" stroke-width="2" '
        f'points="{" ".join(map(at, train))}"/>'
        '<polyline class="valid" style="fill:none" stroke-width="2" '
        f'points="{" ".join(map(at, checks))}"/>{dots}</svg><div>{words}</div>'
    )


def table(rows: Sequence[Mapping[str, float]]) -> str:
    """The validations, a row each."""
    if not rows:
        return ""
    names = [name for name in dict.fromkeys(k for row in rows for k in row) if name != "step"]
    lines = ["".join(f'<th scope="col">{escape(name)}</th>' for name in names)]
    for row in rows:
        cells = [f"{row[name]:.4g}" if name in row else "" for name in names]
        lines.append("".join(f"<td>{cell}</td>" for cell in cells))
    head, *body = [f"<tr>{line}</tr>" for line in lines]
    return framed(f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>")


def alert(error: Failure) -> str:
    """An error in its three sentences, the traceback folded."""
    what, why, fix, trace = map(escape, error)
    more = "".join(f"<br>{n}: {text}" for n, text in (("Why", why), ("Fix", fix)) if text)
    folded = f"<details><summary>Traceback</summary><pre>{trace}</pre></details>"
    return framed(f'<div role="alert"><strong>{what}</strong>{more}{folded}</div>')


def notes(now: Snapshot) -> str:
    """The notes so far, warnings first."""
    if not now.notes:
        return ""
    ordered = sorted(now.notes, key=lambda note: note[0] != "warn")
    warned = sum(level == "warn" for level, _ in ordered)
    head, is_open = f"Notes ({len(ordered)})", ""
    if warned:
        head, is_open = f"Notes ({len(ordered)}, {warned} warnings)", ' open="open"'
    items = "".join(f"<li>{escape(text)}</li>" for _, text in ordered)
    return framed(f"<details{is_open}><summary>{head}</summary><ul>{items}</ul></details>")


def findings(checks: Sequence[Any]) -> str:
    """What the checks before the first step say, a line each."""
    if not checks:
        return ""
    lines = [f"<li><strong>{escape(c.level)}</strong>: {escape(str(c))}</li>" for c in checks]
    return f"<ul>{''.join(lines)}</ul>"


def png(image: Any) -> bytes:
    """A PIL picture as a PNG file."""
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


def picture(content: bytes, text: str) -> str:
    """A PNG file in the page."""
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return f'<img alt="{escape(text)}" style="max-width:100%" src="{source}">'


def chances(prediction: Any) -> str:
    """A prediction as words and bars."""
    if prediction.task == "regression":
        return framed(f"<strong>{escape(repr(prediction))}</strong>")
    rows = []
    for label, score in prediction.top:
        name = escape(label)
        meter = f'<meter min="0" max="1" value="{score:.6f}" aria-label="{name}"></meter>'
        rows.append(f"<tr><td>{name}</td><td>{meter}</td><td>{100 * score:.1f} %</td></tr>")
    label = escape(prediction.label)
    return framed(f"<strong>{label}</strong><table>{''.join(rows)}</table>")


def code(line: str) -> str:
    """The line that does the same without a panel."""
    return framed(f"<pre><code>{escape(line)}</code></pre>")


def code_of(source: Any, backbone: str, options: dict[str, Any]) -> str:
    """Write the call that does the same as a panel on this source."""
    text, more = "data", ""
    if isinstance(source, (str, os.PathLike)):
        text = repr(os.fspath(source) or "your-photos")
    for name, value in options.items():
        if value or name not in ("run_dir", "name"):
            plain = os.fspath(value) if isinstance(value, os.PathLike) else value
            more += f", {name}={plain!r}"
    return f"run = kit.transfer({text}, {backbone!r}{more})"


def text_of(data: Any) -> str:
    """What the panel's first box shows."""
    if data is None:
        return ""
    if isinstance(data, (str, os.PathLike)):
        return str(data)
    return str(getattr(data, "name", type(data).__name__))
