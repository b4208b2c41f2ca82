"""Notebooks executed in a kernel of any Python, which a line at its start may prepare; the
notebook is never changed.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def prepare(python: str, folder: Path, line: str) -> None:
    """Describe a kernel called "prepared" below `folder`: of that Python, begun with this line."""
    spec = folder / "kernels" / "prepared"
    spec.mkdir(parents=True)
    own = [f"--IPKernelApp.exec_lines={line}", "--HistoryManager.enabled=False"]
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}", *own]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "prepared", "language": "python"})
    )


def execute(
    notebook: Path, python: str, folder: Path, line: str, *, timeout: int = 60, **env: str
) -> Any:
    """The notebook as it is after all its cells ran in a kernel of `python`, which began in
    `folder` with this line of Python.
    """
    import nbformat
    from nbclient import NotebookClient

    prepare(python, folder, line)
    made = nbformat.read(notebook, as_version=4)
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in ("MPLBACKEND", "PYTEST_CURRENT_TEST")
    }
    path = os.pathsep.join(filter(None, [str(ROOT), clean.get("PYTHONPATH")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        client = NotebookClient(
            made,
            timeout=timeout,
            kernel_name="prepared",
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(
            env={**clean, "PYTHONPATH": path, "IPYTHONDIR": str(folder / "ipython"), **env}
        )
    return made


def said(made: Any) -> str:
    """All that its cells printed."""
    return "".join(
        out["text"]
        for cell in made.cells
        for out in cell.get("outputs", ())
        if out["output_type"] == "stream"
    )


def versions(python: str) -> tuple[str, str]:
    """Of IPython and ipykernel in that Python."""
    ask = "import IPython, ipykernel; print(IPython.__version__, ipykernel.__version__)"
    shell, kernel = subprocess.run(
        [python, "-c", ask], capture_output=True, text=True, check=True
    ).stdout.split()
    return shell, kernel
