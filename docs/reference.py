"""Write the docstring of each verb below its page.

    python docs/reference.py

tests/test_docs.py compares the pages with the docstrings.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import colab_kit as kit

HERE = Path(__file__).parent
VERBS = """runtime secret mount fetch clone upload load train transfer open_run find_lr
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


def written(verb: str) -> str:
    """The page as it should be."""
    return (
        (HERE / f"{verb}.md").read_text(encoding="utf-8").partition(HEAD)[0].rstrip("\n")
        + "\n"
        + reference(verb)
    )


if __name__ == "__main__":
    for name in VERBS:
        (HERE / f"{name}.md").write_text(written(name), encoding="utf-8")
