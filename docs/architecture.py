"""Write the generated parts of ARCHITECTURE.md: the tree, the walks, the table of places.

    python docs/architecture.py

Run it when a file or a function has another name: tests/test_architecture.py compares the page
with the code.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support import walks  # noqa: E402

PACKAGE = ROOT / "colab_kit"
PAGE = ROOT / "ARCHITECTURE.md"
ORDER = """errors.py events.py recipe.py system/ colab/ fetching/ data/ models/ training/ runs/
    api.py panels/ cli/ testing/ __init__.py""".split()
FOLDERS = [name.rstrip("/") for name in ORDER if name.endswith("/")]
WIDTH, INDENT, GLUE = 140, " " * 7, "\0"  # of a walk's lines; a file stays beside its function
WHOLE = {"break_long_words": False, "break_on_hyphens": False}
# A picture's way and Stop: folder, function, what happens there. A|B means A, or B if there is no
# A.
PICTURE = (
    ("data", "scan", "finds the class folders, and in each its pictures"),
    ("data", "decode", "turns a file into pixels; the file alone decides which"),
    ("data", "PixelStore", "keeps each picture's pixels, decoded once, as uint8"),
    ("data", "BatchLoader.order", "draws the order of an epoch from (seed, epoch)"),
    ("data", "boxes", "draws each picture's cut from (seed, epoch, number)"),
    ("data", "Preprocess.input", "resizes, colours and normalizes a whole batch"),
    ("data", "run_ahead", "makes the next batches ready while the network computes"),
)
STOP = (
    ("panels", "Worker.stop", "the Stop button; Ctrl-C and SIGTERM: events.interrupts_stop"),
    ("events", "Control.stop", "keeps the reason; nothing is interrupted"),
    ("training", "train_epoch", "finishes its step, sees the stop, returns the reason"),
    ("training", "Job.save", "gathers network, optimizer and state; state.py adds the best weights"),
    ("training", "Saver.save", "writes by models/weights.py: write, hands copies to Drive"),
    ("runs", "_close", "writes run.json with status \"stopped\"; the Run comes back"),
)  # fmt: skip
PLACES = (  # where do I change ...: folder, name, and what to do there
    ("a default", "recipe", "Recipe", "a field, with its limits and its sentence for --help"),
    ("a metric", "training", "Metrics.__init__", "a function of scores and labels, its entry in NAMED of this file with its tasks; its direction: falls() of losses.py; the usual ones are sums: Sums.read"),
    ("a link host", "fetching", "parse_link", "its host in the table _MEANINGS of this file, a reader in links/; see CONTRIBUTING.md"),
    ("a message", "errors", "ColabKitError", "only the kinds stand here; grep the words: a message stands where the code raises it"),
    ("an archive's error", "system", "damaged", "what happened, why, fix; the other faults: unpack.py, zip_directory.py"),
    ("a checkpoint field", "training", "State", "a field with a default; tensors: Job._snapshot and Job.restore. FORMAT (runs/record.py) only where old runs cannot be read"),
    ("a Colab behaviour", "colab", "find_secret", "each call of google.colab is in this file; the pretended one: the file of that module in testing/google_colab/, as userdata.py"),
    ("a data format", "data", "formats/", "one file for each format, its entry in FORMATS of data/paths.py, its sample in SAMPLES of tests/data/formats/test_formats.py; see CONTRIBUTING.md"),
    ("how a table is read", "data", "tables/", "a form of file: table.py, structured.py; which column is what: file_columns.py, label_columns.py; a split: split_lists.py. A layout of its kind in tests/data/layouts"),
    ("a rule for folders", "data", "folders/", "a word: words.py; masks and the like: companions.py; the level of classes: classes.py; splits: layout.py. A layout of its kind in tests/data/layouts"),
    ("what looks like a group", "data", "likely_groups", "habits of names and columns stand in this file; how groups are kept whole: splitting.py"),
)  # fmt: skip


def contract(name: str) -> str:
    """The first paragraph of a folder's or a file's docstring, without its title."""
    path = PACKAGE / name / "__init__.py" if name.endswith("/") else PACKAGE / name
    first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return " ".join(first.split()).removeprefix(f"{path.parent.name}: ")


def tree() -> str:
    return "\n".join(f"{name:<12} {contract(name)}".rstrip() for name in ORDER)


@cache
def names(path: Path) -> frozenset[str]:
    """The functions and classes of a file, methods as Class.method."""
    return frozenset(_names(path))


def _names(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            inner = (part for part in node.body if isinstance(part, ast.FunctionDef))
            yield from (f"{node.name}.{part.name}" for part in inner)


def place(folder: str, wanted: str) -> tuple[str, str]:
    """The file in which a function or class stands, and its name."""
    if wanted.endswith("/"):
        return f"{folder}/{wanted}", ""
    top = PACKAGE / folder
    paths = sorted(top.rglob("*.py")) if top.is_dir() else [PACKAGE / f"{folder}.py"]
    for name in wanted.split("|"):
        for path in paths:
            if name in names(path):
                return path.relative_to(PACKAGE).as_posix(), name
    raise SystemExit(
        f"docs/architecture.py names {wanted} in {folder}, where nothing is called so."
    )


def steps(walk: tuple[tuple[str, str, str], ...]) -> str:
    rows = []
    for number, (folder, wanted, what) in enumerate(walk, 1):
        file, name = place(folder, wanted)
        rows.append(f"{number}. `{file}: {name}`: {what}")
    return "\n".join(rows)


def table() -> str:
    rows = ["| to change | go to | and do |", "|---|---|---|"]
    for what, folder, wanted, how in PLACES:
        file, name = place(folder, wanted)
        rows.append(f"| {what} | `{file}{': ' if name else ''}{name}` | {how} |")
    return "\n".join(rows)


def parts() -> dict[str, str]:
    """What the code alone decides, by the name of its place in the page."""
    return {
        "tree": f"```text\n{tree()}\n```",
        "picture": steps(PICTURE),
        "stop": steps(STOP),
        "places": table(),
    }


def calls(walked: dict[str, walks.Walk]) -> dict[str, str]:
    """The traced calls; files of one folder that follow each other share a line."""
    blocks = {}
    for name, walk in walked.items():
        rows = [f"{walks.CALLS[name]}: {walk.counts}"]
        for folder, stay in groupby(walk.steps, key=lambda step: walks.folder(step[0])):
            own = (f"{file.removeprefix(f'{folder}/')}:{GLUE}{first}" for file, first in stay)
            files = textwrap.fill(", ".join(own), WIDTH, subsequent_indent=INDENT, **WHOLE)
            files = files.replace(GLUE, " ")
            rows.append(f"  {folder}/ {files}" if folder in FOLDERS else f"  {files}")
        blocks[name] = "```text\n" + "\n".join(rows) + "\n```"
    return blocks


def filled(text: str, found: dict[str, str]) -> str:
    """The page with these parts written between their marks."""
    for name, part in found.items():
        mark = rf"(<!-- {name}[^>]*-->\n).*?(<!-- end -->)"
        text, times = re.subn(mark, lambda m, part=part: f"{m[1]}{part}\n{m[2]}", text, flags=re.S)
        if times != 1:
            raise SystemExit(f"ARCHITECTURE.md has {times} places for {name}; it needs one.")
    return text


if __name__ == "__main__":
    found = parts() | calls(walks.walks(*walks.CALLS))
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
