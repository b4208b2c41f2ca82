"""The demo: a network trained from scratch, killed in the middle and continued, then a transfer.

The pictures are real, and nothing is faked.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..api import train, transfer
from ..colab.mounting import mount
from ..data.loading import load
from ..errors import TrainError
from ..models import nets
from ..runs.run import Run
from ..system.runtime import runtime

Echo = Callable[[str], object]
SIDE = 96  # pixels: the backbone sees pictures of 28 x 28 at this size


def demo(quick: bool, net: str, echo: Echo) -> int:
    """Show the main job from end to end; give the exit status.

    Parameters
    ----------
    quick : bool
        Take fewer epochs and pictures, for under 30 seconds.
    net : "mlp" or "cnn"
    """
    started = time.monotonic()
    echo(str(runtime()))
    drive = mount()
    echo("\n1 · A network from scratch on real pictures, in a process that is killed in the middle")
    last = kill_in_the_middle(quick, net, first_epochs(quick, net) // 2, echo)
    echo(f"    SIGKILL after epoch {last}: the process is gone, as when a runtime disconnects.")
    echo("    The same call again:")
    show(first_run(quick, net), echo)
    count = 250 if quick else 1000
    what = f"a frozen efficientnet_lite0 on {count:,} of the pictures, at {SIDE} pixels"
    echo(f"\n2 · Transfer: {what}")
    show(second_run(quick), echo)
    echo(f"\nAll of it is kept on {drive}. {time.monotonic() - started:.0f} seconds.")
    return 0


def first_epochs(quick: bool, net: str) -> int:
    return {"mlp": 4, "cnn": 2}[net] if quick else {"mlp": 24, "cnn": 6}[net]


def first_run(quick: bool, net: str, *, restart: bool = False) -> Run:
    """Train from scratch: the call that is killed, and made again.

    The first of the two calls starts anew, because a demo may be seen twice.
    """
    data, epochs = load("fashion-mini"), first_epochs(quick, net)
    how: dict[str, Any] = {"epochs": epochs, "save_every_steps": 75}  # it saves each epoch
    return train(nets.NETS[net], data, name=f"demo-{net}", restart=restart, **how)


def second_run(quick: bool) -> Run:
    data = load("fashion-mini", max_per_class=25 if quick else 100, valid=0)
    return transfer(data, "efficientnet_lite0", image_size=SIDE, name="demo-transfer")


def kill_in_the_middle(quick: bool, net: str, epoch: int, echo: Echo) -> int:
    """Start the first run in a process, kill it when `epoch` is over, give the epoch it reached."""
    call = (
        "from colab_kit.cli import demo; demo.mount(quiet=True); "
        f"demo.first_run({quick!r}, {net!r}, restart=True)"
    )
    command = [sys.executable, "-u", "-c", call]
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    assert child.stdout is not None
    reached, lines = 0, list[str]()
    with child:
        for line in child.stdout:
            lines.append(line.rstrip())
            echo(f"    {lines[-1]}")
            if line.startswith("epoch "):
                reached = int(line.split("/")[0].removeprefix("epoch "))
                if reached >= epoch:
                    child.send_signal(signal.SIGKILL)
                    break
    if not reached:
        what = "The demo's training process ended before its first epoch."
        raise TrainError(what, "\n".join(lines[-5:]), "see what it printed")
    return reached


def show(run: Run, echo: Echo) -> None:
    """Accuracy on the test pictures, and three pictures to look at."""
    assert run.data is not None and run.data.test is not None
    result = run.evaluate("test")
    figures = f"test loss {result.loss:.3f}, top-1 {result.top1:.3f} on {result.count:,} pictures"
    echo(f"{run.name}: {figures}")
    unseen = run.data.test[7][0]
    paths: list[Path] = [run.plot()] if run.history else []
    for path in [*paths, run.confusion("test"), run.show(unseen)]:
        echo(f"    {(run.drive_folder or run.folder) / path.name}")
