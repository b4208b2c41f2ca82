"""The panel on Colab's pins (ipywidgets 7.7.1, IPython 7.34, ipykernel 6.17.1), by a front end
that speaks the protocol and nothing else.

There a click waits behind the cell that runs; Start's handler keeps the kernel busy and hears
clicks itself.
"""

import os
import re
import site
import time

import pytest

from tests.support.kernels import ROOT, prepare
from tests.support.lab import SLOW

OLD = os.environ.get("COLAB_KIT_OLD_KERNEL", "")
pytestmark = pytest.mark.skipif(
    not OLD, reason="COLAB_KIT_OLD_KERNEL names no Python with Colab's kernel"
)
ANSWER = 0.3  # s
CELL = (
    SLOW.replace("SECONDS", "0.05")
    + """
p = kit.panel("fashion-mini", run_dir="run", epochs=50, image_size=28, batch_size=64)
p
"""
)


class FrontEnd:
    """Widgets as a browser knows them: by comm, with the state the kernel sent last."""

    def __init__(self, client):
        self.client, self.models, self.printed, self.parents, self.errors = client, {}, [], {}, []

    def hear(self, seconds=0.05):
        import queue

        try:
            message = self.client.get_iopub_msg(timeout=seconds)
        except queue.Empty:
            return
        content = message["content"]
        match message["msg_type"]:
            case "comm_open":
                self.models[content["comm_id"]] = dict(content["data"]["state"])
            case "comm_msg" if (
                content["data"].get("method") == "update" and content["comm_id"] in self.models
            ):
                self.models[content["comm_id"]].update(content["data"]["state"])
                self.parents[content["comm_id"]] = message["parent_header"].get("msg_id")
            case "stream":
                self.printed.append(content["text"])
            case "error":
                self.errors.append(content["ename"])

    def until(self, true, seconds=60.0):
        start = time.monotonic()
        while not true():
            assert time.monotonic() - start < seconds, [
                m.get("value", "")[-300:]
                for m in self.models.values()
                if "HTML" in m["_model_name"]
            ]
            self.hear()
        return time.monotonic() - start

    def click(self, text):
        self.until(lambda: any(m.get("description") == text for m in self.models.values()))
        (comm,) = [
            key
            for key, model in self.models.items()
            if model["_model_name"] == "ButtonModel" and model["description"] == text
        ]
        message = self.client.session.msg(
            "comm_msg",
            {"comm_id": comm, "data": {"method": "custom", "content": {"event": "click"}}},
        )
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def is_in(self, state):
        return any(
            f'data-state="{state}"' in str(model.get("value", "")) for model in self.models.values()
        )


@pytest.fixture
def front(tmp_path, monkeypatch):
    from jupyter_client import KernelManager
    from jupyter_client.kernelspec import KernelSpecManager

    prepare(
        OLD, tmp_path, f"import sys; sys.path.extend({[str(ROOT), *site.getsitepackages()]!r})"
    )  # torch from here, the rest from there
    manager = KernelManager(
        kernel_name="prepared",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(tmp_path / "kernels")]),
    )
    clean = {
        key: value for key, value in os.environ.items() if key not in ("MPLBACKEND", "PYTHONPATH")
    }
    own = {
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "COLAB_KIT_HOME": str(tmp_path / "home"),
        "COLAB_KIT_UI": "foreground",
    }
    manager.start_kernel(cwd=str(tmp_path), env={**clean, **own})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield FrontEnd(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.timed
def test_stop_and_pause_are_heard_while_starts_handler_waits_and_queued_cells_run_in_order(front):
    front.client.execute(
        "import ipywidgets, ipykernel; print(ipywidgets.__version__, ipykernel.__version__)"
    )
    front.until(lambda: front.printed)
    assert front.printed.pop().split() == ["7.7.1", "6.17.1"]
    front.client.execute(CELL)
    front.until(lambda: any(m.get("description") == "Start" for m in front.models.values()), 120)
    started = front.click("Start")
    front.until(lambda: front.is_in("working"))
    front.until(
        lambda: any(
            re.search(r"Training [1-9]\d*/", str(m.get("value", ""))) for m in front.models.values()
        )
    )
    (bar,) = [
        key
        for key, m in front.models.items()
        if "Training" in str(m.get("value", "")) and "<progress" in m["value"]
    ]
    assert front.parents[bar] == started, "what is sent belongs to the click that is still busy"
    for number in range(3):
        front.client.execute(f"print({number})")
    front.click("Pause")
    assert front.until(lambda: front.is_in("paused")) < ANSWER
    front.click("Continue")
    assert front.until(lambda: front.is_in("working")) < ANSWER
    front.click("Stop")
    assert front.until(lambda: front.is_in("stopping") or front.is_in("stopped")) < ANSWER
    front.until(lambda: front.is_in("stopped"))
    assert front.printed == [] or front.is_in("stopped")
    front.until(lambda: len("".join(front.printed).split()) == 3)
    assert "".join(front.printed).split() == ["0", "1", "2"] and not front.errors


def test_an_error_in_a_handler_is_shown_and_the_kernel_lives(front):
    front.client.execute("import colab_kit as kit\nkit.panel('no/such/folder')")
    front.until(lambda: any(m.get("description") == "Start" for m in front.models.values()), 120)
    front.click("Start")
    front.until(
        lambda: any(
            'role="alert"' in str(m.get("value", "")) and "no/such/folder" in m["value"]
            for m in front.models.values()
        )
    )
    front.client.execute("print('alive')")
    front.until(lambda: "alive" in "".join(front.printed))
