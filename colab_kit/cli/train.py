"""The commands that train, and their flags, which are made of the recipe's fields."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import RENAMED, new_word, plain
from ..recipe import Recipe
from ..system.files import cannot_write, write_json

if TYPE_CHECKING:
    from ..runs.run import Run


Command = Callable[..., Any]

name_flag = click.option("--name", help="first half of the run's name")
run_dir_flag = click.option(
    "--run-dir",
    type=click.Path(),
    help="the run's folder [a name and a key under ./colab-kit/runs]",
)
DATA_FLAGS = {  # load()'s own words: they say how DATA is read
    "max_per_class": click.option(
        "--max-per-class", type=int, help="take at most so many pictures of each class"
    ),
    "labels": click.option("--labels", type=click.Path(), help="the table that says the labels"),
    "label_column": click.option("--label-column", help="the table's column of labels"),
    "file_column": click.option("--file-column", help="the table's column of file names"),
    "group": click.option(
        "--group", help="the table's column of patients, people or videos: never parted by a draw"
    ),
    "explain": click.option("--explain", is_flag=True, default=None, help="say how DATA was read"),
}
backbone_flag = click.option(
    "--backbone",
    default="resnet18",
    help="a torchvision name, timm/…, or efficientnet_lite0 [resnet18]",
)
device_flag = click.option("--device", help="cpu, cuda, cuda:1, mps [the best there is]")
restart_flag = click.option(
    "--restart", is_flag=True, help="start anew where the same command would go on"
)


def weights(text: str) -> str | tuple[float, ...]:
    """'balanced', 'auto', or a number for each class: 1,2.5,1.

    A ValueError becomes click's usage error.
    """
    if text in ("balanced", "auto"):
        return text
    return tuple(float(number) for number in text.split(","))


def stages(text: str) -> dict[int, str]:
    """Epochs and patterns: 3=layer4.*,6=*. A ValueError becomes click's usage error."""
    pairs = (part.partition("=") for part in text.split(","))
    return {int(epoch): pattern for epoch, _, pattern in pairs}


def word_or_number(text: str) -> str | float:
    """A number where it is one, for max_time and batch_size. The recipe checks any other word."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def flag_type(field: dataclasses.Field[Any]) -> Any:
    """What a flag takes, read from the field's type."""
    words = str(field.type)
    if "dict[int" in words:
        return stages
    if "tuple" in words:
        return weights
    if "str" in words and ("int" in words or "float" in words):
        return word_or_number
    if field.metadata["choices"]:
        return click.Choice(field.metadata["choices"])
    if words.startswith("bool"):
        return click.BOOL
    for word, kind in (("float", click.FLOAT), ("int", click.INT), ("str", click.STRING)):
        if word in words:
            return kind
    raise TypeError(f"the flag of {field.name}: {words} is not decided")


class Mode(click.Choice):  # type: ignore[type-arg]
    """The modes of a transfer. An old word is answered with the new one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if new_word("mode", value):
            self.fail(f"{value!r} is called {RENAMED['mode'][value]!r} now.", param, ctx)
        return super().convert(value, param, ctx)


def recipe_flags(command: Command) -> Command:
    """Add a flag for each field of the recipe. A flag that is not given leaves the choice open."""
    for field in reversed(dataclasses.fields(Recipe)):
        value = field.default
        if field.name == "epochs" and command.__name__ in ("transfer", "panel"):
            value = 3  # transfer()'s own default
        default = "" if value is None else f" [{value}]"
        flag, words = f"--{field.name.replace('_', '-')}", field.metadata["help"] + default
        command = click.option(flag, field.name, type=flag_type(field), help=words)(command)
    return command


def run_flags(command: Command) -> Command:
    """Add the flags of a run that are no recipe: its data, its device, and where it is kept."""
    for flag in (device_flag, restart_flag, run_dir_flag, name_flag):
        command = flag(command)
    return data_flags(command)


def data_flags(command: Command) -> Command:
    """Add DATA and the flags that say how it is read."""
    for flag in reversed(DATA_FLAGS.values()):
        command = flag(command)
    return click.argument("data")(command)


def take_data_words(flags: dict[str, Any]) -> dict[str, Any]:
    """Take load()'s words out of the flags: those that were given."""
    return given_flags({name: flags.pop(name, None) for name in DATA_FLAGS})


def given_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given. The verb chooses the others."""
    return {name: value for name, value in flags.items() if value is not None}


MODES = ["auto", "frozen", "finetune", "frozen_then_finetune"]


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
def train(data: str, model: str, **flags: Any) -> Run:
    """Train a network from scratch on DATA: a catalog name, or a folder of class folders."""
    from ..api import train as verb
    from ..data.loading import load
    from ..models.nets import NETS

    pictures = load(data, **take_data_words(flags))
    flags["name"] = flags["name"] or f"{pictures.name}-{model}".lower()
    return report(verb(NETS[model], pictures, **given_flags(flags)))


@click.command()
@run_flags
@click.option(
    "--mode",
    type=Mode(MODES),
    help="what learns: the head, all, or first the head and then all [auto]",
)
@backbone_flag
@recipe_flags
def transfer(data: str, backbone: str, **flags: Any) -> Run:
    """Put a new head on a trained backbone: solved for its features, or trained with all of it."""
    from ..api import transfer as verb
    from ..data.loading import load

    pictures = load(data, **take_data_words(flags))
    return report(verb(pictures, backbone, **given_flags(flags)))


@click.command()
@data_flags
@name_flag
@run_dir_flag
@backbone_flag
@click.option("--text", is_flag=True, help="no panel: train at once, and say so in lines")
@recipe_flags
def panel(text: bool, **flags: Any) -> Run | int:
    """Open a panel that trains on DATA in JupyterLab.

    Where there is no browser, train in lines of text.
    """
    why = "" if text else no_browser()
    if not (text or why):
        return open_notebook(panel_code(**given_flags(flags)))
    if why:
        click.echo(f"No panel: {why}. The same training follows in lines.")
    run: Run = transfer.callback(**flags)  # type: ignore[misc]
    return run


def no_browser() -> str:
    """Why a panel could not be seen; "" if it could."""
    if not sys.stdout.isatty():
        return "the output goes to a file, a pipe or a cell, so nobody is here to press its buttons"
    if importlib.util.find_spec("jupyterlab") is None:
        return "JupyterLab is not installed (pip install jupyterlab)"
    try:
        webbrowser.get()
    except webbrowser.Error:
        return "this machine has no browser"
    return ""


def panel_code(data: str, backbone: str, **fields: Any) -> str:
    """The cell that shows the panel."""
    source, words = repr(data), take_data_words(fields)
    if words:
        shown = "".join(f", {name}={value!r}" for name, value in words.items())
        source = f"kit.load({data!r}{shown})"
    more = "".join(f", {name}={value!r}" for name, value in fields.items())
    return f"import colab_kit as kit\n\nkit.panel({source}, {backbone!r}{more})"


def open_notebook(code: str) -> int:
    """Write the cell into a notebook of ours and open it; give JupyterLab's exit status."""
    here = Path.cwd()
    place = notebook_of(f"%cd -q {here}\n{code}", here / "colab-kit")
    click.echo(
        f"{place.relative_to(here)} opens in the browser: press Shift+Enter in its cell. "
        "Ctrl-C here, twice, ends JupyterLab."
    )
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", *root, str(place)])
    while True:
        try:
            return lab.wait()
        except KeyboardInterrupt:
            continue  # JupyterLab has the interrupt too: it asks, ends its kernels, then itself


def notebook_of(text: str, folder: Path) -> Path:
    """The notebook with this one cell.

    One that is there is found again by its cell, and kept with all that its user has added.
    """
    for n in itertools.count(1):
        place = folder / ("panel.ipynb" if n == 1 else f"panel-{n}.ipynb")
        if not place.exists():
            break
        with suppress(OSError, ValueError, LookupError, TypeError):
            if "".join(json.loads(place.read_text(encoding="utf-8"))["cells"][0]["source"]) == text:
                return place
    cell = {"cell_type": "code", "id": "panel", "metadata": {}, "source": text}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": [{**cell, "outputs": [], "execution_count": None}],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    try:
        folder.mkdir(exist_ok=True)
        write_json(place, notebook)
    except OSError as err:
        raise cannot_write(place, err) from err
    return place


def report(run: Run) -> Run:
    """Say in the last lines what came of a run, and where it is."""
    click.echo(repr(run))
    if run.drive_folder is not None:
        click.echo(plain(f"copied to {run.drive_folder}"))
    if run.status == "finished":
        name = f"{run.name}-{run.key}"
        verbs = ("predict", "FILE"), ("evaluate", "DATA"), ("report", "DATA")
        lines = [f"colab-kit {verb} {name} {what}" for verb, what in verbs]
        click.echo(plain(f"next: {'; '.join(lines)}"))
    return run
