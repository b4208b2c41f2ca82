"""What a launcher calls: one job by name, its arguments from the command line or from a cell's sys.argv, and an exit status."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from .cli import FAILED, call
from .errors import ColabKitError, TrainError
from .files import cannot_write
from .probe import COLAB_VM

JOBS = {"train_mlp": ("train", "--model", "mlp"), "transfer": ("transfer",)}
DATA = "fashion-mini"  # what is trained on when the command line names nothing
ARTIFACT = "COLAB_KIT_ARTIFACT="  # begins the last line: what to download


def main(job: str, argv: Sequence[str] | None = None) -> int:
    """Run a job as a launcher does: by python, or as the text of one cell on a Colab VM.

    The last line printed names what came of it: the run's folder, on a Colab VM a zip of it.

    Parameters
    ----------
    job : str
        "train_mlp" or "transfer".
    argv : list of str, optional
        The flags of `colab-kit train` or `colab-kit transfer`; else what follows the script's name.
    """
    arguments = own_arguments(sys.argv[1:] if argv is None else argv)
    try:
        one_process(os.environ)
        command, *given = JOBS[job]
        status, run = call([command, *given, *arguments], default_map={command: {"data": DATA}})
        if run is not None:
            click.echo(f"{ARTIFACT}{bundle(run.folder)}")
    except ColabKitError as err:
        click.echo(f"\n{err}", err=True)
        status = FAILED
    sys.stdout.flush()  # the end of a cell's text is not the end of a process: nothing else flushes
    sys.stderr.flush()
    return status


def own_arguments(argv: Sequence[str]) -> list[str]:
    """The arguments without the kernel's own: a cell's sys.argv begins with `-f /…/kernel-….json`."""
    arguments = list(argv)
    for i, word in enumerate(arguments[:-1]):
        if word == "-f" and "kernel" in arguments[i + 1] and arguments[i + 1].endswith(".json"):
            return arguments[:i] + arguments[i + 2 :]
    return arguments


def one_process(env: Mapping[str, str]) -> None:
    """Refuse torchrun's second process: it would train the same run again.

    Raises
    ------
    TrainError
        WORLD_SIZE is above 1.
    """
    world = env.get("WORLD_SIZE", "1")
    if world.isdigit() and int(world) > 1:
        raise TrainError(
            f"torchrun started {world} processes of this launcher.",
            "a run trains in one process, and each of these would write the same folder",
            "start it with python, or with torchrun --nproc-per-node=1",
        )


def bundle(folder: Path, *, vm: bool | None = None, outputs: Path = Path("/content/outputs")) -> Path:
    """What to take home: the run's folder, or on a Colab VM one zip of it, since a VM is downloaded from file by file."""
    if not (os.path.exists(COLAB_VM) if vm is None else vm):
        return folder
    whole = outputs / f"{folder.name}.zip"
    part = outputs / f".{whole.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        made = shutil.make_archive(str(part), "zip", folder.parent, folder.name)
        os.replace(made, whole)
    except OSError as err:
        raise cannot_write(whole, err) from err
    return whole
