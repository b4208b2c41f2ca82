"""What a launcher calls: one job by name.

Its arguments come from the command line or from a cell's sys.argv; it gives an exit status.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import ColabKitError, TrainError
from ..system.files import cannot_write, whole_file
from ..system.hardware import COLAB_VM
from .fetch import FetchResult
from .main import FAILED, call

JOBS = {
    "train_mlp": ("train", "--model", "mlp"),
    "transfer": ("transfer",),
    "panel": ("panel",),
    "fetch": ("fetch",),
}
DATA = "fashion-mini"  # the data set where the command line names none
ARTIFACT = "COLAB_KIT_ARTIFACT="  # begins the last line: what to download


def main(job: str, argv: Sequence[str] | None = None) -> int:
    """Run a job as a launcher does: by python, or as the text of one cell on a Colab VM.

    The last line printed names what came of it: the run's folder or what was fetched, on a Colab VM
    one file of it.

    Parameters
    ----------
    job : str
        "train_mlp", "transfer", "panel" or "fetch".
    argv : list of str, optional
        The flags of `colab-kit train`, `transfer`, `panel` or `fetch`; what follows the script's
        name, if None.
    """
    arguments = own_arguments(sys.argv[1:] if argv is None else argv)
    try:
        one_process(os.environ)
        command, *options = JOBS[job]
        defaults = {command: {"data": DATA}}
        status, result = call([command, *options, *arguments], default_map=defaults)
        to_stderr = isinstance(result, FetchResult) and result.quiet
        for number, path in enumerate(made_of(result)):
            click.echo(f"{ARTIFACT}{bundle(path, number=number)}", err=to_stderr)
    except ColabKitError as err:
        click.echo(f"\n{err}", err=True)
        status = FAILED
    sys.stdout.flush()  # a cell's text ends without ending the process: nothing else flushes
    sys.stderr.flush()
    return status


def made_of(result: Any) -> list[Path]:
    """Where the result of a command lies: a run's folder, or what was fetched."""
    if isinstance(result, FetchResult):
        return [file.path.absolute() for file in result.files]
    return [] if result is None else [result.folder]


def own_arguments(argv: Sequence[str]) -> list[str]:
    """The arguments without the kernel's: a cell's sys.argv begins with `-f /…/kernel-….json`."""
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
    path: Path, *, number: int = 0, vm: bool | None = None, outputs: Path = Path("/content/outputs")
) -> Path:
    """What to take home: on a Colab VM a zip of a folder, elsewhere the path itself.

    From a Colab VM one downloads file by file.

    Parameters
    ----------
    number : int
        Of the paths that one call makes: several may have one name.
    """
    if path.is_file() or not (os.path.exists(COLAB_VM) if vm is None else vm):
        return path
    name = path.name if number == 0 else f"{path.name}-{number + 1}"
    whole = outputs / f"{name}.zip"
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        with whole_file(whole) as part:
            os.replace(shutil.make_archive(str(part), "zip", path.parent, path.name), part)
    except OSError as err:
        raise cannot_write(whole, err) from err
    return whole
