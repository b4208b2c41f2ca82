"""The command line: each verb a command, each field of the recipe a flag. What fails says so in three sentences and by its exit status."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .cli_fetch import fetch
from .errors import ColabKitError
from .recipe import Recipe

if TYPE_CHECKING:
    from .data.splits import Data
    from .runs import Run
    from .storage import Kept

OK, FAILED, USAGE, STOPPED = 0, 1, 2, 130  # exit statuses; 130 is what a shell expects of Ctrl-C
STATUS = {"done": OK, "stopped": STOPPED}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit status."""
    return call(argv)[0]


def call(argv: Sequence[str] | None = None, **context: Any) -> tuple[int, Any]:
    """Run a command line; return its exit status and what the command gave: a Run, or None. `context` is click's."""
    try:
        out = face.main(argv, prog_name="colab-kit", standalone_mode=False, **context)
    except ColabKitError as err:
        click.echo(f"\n{err}", err=True)
        return FAILED, None
    except click.ClickException as err:
        err.show()
        return err.exit_code, None
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted.", err=True)
        return STOPPED, None
    if isinstance(out, int):  # --help, or a command that knows its own status
        return out, None
    return (OK if out is None else STATUS.get(out.status, FAILED)), out


def weights(text: str) -> str | tuple[float, ...]:
    """'balanced', 'auto', or a number for each class: 1,2.5,1. A ValueError becomes click's usage error."""
    return text if text in ("balanced", "auto") else tuple(float(number) for number in text.split(","))


def word_or_number(text: str) -> str | float:
    """budget's and batch_size's: a number where it is one; the recipe judges what is left."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def kind(field: dataclasses.Field[Any]) -> Any:
    """What a flag takes, read from the field's type."""
    words = str(field.type)
    if "tuple" in words:
        return weights
    if "str" in words and ("int" in words or "float" in words):
        return word_or_number
    if field.metadata["choices"]:
        return click.Choice(field.metadata["choices"])
    if words == "bool":
        return click.BOOL
    for word, taken in (("float", click.FLOAT), ("int", click.INT), ("str", click.STRING)):
        if word in words:
            return taken
    raise TypeError(f"the flag of {field.name}: {words} is not decided")


Command = Callable[..., Any]


def recipe_flags(command: Command) -> Command:
    """A flag for each field of the recipe; one that is not given leaves the choice to the verb."""
    own = {"epochs": 3} if command.__name__ == "transfer" else {}  # the verb's own default
    for field in reversed(dataclasses.fields(Recipe)):
        value = own.get(field.name, field.default)
        default = "" if value is None else f" [{value}]"
        flag = f"--{field.name.replace('_', '-')}"
        command = click.option(flag, field.name, type=kind(field), help=field.metadata["help"] + default)(command)
    return command


def run_flags(command: Command) -> Command:
    """The flags of a run that are no recipe: what to train on, from where, and where it is kept."""
    for option in (
        click.option("--device", help="cpu, cuda, cuda:1, mps [the best there is]"),
        click.option("--fresh", is_flag=True, help="start anew where the same command would go on"),
        click.option("--out", type=click.Path(), help="the run's folder [a name and a key under ./colab-kit/runs]"),
        click.option("--name", help="first half of the run's name"),
        click.option("--limit", type=int, help="take at most so many pictures of each class"),
        click.argument("data"),
    ):
        command = option(command)
    return command


@click.group(context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="colab-kit")
def face() -> None:
    """Train image classifiers; killed or stopped, the same command goes on where it was."""


@face.command()
def runtime() -> None:
    """Say where this runs, and on what."""
    from .machine import runtime as look

    click.echo(str(look()))


face.add_command(fetch)


@face.command()
@click.option("--quick", is_flag=True, help="under half a minute: fewer epochs, fewer pictures")
@click.option("--net", type=click.Choice(["mlp", "cnn"]), default="mlp", help="the network that is trained from scratch [mlp]")
def demo(quick: bool, net: str) -> int:
    """Train on real pictures, be killed in the middle, go on, transfer, and look at what came of it."""
    from .demo import demo as show

    return show(quick, net, click.echo)


@face.command()
@run_flags
@click.option("--model", type=click.Choice(["mlp", "cnn"]), default="mlp", help="the network, made to fit the data [mlp]")
@click.option("--init", type=click.Path(), help="weights to start from, .pth or .safetensors: what matches is taken and listed")
@recipe_flags
def train(data: str, model: str, limit: int | None, **given: Any) -> Run:
    """Train a network from scratch on DATA: a catalog name, or a folder of class folders."""
    from .loading import load
    from .verbs import train as verb

    pictures = load(data, limit=limit)
    given["name"] = given["name"] or f"{pictures.name}-{model}".lower()
    return told(verb(net(model, pictures, given["size"]), pictures, **said(given)))


@face.command()
@run_flags
@click.option(
    "--mode", type=click.Choice(["auto", "frozen", "finetune", "both"]), default=None, help="what learns: the head, all, or both [auto]"
)
@click.option("--backbone", default="resnet18", help="a torchvision name, timm/…, or efficientnet_lite0 [resnet18]")
@recipe_flags
def transfer(data: str, backbone: str, limit: int | None, **given: Any) -> Run:
    """Put a new head on a trained backbone: solved for its features, or trained with all of it."""
    from .loading import load
    from .verbs import transfer as verb

    return told(verb(load(data, limit=limit), backbone, **said(given)))


def said(given: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given: the others are the verb's to choose."""
    return {name: value for name, value in given.items() if value is not None}


def net(model: str, data: Data, size: int | None) -> Callable[[], Any]:
    """A maker of the named network that fits the data; the verb calls it under the run's seed."""
    import functools

    from .models import nets

    high, wide, channels = data.train[0][0].shape
    if data.train.paths is not None:  # files are brought to a square of this size
        high = wide = size or 224
    elif size:
        high = wide = size
    if model == "cnn":
        return functools.partial(nets.cnn, classes=len(data.classes), channels=channels, size=high)
    return functools.partial(nets.mlp, classes=len(data.classes), inputs=high * wide * channels)


def told(run: Run) -> Run:
    """Say in the last lines what came of a run, and where it is."""
    click.echo(repr(run))
    if run.drive_folder is not None:
        click.echo(f"copied to {run.drive_folder}")
    return run


@face.command()
@click.argument("run")
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...")
@click.option("--top", type=click.IntRange(1), default=5, help="how many classes to list of each picture [5]")
@click.option("--csv", "table", type=click.Path(dir_okay=False), help="write a row a picture, a column a class")
@click.option("--device", help="cpu, cuda, cuda:1, mps [the best there is]")
def predict(run: str, pictures: tuple[str, ...], top: int, table: str | None, device: str | None) -> None:
    """Say what RUN (a folder, name or key) sees in each PICTURE: a file, a folder, a pattern."""
    from .opening import open_run
    from .reporting.prediction import Prediction, Predictions

    opened = open_run(run, device=device)
    found = opened.predict(list(pictures), top=top)
    answers = Predictions([found] if isinstance(found, Prediction) else found, opened.classes)
    for one in answers:
        said = "{:.4g}" if one.task == "regress" else "{:.1%}"
        click.echo(f"{one.path}: " + ", ".join(f"{name} {said.format(score)}" for name, score in one.top))
    if table:
        click.echo(str(answers.to_csv(table)))


@face.command()
@click.argument("which", nargs=-1, metavar="[RUN]...")
@click.option("--prune", is_flag=True, help="ask of each whether to delete it and its copy; a running one is never deleted")
@click.option("--yes", is_flag=True, help="with --prune: delete all that are listed without asking")
def runs(which: tuple[str, ...], prune: bool, yes: bool) -> None:
    """List the runs: their state and what they cost here and on Drive. RUN, a name or key, lists only these."""
    from . import storage

    if yes and not prune:
        raise click.UsageError("--yes goes with --prune.")
    seen = storage.look()
    found = [run for run in seen.runs if not which or names(run) & set(which)]
    rows = [("NAME", "KEY", "STATUS", "EPOCHS", "DISK", "DRIVE", "LAST TOUCHED"), *map(row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for line in rows if found else ():
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
    if alone := [f"{run.name}-{run.key}" for run in found if seen.uncopied(run)]:
        when = "copies go to Drive half a minute after a run's start, then every five minutes, and at its end"
        click.echo(f"On this disk alone so far: {', '.join(alone)}; {when}.")
    for drive in seen.silent:
        click.echo(f"Drive does not answer ({drive}): what lies there is not listed. kit.mount() mounts it again.", err=True)
    if strangers := [name for name in which if not any(name in names(run) for run in found)]:
        raise click.ClickException(f"No run is called {' or '.join(strangers)}{'; nothing is deleted' if prune else ''}.")
    if not found:
        click.echo("No runs are here.")
    for run in found if prune else ():
        delete(run, yes)


def names(run: Kept) -> set[str]:
    """What a run may be called."""
    return {run.name, run.key, f"{run.name}-{run.key}"}


def delete(run: Kept, yes: bool) -> None:
    """Delete a run, if it is not running and the answer is yes."""
    from . import storage

    what = f"{run.name}-{run.key} ({run.status}): {size(run.size)} here, {size(run.copy_size)} on Drive"
    if run.status == "running":
        click.echo(f"kept: {what}")
    elif yes or confirmed(f"Delete {what}?"):
        storage.delete(run)
        click.echo(f"deleted: {what}")


def confirmed(question: str) -> bool:
    """Ask; where nobody can answer, say which flag does."""
    try:
        return click.confirm(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.ClickException("nobody can answer here; --yes with --prune deletes all that are listed without asking.") from None


def row(run: Kept) -> tuple[str, ...]:
    """A run as a line of the list."""
    epochs = f"{'?' if run.epochs is None else run.epochs}/{run.of}"
    touched = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.touched))
    return run.name, run.key, run.status, epochs, size(run.size), size(run.copy_size), touched


def size(count: int) -> str:
    """Bytes for people: 3.1 MB; a dash for none."""
    if not count:
        return "-"
    power = min(4, (len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.{1 if power else 0}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
