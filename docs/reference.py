"""Write the docstring of each verb below its page, and the fields of all events below theirs.

    python docs/reference.py

tests/test_docs.py compares the pages with the docstrings.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import colab_kit as kit
from colab_kit import events
from colab_kit.errors import habits

HERE = Path(__file__).parent
VERBS = """runtime secret mount fetch clone upload load train transfer open_run compare find_lr
    preflight panel cleaner""".split()
HEAD = "\n## Reference\n\n"


def reference(verb: str) -> str:
    """The signature, an argument a line, and the docstring."""
    function = getattr(kit, verb)
    signature = inspect.signature(function)
    plain = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "extra"
    ]
    call = str(signature.replace(parameters=plain, return_annotation=signature.empty))
    return f"{HEAD}```text\nkit.{verb}{call}\n\n{inspect.getdoc(function)}\n```\n"


def all_events() -> str:
    """A heading for each event, its sentence, and a row for each field with its comment."""
    text = HEAD
    for name, kind in vars(events).items():
        if not (inspect.isclass(kind) and issubclass(kind, events.Event)) or kind is events.Event:
            continue
        source, parts = inspect.getsource(kind), [f"### {name}\n"]
        if kind.__doc__ and not kind.__doc__.startswith(f"{name}("):  # not the dataclass's own
            parts.append(f"{inspect.getdoc(kind)}\n")
        parts.append("| field | type | what it is |\n|---|---|---|")
        for field in dataclasses.fields(kind):
            comment = re.search(rf"^    {field.name}: .*?(?:  # (.*))?$", source, re.M)[1] or ""
            parts.append(
                f"| `{field.name}` | `{field.type}` | {comment} |".replace(" | None", r" \| None")
            )
        text += "\n".join(parts) + "\n\n"
    return text.rstrip("\n") + "\n"


def foreign_names() -> str:
    """A table for each library: its option, and the line that says it here."""
    text = HEAD
    for library, names in habits().items():
        title = library if library != "many" else "Others, and words of everyday"
        rows = [f"| `{old}` | `{line.replace('{}', '…')}` |" for old, line in names.items()]
        text += "\n".join([f"### {title}\n", "| there | here |", "|---|---|", *rows]) + "\n\n"
    return text.rstrip("\n") + "\n"


def written(page: str) -> str:
    """The page as it should be."""
    text = (HERE / f"{page}.md").read_text(encoding="utf-8").partition(HEAD)[0].rstrip("\n") + "\n"
    made = {"events": all_events, "coming_from": foreign_names}.get(page)
    return text + (made() if made else reference(page))


if __name__ == "__main__":
    for name in [*VERBS, "events", "coming_from"]:
        (HERE / f"{name}.md").write_text(written(name), encoding="utf-8")
