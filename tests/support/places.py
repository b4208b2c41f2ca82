"""Places that a program may find itself in, and every kind of call tried there, for Forks."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pwd
import shutil
from pathlib import Path

import matplotlib.backends.backend_agg
import matplotlib.figure
import numpy as np
import requests
import torch

import colab_kit as kit
from colab_kit.cli.main import main
from colab_kit.models import nets

# Warm: the first optimizer costs a second of imports, a drawing another; no child pays for them.
torch.optim.AdamW(torch.nn.Linear(1, 1).parameters())
WARM = (matplotlib, requests)

X, Y = np.arange(24 * 192, dtype=np.uint8).reshape(24, 8, 8, 3), np.arange(24) % 3
HOW = {"image_size": 8, "epochs": 1, "batch_size": 8, "quiet": True}
CALLS = {
    "load arrays": lambda top: kit.load((X, Y), quiet=True),
    "load a folder": lambda top: kit.load(top / "pets", quiet=True),
    "load an archive": lambda top: kit.load(top / "pets.zip", quiet=True),
    "fetch": lambda top: kit.fetch(str(top / "pets.zip"), quiet=True),
    "train": lambda top: kit.train(nets.mlp, (X, Y), **HOW),
    "train in run_dir=": lambda top: kit.train(nets.mlp, top / "pets", run_dir=top / "made", **HOW),
    "preflight": lambda top: kit.preflight(nets.mlp, (X, Y), quiet=True),
    "open": lambda top: kit.open_run(top / "ready"),
    "predict": lambda top: READY.predict(top / "pets" / "a" / "0.png", quiet=True),
    "report": lambda top: READY.report(),
    "export": lambda top: READY.export("x.safetensors"),
    "mount": lambda top: kit.mount(quiet=True),
    "colab-kit runs": lambda top: command("runs"),
}
READY: kit.Run  # a run of this process, opened before it came to the place


def command(*words: str) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        status = main(words)
    if status:
        raise kit.ColabKitError(said.getvalue(), "", said.getvalue())


def ready(top: str) -> None:
    """Make the run that the probes open."""
    kit.train(nets.mlp, (X, Y), run_dir=Path(top) / "ready", **HOW)


def probe(place: str, env: dict[str, str | None], top: str, work: str) -> None:
    """Go to the place, try each call, and write `work`.json: what worked, or what to do."""
    global READY
    os.environ.update({name: value for name, value in env.items() if value is not None})
    for name in [name for name, value in env.items() if value is None]:
        os.environ.pop(name, None)
    os.mkdir(work)
    os.chdir(work)
    READY = kit.open_run(Path(top) / "ready")
    READY.data = kit.load((X, Y), quiet=True)
    if place == "no home":
        pwd.getpwuid = nobody  # type: ignore[assignment]
    if place == "a deleted working folder":
        os.rmdir(work)
    told = {name: tried(name, Path(top)) for name in CALLS}
    Path(f"{work}.json").write_text(json.dumps(told), "utf-8")


def deleted_below(work: str) -> None:
    """Delete the working folder, and the run in it, while the run trains."""
    os.mkdir(work)
    os.chdir(work)

    def hear(event: object) -> None:
        if getattr(event, "step", 0) == 2:
            shutil.rmtree(work)

    run = kit.train(nets.mlp, (X, Y), callbacks=[hear], save_every_steps=1, **HOW)
    assert run.status == "finished" and run.folder.is_relative_to(work)
    os.chdir("/")
    assert np.array_equal(
        kit.open_run(run.folder).predict(X[0], quiet=True).probabilities,
        run.predict(X[0], quiet=True).probabilities,
    )


class Items(torch.utils.data.Dataset):
    """A Dataset of one's own, so that workers read it."""

    targets = (np.arange(60) % 3).tolist()

    def __len__(self) -> int:
        return 60

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.full((3, 8, 8), i / 60), i % 3


def signalled(number: int, work: str) -> None:
    """Send a signal to the whole group, the workers too, while a run trains."""
    os.setsid()

    def hear(event: object) -> None:
        if getattr(event, "step", 0) == 3 and not hasattr(event, "seconds"):
            os.killpg(0, number)

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
    how = {"epochs": 9, "batch_size": 4, "num_workers": 2, "quiet": True}
    run = kit.train(net, Items(), run_dir=work, callbacks=[hear], **how)
    assert run.status == "stopped" and run.progress.step in (3, 4)
    again = kit.train(net, Items(), run_dir=work, **how | {"epochs": 2})
    assert again.status == "finished"


def nobody(number: int) -> None:
    raise KeyError(number)


def tried(name: str, top: Path) -> str:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            CALLS[name](top)
    except kit.ColabKitError as err:
        return err.fix
    except Exception as err:
        return f"foreign {type(err).__name__}: {err}"
    return "works"
