"""A JupyterLab of its own and a browser on it, both gone at the end; all they write is below one
folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parents[2])  # the kernels take this tree, installed or not
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync"
).split()
SLOW = """
import time
import torch
from torch import nn
import colab_kit as kit
from colab_kit import api

own = getattr(api, "own", api.transfer)
api.own = own

class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 11)
    def forward(self, x):
        if self.training:
            time.sleep(SECONDS)
        return self.fc(torch.relu(self.body(x)).mean((2, 3)))

api.transfer = lambda data, backbone, **how: own(data, Slow(), mode="finetune", **how)
"""  # what a cell begins with, so that a batch takes SECONDS
READY = """() => {
  const widget = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  const kernel = widget && widget.sessionContext && widget.sessionContext.session && widget.sessionContext.session.kernel;
  return !!kernel && kernel.connectionStatus == 'connected' && kernel.status == 'idle';
}"""


def write_notebook(path: Path, cells: list[str]) -> None:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "metadata": {},
            "source": cell,
            "outputs": [],
            "execution_count": None,
        }
        for i, cell in enumerate(cells)
    ]
    path.write_text(
        json.dumps(
            {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        )
    )


@contextlib.contextmanager
def lab(root: Path, *, dark: bool = False, **env: str) -> Iterator[Any]:
    """Serve a folder; gives callable(name) -> the address of a notebook in it."""
    token, home = secrets.token_hex(8), root / ".lab"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "IPYTHONDIR",
        "JUPYTERLAB_SETTINGS_DIR",
    )
    own = {name: str(home / name.lower()) for name in names}
    settings = Path(own["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    if dark:
        (settings / "themes.jupyterlab-settings").write_text('{"theme": "JupyterLab Dark"}')
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}", "--ServerApp.allow_root=True", f"--ServerApp.root_dir={root}",
        "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with open(home / "lab.log", "w") as log:
        server = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": ROOT, "HOME": str(home), **own, **env},
            start_new_session=True,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(300):
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(
                    f"http://127.0.0.1:{port}/api?token={token}", timeout=1
                ).close()
                break
            time.sleep(0.1)
        yield lambda name: f"http://127.0.0.1:{port}/doc/tree/{name}?token={token}"
    finally:
        server.send_signal(signal.SIGTERM)  # it ends its kernels first
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def run_cell(page: Any, number: int) -> None:
    page.evaluate(
        """i => { const widget = window.jupyterapp.shell.currentWidget; widget.content.activeCellIndex = i;
                  window.jupyterapp.commands.execute('notebook:run-cell'); }""",
        number,
    )


def until_shown(page: Any, name: str, selector: str) -> float:
    """Click a button; milliseconds from the click until something is in the page, by the page's
    own clock.
    """
    page.evaluate(
        """selector => {
             window.clicked = window.shown = null;
             document.addEventListener('click', () => { window.clicked ??= performance.now() }, {capture: true, once: true});
             const look = () => document.querySelector(selector) ? window.shown = performance.now() : requestAnimationFrame(look);
             look();
           }""",
        selector,
    )
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_function("() => window.shown !== null", timeout=20_000)
    return float(page.evaluate("window.shown - window.clicked"))
