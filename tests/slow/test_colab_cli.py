"""The official `colab` command with our launchers, whole: its own client and messages, against a
Jupyter server on this machine.

COLAB_KIT_COLAB_CLI names a Python (3.12 or newer) with google-colab-cli. Only the three calls that
rent a machine from Google are answered here, and /content is a folder of the test's own.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import colab_kit
from colab_kit.cli import launch

pytest.importorskip("jupyter_server")
CLI = os.environ.get("COLAB_KIT_COLAB_CLI")
pytestmark = pytest.mark.skipif(
    not CLI, reason="COLAB_KIT_COLAB_CLI names no Python with google-colab-cli"
)
LAUNCHERS = Path(__file__).parent.parent.parent / "launchers"
DRIVER = """
import os
from colab_cli import auto_update, contents, runtime
from colab_cli.client import ListedAssignment, PostAssignmentResponse
from colab_cli.common import State

url, token, content, rented = (os.environ[name] for name in ("LOOP_URL", "LOOP_TOKEN", "LOOP_CONTENT", "LOOP_RENTED"))
proxy = {"token": token, "tokenExpiresInSeconds": 3600, "url": url}

def note(what):
    with open(rented, "a") as book:
        book.write(what + "\\n")

class Google:
    def assign(self, *_, accelerator=None, **__):
        note(f"assign {accelerator.value}")
        return PostAssignmentResponse(accelerator=accelerator, endpoint="vm", runtimeProxyInfo=proxy, variant=1)

    def unassign(self, endpoint):
        note("unassign")

    def list_assignments(self):
        return [ListedAssignment(accelerator="T4", endpoint="vm", variant=1, machineShape=0, runtimeProxyInfo=proxy)]

State.client = property(lambda self: Google())
auto_update.run_background_check = lambda: None
own = runtime.ColabRuntime.execute_code

def execute(self, code, **given):
    first = code.startswith("import os; os.makedirs('/content'")
    return own(self, code.replace("/content", content) if first else code, **given)

runtime.ColabRuntime.execute_code = execute
plain = contents.requests.request  # the token in the word that a plain Jupyter server knows
contents.requests.request = lambda *given, params=None, **more: plain(*given, params={**(params or {}), "token": token}, **more)
from colab_cli.cli import main
main()
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Jupyter server; gives callable(words) -> the finished `colab words`, or with start=True
    the running one.
    """
    root = tmp_path_factory.mktemp("colab")
    token, log, home = secrets.token_hex(8), root / "server.log", root / "home"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = (
        "HOME",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "IPYTHONDIR",
        "COLAB_KIT_HOME",
    )
    own = {name: str(home / name.lower()) for name in names}
    for place in own.values():
        Path(place).mkdir(parents=True)
    paths = os.pathsep.join(
        [str(Path(colab_kit.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter_server", "--ip=127.0.0.1", f"--port={port}", f"--IdentityProvider.token={token}",
         "--ServerApp.allow_root=True", "--ServerApp.root_dir=/", "--ServerApp.open_browser=False",
         "--ContentsManager.allow_hidden=True"],
        env={**os.environ, **own, "PYTHONPATH": paths}, stdout=log.open("w"), stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/api?token={token}", timeout=1).close()
            break
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)

    def colab(*words: str, start: bool = False, **env: str) -> Any:
        loop = {
            "LOOP_URL": url,
            "LOOP_TOKEN": token,
            "LOOP_CONTENT": str(root / "content"),
            "LOOP_RENTED": str(root / "rented"),
        }
        around = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "PYTHONHOME")
        }
        around |= {**loop, "HOME": str(root / "mine"), **env}
        (root / "mine").mkdir(exist_ok=True)
        command = [str(CLI), "-c", DRIVER, *words]
        if start:
            return subprocess.Popen(
                command,
                cwd=root,
                env=around,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return subprocess.run(
            command, cwd=root, env=around, capture_output=True, text=True, timeout=180
        )

    colab.root, colab.server = root, psutil.Process(server.pid)
    yield colab
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)


def artifact(text: str) -> Path:
    return Path([line for line in text.splitlines() if line][-1].removeprefix(launch.ARTIFACT))


def kernel(world: Any) -> psutil.Process:
    """The newest one that the server has started."""
    kernels = [
        child
        for child in world.server.children(recursive=True)
        if any("ipykernel" in word for word in child.cmdline())
    ]
    return max(kernels, key=lambda process: process.create_time())


def test_a_launcher_trains_is_downloaded_from_and_the_machine_is_given_back(world):
    done = world(
        "run", "-s", "tiny", "--keep", "--gpu", "T4", "--timeout", "86400", str(LAUNCHERS / "train_mlp.py"),
        "--max-per-class", "8", "--epochs", "1", "--name", "tiny", "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    folder = artifact(done.stdout)
    assert folder.is_relative_to(world.root / "content") and "step/s" not in done.stdout
    copied = world("download", "-s", "tiny", f"{str(folder)[1:]}/run.json", "run.json")
    assert (
        copied.returncode == 0
        and json.loads((world.root / "run.json").read_text())["status"] == "finished"
    ), copied.stdout
    assert world("stop", "-s", "tiny").returncode == 0
    assert (world.root / "rented").read_text().split("\n") == ["assign T4", "unassign", ""]


@pytest.mark.parametrize(
    ("launcher", "words", "status", "said"),
    [
        ("transfer", ["no/such/folder"], 1, "Fix: "),
        ("train_mlp", ["--no-such-flag"], 2, "--no-such-flag"),
        ("fetch", ["http://127.0.0.1:9/gone.zip"], 4, "127.0.0.1"),
        ("panel", ["no/such/folder"], 1, "No panel: "),
    ],
)
def test_the_exit_status_and_what_is_said_come_home(world, launcher, words, status, said):
    done = world("run", "--timeout", "86400", str(LAUNCHERS / f"{launcher}.py"), *words)
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr


def test_what_the_page_tells_to_signal_is_the_kernel(world):
    text = (LAUNCHERS.parent / "docs" / "launchers.md").read_text(encoding="utf-8")
    pattern = re.search(r"pkill -TERM -f '([^']+)'", text)[1]
    colabs = "/usr/bin/python3 -m colab_kernel_launcher -f /root/.local/share/jupyter/runtime/kernel-0a1b.json"
    assert re.search(pattern, colabs), "as Colab starts its kernels"
    world(
        "run",
        "-s",
        "short",
        "--keep",
        "--timeout",
        "86400",
        str(LAUNCHERS / "train_mlp.py"),
        "--help",
    )
    assert re.search(pattern, " ".join(kernel(world).cmdline()))
    world("stop", "-s", "short")


def test_sigterm_to_the_kernel_is_a_clean_stop_and_the_same_command_goes_on(world):
    command = [
        "run",
        "-s",
        "long",
        "--keep",
        "--timeout",
        "86400",
        str(LAUNCHERS / "train_mlp.py"),
        "--name",
        "long",
        "--device",
        "cpu",
    ]
    running = world(*command, "--epochs", "3000", start=True)
    watchdog = threading.Timer(120, running.kill)
    watchdog.daemon = True
    watchdog.start()
    lines = []
    for line in running.stdout:
        lines.append(line)
        if line.startswith("epoch 2/3000"):
            kernel(world).send_signal(signal.SIGTERM)
            break
    lines += running.stdout.readlines()
    assert running.wait(60) == 130, "".join(lines)
    record = json.loads((artifact("".join(lines)) / "run.json").read_text())
    assert record["status"] == "stopped" and "SIGTERM" in record["reason"]
    world("stop", "-s", "long")
    again = world(*command, "--epochs", "3001", "--max-time", "2")
    world("stop", "-s", "long")
    assert again.returncode == 130 and "Going on from step" in again.stdout + again.stderr, (
        again.stdout + again.stderr
    )
