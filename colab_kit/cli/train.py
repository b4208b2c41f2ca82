"""The commands that train: a network from scratch, a head on a backbone, and a panel that does the latter."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..system.files import cannot_write, write_json
from .options import Mode, recipe_flags, run_flags, said

if TYPE_CHECKING:
    from ..runs.run import Run


@click.command()
@run_flags
@click.option(
    "--model",
    type=click.Choice(["mlp", "cnn"]),
    default="mlp",
    help="the network, made to fit the data [mlp]",
)
@click.option(
    "--init",
    type=click.Path(),
    help="weights to start from, .pth or .safetensors: what matches is taken and listed",
)
@recipe_flags
def train(data: str, model: str, max_per_class: int | None, **given: Any) -> Run:
    """Train a network from scratch on DATA: a catalog name, or a folder of class folders."""
    from ..api import train as verb
    from ..data.loading import load
    from ..models.nets import NETS

    pictures = load(data, max_per_class=max_per_class)
    given["name"] = given["name"] or f"{pictures.name}-{model}".lower()
    return told(verb(NETS[model], pictures, **said(given)))


@click.command()
@run_flags
@click.option(
    "--mode",
    type=Mode(["auto", "frozen", "finetune", "frozen_then_finetune"]),
    default=None,
    help="what learns: the head, all, or first the head and then all [auto]",
)
@click.option(
    "--backbone",
    default="resnet18",
    help="a torchvision name, timm/…, or efficientnet_lite0 [resnet18]",
)
@recipe_flags
def transfer(data: str, backbone: str, max_per_class: int | None, **given: Any) -> Run:
    """Put a new head on a trained backbone: solved for its features, or trained with all of it."""
    return transferred(data, backbone, max_per_class, given)


@click.command()
@click.argument("data")
@click.option("--max-per-class", type=int, help="take at most so many pictures of each class")
@click.option("--name", help="first half of the run's name")
@click.option(
    "--run-dir",
    type=click.Path(),
    help="the run's folder [a name and a key under ./colab-kit/runs]",
)
@click.option(
    "--backbone",
    default="resnet18",
    help="a torchvision name, timm/…, or efficientnet_lite0 [resnet18]",
)
@click.option("--text", is_flag=True, help="no panel: train at once, and say so in lines")
@recipe_flags
def panel(
    data: str, backbone: str, max_per_class: int | None, text: bool, **given: Any
) -> Run | int:
    """Open a panel that trains on DATA in JupyterLab; where there is no browser, train in lines of text."""
    why = "" if text else no_browser()
    if not (text or why):
        return opened(panel_code(data, backbone, max_per_class, said(given)))
    if why:
        click.echo(f"No panel: {why}. The same training follows in lines.")
    return transferred(data, backbone, max_per_class, given)


def transferred(data: str, backbone: str, max_per_class: int | None, given: dict[str, Any]) -> Run:
    """Load, transfer, and say what came of it."""
    from ..api import transfer as verb
    from ..data.loading import load

    return told(verb(load(data, max_per_class=max_per_class), backbone, **said(given)))


def no_browser() -> str:
    """Why a panel could not be seen; "" if it could."""
    if not sys.stdout.isatty():
        return "what is printed goes to a file, a pipe or a cell, so nobody is here to press its buttons"
    if importlib.util.find_spec("jupyterlab") is None:
        return "JupyterLab is not installed (pip install jupyterlab)"
    try:
        webbrowser.get()
    except webbrowser.Error:
        return "this machine has no browser"
    return ""


def panel_code(data: str, backbone: str, max_per_class: int | None, given: dict[str, Any]) -> str:
    """The cell that shows it."""
    source = (
        repr(data)
        if max_per_class is None
        else f"kit.load({data!r}, max_per_class={max_per_class})"
    )
    more = "".join(f", {name}={value!r}" for name, value in given.items())
    return f"import colab_kit as kit\n\nkit.panel({source}, {backbone!r}{more})"


def opened(code: str) -> int:
    """Write the cell into a notebook of ours and open it; JupyterLab's exit status, once it has ended."""
    here = Path.cwd()
    place = notebook_of(f"%cd -q {here}\n{code}", here / "colab-kit")
    click.echo(
        f"{place.relative_to(here)} opens in the browser: press Shift+Enter in its cell. Ctrl-C here, twice, ends JupyterLab."
    )
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", *root, str(place)])
    while True:
        try:
            return lab.wait()
        except KeyboardInterrupt:
            continue  # it has had the interrupt too: it asks, ends its kernels, and then itself


def notebook_of(text: str, folder: Path) -> Path:
    """The notebook with this one cell; one that is there already is kept with all that its user has added, and found again by its cell."""
    for place in (folder / f"panel{'' if n == 1 else f'-{n}'}.ipynb" for n in itertools.count(1)):
        if not place.exists():
            break
        with suppress(OSError, ValueError, LookupError, TypeError):
            if "".join(json.loads(place.read_text(encoding="utf-8"))["cells"][0]["source"]) == text:
                return place
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "panel",
        "metadata": {},
        "source": text,
        "outputs": [],
        "execution_count": None,
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    try:
        folder.mkdir(exist_ok=True)
        write_json(
            place,
            {
                "cells": [cell],
                "metadata": {"kernelspec": kernel},
                "nbformat": 4,
                "nbformat_minor": 5,
            },
        )
    except OSError as err:
        raise cannot_write(place, err) from err
    return place


def told(run: Run) -> Run:
    """Say in the last lines what came of a run, and where it is."""
    click.echo(repr(run))
    if run.drive_folder is not None:
        click.echo(f"copied to {run.drive_folder}")
    return run
