"""The demo: real pictures, a network trained from scratch, killed in the middle and continued, and a transfer. Nothing is faked."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ..api import train, transfer
from ..colab.mounting import mount
from ..data.loading import load
from ..errors import TrainError
from ..models import nets
from ..runs.run import Run
from ..system.runtime import runtime

Echo = Callable[[str], object]
SIDE = 96  # pixels: what the backbone sees of 28 x 28 pictures


def demo(quick: bool, net: str, echo: Echo) -> int:
    """Show the main job from end to end; give the exit status.

    quick : fewer epochs and pictures, for under 30 seconds
    net : "mlp" or "cnn"
    """
    started = time.monotonic()
    echo(str(runtime()))
    drive = mount()
    echo(
        "\n1 · A network from scratch on real pictures, in a process of its own that is killed in the middle"
    )
    epochs = first_epochs(quick, net)
    killed_at = kill_in_the_middle(quick, net, epochs // 2, echo)
    echo(
        f"    SIGKILL after epoch {killed_at}: the process is gone, as when a runtime disconnects. The same call again:"
    )
    first = first_run(quick, net)
    show(first, echo)

    echo(
        f"\n2 · Transfer: a frozen efficientnet_lite0 on {250 if quick else 1000:,} of the pictures, at {SIDE} pixels"
    )
    second = second_run(quick)
    show(second, echo)
    echo(f"\nAll of it is kept on {drive}. {time.monotonic() - started:.0f} seconds.")
    return 0


def first_epochs(quick: bool, net: str) -> int:
    return {"mlp": 4, "cnn": 2}[net] if quick else {"mlp": 24, "cnn": 6}[net]


def first_run(quick: bool, net: str, *, restart: bool = False) -> Run:
    """The call that is killed, and made again. The first of the two starts anew: a demo may be seen twice."""
    epochs = first_epochs(quick, net)
    return train(
        nets.NETS[net],
        load("fashion-mini"),
        epochs=epochs,
        name=f"demo-{net}",
        restart=restart,
        save_every_steps=75,
    )  # each epoch


def second_run(quick: bool) -> Run:
    data = load("fashion-mini", max_per_class=25 if quick else 100, valid=0)
    return transfer(data, "efficientnet_lite0", image_size=SIDE, name="demo-transfer")


def kill_in_the_middle(quick: bool, net: str, epoch: int, echo: Echo) -> int:
    """Start the first run in a process of its own and kill it when it says that `epoch` is over; the epoch it reached."""
    call = f"from colab_kit import demo; demo.mount(quiet=True); demo.first_run({quick!r}, {net!r}, restart=True)"
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", call],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    reached, said = 0, []
    with child:
        for line in child.stdout:
            said.append(line.rstrip())
            echo(f"    {said[-1]}")
            if line.startswith("epoch "):
                reached = int(line.split("/")[0].removeprefix("epoch "))
                if reached >= epoch:
                    child.send_signal(signal.SIGKILL)
                    break
    if not reached:
        raise TrainError(
            "The demo's training process ended before its first epoch.",
            "\n".join(said[-5:]),
            "see what it printed",
        )
    return reached


def show(run: Run, echo: Echo) -> None:
    """Accuracy on the test pictures, and three pictures to look at."""
    assert run.data is not None and run.data.test is not None
    result = run.evaluate("test")
    echo(
        f"{run.name}: test loss {result.loss:.3f}, top-1 {result.top1:.3f} on {result.count:,} pictures"
    )
    shown: list[Path] = [run.confusion("test"), run.show(picture(run))]
    if run.history:
        shown.insert(0, run.plot())
    for path in shown:
        echo(f"    {(run.drive_folder or run.folder) / path.name}")


def picture(run: Run) -> object:
    """One test picture that the network has never seen."""
    assert run.data is not None and run.data.test is not None
    return run.data.test[7][0]
