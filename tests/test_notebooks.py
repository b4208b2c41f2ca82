"""The notebooks: clean as stored, and every cell runs in a real kernel."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import colab_kit
from colab_kit.testing.pictures import class_folders

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECRETS = re.compile(r"gh[opsu]_\w{20}|github_pat_\w{20}|hf_\w{20}|AIza\w{20}|-----BEGIN|(?i:token|password)\s*=\s*['\"]\w")
ABSOLUTE = re.compile(r"(?<![\w:/.<-])/(?:home|root|Users|tmp|content|work|mnt|opt|usr)/|\b[A-Z]:\\\\")
SHOWN = {  # what each draws, and says: {cell: text}
    "01_first_run": ((), {"panel": "application/vnd.jupyter.widget-view+json", "code": "kit.transfer('fashion-mini'"}),
    "02_fashion_mnist": (("curves", "picture"), {"test": "of the test pictures"}),
    "03_cats_and_dogs": (("curves", "picture"), {"test": "efficientnet_lite0: ", "seconds": "'cpu': "}),
    "04_your_own_photos": (
        ("again", "picture"), {"train": "top-1", "clean": "application/vnd.jupyter.widget-view+json", "export": "photos.safetensors"},
    ),
}  # fmt: skip
TINY = {
    "epochs": 1,
    "limit": 6,
    "backbone": "efficientnet_lite0",
    "backbones": ["efficientnet_lite0"],
    "size": 64,
    "source": "photos",
}  # what each `parameters` cell is overridden with, as far as it has the name


def tagged(notebook: dict, tag: str) -> list[dict]:
    return [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]


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
        "outputs are stored": any(cell["outputs"] or cell["execution_count"] is not None for cell in code),
        "cell ids are missing or double": len({cell.get("id") for cell in cells} - {None}) != len(cells),
        "not one install and one parameters cell": len(install) != 1 or len(tagged(notebook, "parameters")) != 1,
        "no guarded install line that starts a line": not any(
            re.search(r'^if "google\.colab" in sys\.modules:\n +%pip install -q git\+https://github\.com/\S+$', text, re.M)
            for text in install
        ),
        "the badge does not open this file": not re.search(rf"/github/[\w-]+/colab_kit/blob/main/{re.escape(path)}\)", sources[0]),
        "an absolute path": any(ABSOLUTE.search(text) for text in sources),
        "a secret": any(SECRETS.search(text) for text in sources),
        "a shell line": any(re.search(r"^\s*!", text, re.M) for text in sources),
        "a source that is no list of lines": any("\n" in line[:-1] for cell in cells for line in cell["source"]),
    }
    return [what for what, wrong in found.items() if wrong]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_clean_as_stored(path):
    assert faults(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()) == []


@pytest.mark.parametrize(
    ("fault", "spoil"),
    [
        ("outputs are stored", lambda cells: cells["mount"]["outputs"].append({"output_type": "stream", "name": "stdout", "text": ["x"]})),
        ("the badge does not open this file", lambda cells: None),  # asked for under another name
        (
            "no guarded install line that starts a line",
            lambda cells: cells["install"].update(source=["".join(cells["install"]["source"]).replace("\n", " ")]),
        ),
        ("an absolute path", lambda cells: cells["load"]["source"].insert(0, "open('/content/x')\n")),
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


def prepared(path: Path) -> nbformat.NotebookNode:
    """The notebook with its install cell stubbed and its parameters overridden."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    (install,), (parameters,) = tagged(notebook, "install"), tagged(notebook, "parameters")
    install["source"] = "# stubbed: colab_kit is here already"
    for name, value in TINY.items():
        parameters["source"] = re.sub(rf"(?m)^{name} = .*$", f"{name} = {value!r}", parameters["source"])
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs_in_a_real_kernel(path, tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(colab_kit.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    class_folders(tmp_path / "photos", each=8)
    notebook = NotebookClient(prepared(path), timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell["id"]: cell.get("outputs", []) for cell in notebook["cells"]}
    drawn, said = SHOWN[path.stem]
    for cell in drawn:
        assert any("image/png" in out.get("data", {}) for out in outputs[cell]), f"{cell} draws nothing"
    for cell, text in said.items():
        assert text in json.dumps(outputs[cell], ensure_ascii=False), f"{cell} does not say {text}"
