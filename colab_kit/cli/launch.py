"""What a launcher calls: one job by name, its arguments from the command line or from a cell's sys.argv, and an exit status."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import ColabKitError, TrainError
from ..system.files import cannot_write
from ..system.hardware import COLAB_VM
from .fetch import Came
from .main import FAILED, call

JOBS = {
    "train_mlp": ("train", "--model", "mlp"),
    "transfer": ("transfer",),
    "panel": ("panel",),
    "fetch": ("fetch",),
}
DATA = "fashion-mini"  # what is trained on when the command line names nothing
ARTIFACT = "COLAB_KIT_ARTIFACT="  # begins the last line: what to download


def main(job: str, argv: Sequence[str] | None = None) -> int:
    """Run a job as a launcher does: by python, or as the text of one cell on a Colab VM.

    The last line printed names what came of it: the run's folder or what was fetched, on a Colab VM one file of it.

    Parameters
    ----------
    job : str
        "train_mlp", "transfer", "panel" or "fetch".
    argv : list of str, optional
        The flags of `colab-kit train`, `transfer`, `panel` or `fetch`; else what follows the script's name.
    """
    arguments = own_arguments(sys.argv[1:] if argv is None else argv)
    try:
        one_process(os.environ)
        command, *given = JOBS[job]
        status, made = call([command, *given, *arguments], default_map={command: {"data": DATA}})
        for number, path in enumerate(made_of(made)):
            click.echo(
                f"{ARTIFACT}{bundle(path, number=number)}",
                err=isinstance(made, Came) and made.quiet,
            )
    except ColabKitError as err:
        click.echo(f"\n{err}", err=True)
        status = FAILED
    sys.stdout.flush()  # the end of a cell's text is not the end of a process: nothing else flushes
    sys.stderr.flush()
    return status


def made_of(made: Any) -> list[Path]:
    """Where what a command gave lies: a run's folder, the files and folders that were fetched."""
    if isinstance(made, Came):
        return [found.path.absolute() for found in made.files]
    return [] if made is None else [made.folder]


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


def bundle(
    made: Path, *, number: int = 0, vm: bool | None = None, outputs: Path = Path("/content/outputs")
) -> Path:
    """What to take home: on a Colab VM, from which one downloads file by file, a zip of a folder; else what was made itself.

    number : of those that one call makes: several may have one name
    """
    if made.is_file() or not (os.path.exists(COLAB_VM) if vm is None else vm):
        return made
    whole = outputs / f"{made.name}{f'-{number + 1}' if number else ''}.zip"
    part = outputs / f".{whole.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        zipped = shutil.make_archive(str(part), "zip", made.parent, made.name)
        os.replace(zipped, whole)
    except OSError as err:
        raise cannot_write(whole, err) from err
    return whole
