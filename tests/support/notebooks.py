"""The notebooks made ready to run here: the install cell stubbed, the parameters overridden; and
what each must show.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import colab_kit
from colab_kit.testing.fixtures import class_folders
from colab_kit.testing.server import FileServer

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"
# cells that draw; {cell: what it says}
SHOWN: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "01_first_run": ((), {"panel": WIDGET, "code": "kit.transfer('fashion-mini'"}),
    "02_fashion_mnist": (("curves", "picture"), {"test": "of the test pictures"}),
    "03_cats_and_dogs": (("curves", "picture"), {"test": "efficientnet_lite0: ", "seconds": "'cpu': "}),
    "04_your_own_photos": (("again", "picture"), {"train": "top-1", "clean": WIDGET, "export": "photos-run.safetensors"}),
    "05_flowers_102": (
        ("finetuned", "report"), {"load": "red rose", "counts": "rarest: [(", "test": "flowers: ", "report": "report.html"},
    ),
    "06_resume_and_drive": (
        ("compared",),
        {
            "killed": "killed: True", "resumed": "Going on from step", "compared": "the same bits as without the kill: True",
            "lost": "from the copy on Drive", "faults": "finished: Drive refused 6 times; copied in the end: True",
        },
    ),
    "07_helper_files_and_repos": (
        (),
        {
            "helper": "['view_classify']", "clone": "· new", "update": "up to date: True · mine is still there: True",
            "script": "trained with --epochs 1", "wrong": "Fix: ",
        },
    ),
}  # fmt: skip
TINY = {
    "max_per_class": 6,
    "backbone": "efficientnet_lite0",
    "backbones": ["efficientnet_lite0"],
    "image_size": 64,
    "source": "photos",
    "epochs": 1,
}


def tagged(notebook: Any, tag: str) -> list[Any]:
    return [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]


def git(at: Path, *words: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=at, check=True, capture_output=True)


def prepared(path: Path, folder: Path, server: FileServer, **own: Any) -> Any:
    """The notebook, and in its folder what it wants.

    own : parameters that are to be others than here
    """
    import nbformat  # two seconds: no test process that runs none waits for it

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    class_folders(folder / "photos", each=8)
    values = {**TINY, **own}
    match path.stem[:2]:
        case "05":
            (folder / "cat_to_name.json").write_text(
                json.dumps({"cat": "red rose", "dog": "lotus"})
            )
            values["class_names"] = "cat_to_name.json"
        case "06":
            values |= {
                "epochs": 4,
                "max_per_class": 0,
            } | own  # 75 steps an epoch: a checkpoint each 20
        case "07":
            repo = folder / "elsewhere" / "course"
            repo.mkdir(parents=True)
            (repo / "train.py").write_text("import sys\nprint('trained with', *sys.argv[1:])\n")
            git(repo, "init", "-q")
            git(repo, "add", ".")
            git(repo, "commit", "-qm", "first")
            values["helper_url"] = server.put(
                "helper.py", b"def view_classify(picture):\n    return picture\n"
            )
            values |= {
                "repo_url": repo.as_uri(),
                "script": "train.py",
                "arguments": ["--epochs", "1"],
            }
    (install,), (parameters,) = tagged(notebook, "install"), tagged(notebook, "parameters")
    install["source"] = "# stubbed: colab_kit is here already"
    for name, value in values.items():
        parameters["source"] = re.sub(
            rf"(?m)^{name} = .*$", lambda _, n=name, v=value: f"{n} = {v!r}", parameters["source"]
        )
    return notebook


def unshown(stem: str, notebook: Any) -> list[str]:
    """What a notebook that has run fails to show."""
    outputs = {cell["id"]: cell.get("outputs", []) for cell in notebook["cells"]}
    drawn, said = SHOWN[stem]
    missing = [
        f"{cell} draws nothing"
        for cell in drawn
        if not any("image/png" in out.get("data", {}) for out in outputs[cell])
    ]
    words = {
        cell: "".join(out.get("text", "") for out in outputs[cell])
        + json.dumps(outputs[cell], ensure_ascii=False)
        for cell in said
    }
    everything = json.dumps([cell.get("outputs", []) for cell in notebook["cells"]])
    missing += ["a progress bar floods the notebook that nobody looked at"] * (
        "step/s" in everything
    )
    return missing + [
        f"{cell} does not say {text!r}: {words[cell][-2000:]}"
        for cell, text in said.items()
        if text not in words[cell]
    ]


def executed(
    path: Path, place: Path, monkeypatch: Any, server: FileServer, ui: str = "background"
) -> Any:
    """Run every cell of a notebook in a real kernel, in the folder `place`; give it with outputs.

    ui : "auto": nobody looks at it, and panels are lines of code
    """
    from nbclient import NotebookClient

    package = str(Path(colab_kit.__file__).parent.parent)
    monkeypatch.setenv("COLAB_KIT_HOME", str(place / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(place / "ipython"))
    monkeypatch.setenv("COLAB_KIT_UI", ui)
    how: dict[str, Any] = {"metadata": {"path": str(place)}}
    made = prepared(path, place, server)
    return NotebookClient(made, timeout=120, kernel_name="python3", resources=how).execute()
