"""The notebooks: clean as stored, and every cell runs in a real kernel."""

import json
import re

import pytest

from colab_kit.cli import train
from tests.support.notebooks import NOTEBOOKS, ROOT, executed, tagged

SECRETS = re.compile(
    r"gh[opsu]_\w{20}|github_pat_\w{20}|hf_\w{20}|AIza\w{20}|-----BEGIN|(?i:token|password)\s*=\s*['\"]\w"
)
ABSOLUTE = re.compile(
    r"(?<![\w:/.<-])/(?:home|root|Users|tmp|content|work|mnt|opt|usr)/|\b[A-Z]:\\\\"
)


def faults(raw: str, path: str) -> list[str]:
    """What is wrong with a notebook as it is stored."""
    notebook = json.loads(raw)
    cells, sources = notebook["cells"], ["".join(cell["source"]) for cell in notebook["cells"]]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    install = ["".join(cell["source"]) for cell in tagged(notebook, "install")]
    found = {
        "more than 10 cells: logic belongs into the package": len(cells) > 10,
        "nbformat is not 4.5": (notebook["nbformat"], notebook["nbformat_minor"]) != (4, 5),
        "metadata.accelerator is not GPU": notebook["metadata"].get("accelerator") != "GPU",
        "widget state is stored": "widgets" in notebook["metadata"],
        "outputs are stored": any(
            cell["outputs"] or cell["execution_count"] is not None for cell in code
        ),
        "cell ids are missing or double": len({cell.get("id") for cell in cells} - {None})
        != len(cells),
        "not one install and one parameters cell": len(install) != 1
        or len(tagged(notebook, "parameters")) != 1,
        "no guarded install line that starts a line": not any(
            re.search(
                r'^if "google\.colab" in sys\.modules:\n +%pip install -q git\+https://github\.com/\S+$',
                text,
                re.M,
            )
            for text in install
        ),
        "the badge does not open this file": not re.search(
            rf"/github/[\w-]+/colab_kit/blob/main/{re.escape(path)}\)", sources[0]
        ),
        "an absolute path": any(ABSOLUTE.search(text) for text in sources),
        "a secret": any(SECRETS.search(text) for text in sources),
        "a shell line": any(re.search(r"^\s*!", text, re.M) for text in sources),
        "a source that is no list of lines": any(
            "\n" in line[:-1] for cell in cells for line in cell["source"]
        ),
    }
    return [what for what, wrong in found.items() if wrong]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_clean_as_stored(path):
    assert faults(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()) == []


@pytest.mark.parametrize(
    ("fault", "spoil"),
    [
        (
            "outputs are stored",
            lambda cells: cells["mount"]["outputs"].append(
                {"output_type": "stream", "name": "stdout", "text": ["x"]}
            ),
        ),
        ("the badge does not open this file", lambda cells: None),  # asked for under another name
        (
            "no guarded install line that starts a line",
            lambda cells: cells["install"].update(
                source=["".join(cells["install"]["source"]).replace("\n", " ")]
            ),
        ),
        (
            "an absolute path",
            lambda cells: cells["load"]["source"].insert(0, "open('/content/x')\n"),
        ),
        ("a secret", lambda cells: cells["load"]["source"].insert(0, "token = 'abcdef'\n")),
        ("a shell line", lambda cells: cells["load"]["source"].insert(0, "!pip list\n")),
        ("cell ids are missing or double", lambda cells: cells["mount"].update(id="load")),
    ],
)
def test_each_fault_is_caught(fault, spoil):
    path = "notebooks/02_fashion_mnist.ipynb"
    notebook = json.loads((ROOT / path).read_text(encoding="utf-8"))
    spoil({cell["id"]: cell for cell in notebook["cells"]})
    elsewhere = "notebooks/other.ipynb" if "badge" in fault else path
    assert faults(json.dumps(notebook), elsewhere) == [fault]


def test_the_first_notebook_runs_in_a_real_kernel_and_keeps_no_widgets_that_nobody_looks_at(
    tmp_path, monkeypatch, file_server
):
    """As papermill and nbclient execute it: a saved notebook with the state of dead widgets
    cannot even be shown by GitHub. All notebooks run with the slow tests, with live panels.
    """
    notebook = executed(NOTEBOOKS[0], tmp_path, monkeypatch, file_server, ui="auto")
    shown = {cell["id"]: json.dumps(cell.get("outputs", [])) for cell in notebook["cells"]}
    assert (
        "kit.transfer('fashion-mini'" in shown["panel"]
        and "widget" not in shown["panel"]
        and "widgets" not in notebook["metadata"]
    )


def test_a_panels_notebook_that_is_written_is_a_valid_one(tmp_path):
    import nbformat

    nbformat.validate(nbformat.read(train.notebook_of("kit.panel()", tmp_path), as_version=4))
