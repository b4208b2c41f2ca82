"""The command line: each verb a command, each field of the recipe a flag.

An error says itself in three sentences and by the exit status.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from ..errors import FOREIGN, ColabKitError, in_line, plain
from ..system.files import working_folder
from .fetch import FetchResult, fetch
from .train import data_flags, device_flag, panel, take_data_words, train, transfer

if TYPE_CHECKING:
    from ..runs.catalog import StoredRun
    from ..runs.run import Run

OK, FAILED, USAGE, STOPPED = 0, 1, 2, 130  # exit statuses; a shell expects 130 of Ctrl-C
STATUS = {"finished": OK, "stopped": STOPPED}
HEADINGS = ("NAME", "KEY", "STATUS", "EPOCHS", "BEST", "DISK", "DRIVE", "LAST TOUCHED")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit status."""
    return call(argv)[0]


def call(argv: Sequence[str] | None = None, **context: Any) -> tuple[int, Any]:
    """Run a command line; return its exit status and its result: a Run, a FetchResult, or None.

    `context` is click's.
    """
    try:
        working_folder()
        out = face.main(argv, prog_name="colab-kit", standalone_mode=False, **context)
    except ColabKitError as err:
        click.echo(f"\n{err}", err=True)
        return FAILED, None
    except click.ClickException as err:
        _with_new_word(err).show()
        return err.exit_code, None
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted.", err=True)
        return STOPPED, None
    if isinstance(out, int):  # --help, or a command that knows its own status
        return out, None
    if isinstance(out, FetchResult):
        return out.status, out
    return (OK if out is None else STATUS.get(out.status, FAILED)), out


def _with_new_word(err: click.ClickException) -> click.ClickException:
    """The error; of a flag that others call so, one that says ours."""
    if isinstance(err, click.NoSuchOption):
        name = err.option_name.lstrip("-").replace("-", "_")
        if line := FOREIGN.get(name):
            word = line.removesuffix("={}")
            new = f"In Python: {line}" if word == line else f"It is --{word.replace('_', '-')}"
            text = f"No such option: {err.option_name}. {new}."
            return click.NoSuchOption(err.option_name, text, ctx=err.ctx)
    return err


@click.group(context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="colab-kit")
def face() -> None:
    """Train image classifiers; killed or stopped, the same command goes on where it was."""


@face.command()
def runtime() -> None:
    """Say where this runs, and on what."""
    from ..system.runtime import runtime as look

    click.echo(str(look()))


for command in (fetch, train, transfer, panel):
    face.add_command(command)


@face.command()
@click.option("--quick", is_flag=True, help="under half a minute: fewer epochs, fewer pictures")
@click.option(
    "--net",
    type=click.Choice(["mlp", "cnn"]),
    default="mlp",
    help="the network that is trained from scratch [mlp]",
)
def demo(quick: bool, net: str) -> int:
    """Train on real pictures, be killed in the middle, go on, transfer, and show the results."""
    from .demo import demo as show

    return show(quick, net, click.echo)


@face.command()
@click.argument("run")
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...")
@click.option(
    "--top", type=click.IntRange(1), default=5, help="how many classes to list of each picture [5]"
)
@click.option(
    "--csv",
    "table",
    type=click.Path(dir_okay=False),
    help="write a row a picture, a column a class",
)
@device_flag
def predict(
    run: str, pictures: tuple[str, ...], top: int, table: str | None, device: str | None
) -> None:
    """Say what RUN (a folder, name or key) sees in each PICTURE: a file, a folder, a pattern."""
    from ..runs.opening import open_run
    from ..runs.prediction import Prediction, Predictions

    opened = open_run(run, device=device)
    answer = opened.predict(list(pictures), top=top)
    answers = Predictions([answer] if isinstance(answer, Prediction) else answer, opened.classes)
    for answer in answers:
        form = "{:.4g}" if answer.task == "regression" else "{:.1%}"
        scores = ", ".join(f"{name} {form.format(score)}" for name, score in answer.top)
        click.echo(in_line(f"{answer.path}: {scores or 'not read: ' + answer.fault}"))
    if table:
        click.echo(plain(answers.to_csv(table)))


split_flag = click.option("--split", help="train, valid or test of DATA [test, else valid]")


@face.command()
@click.argument("run")
@data_flags
@split_flag
@click.option("--metrics", help="more figures, with commas between them: macro_f1,auroc")
@device_flag
def evaluate(run: str, metrics: str | None, **flags: Any) -> None:
    """Say what RUN (a folder, name or key) gets right on DATA, as `train` takes it."""
    opened, split = opened_on(run, flags)
    click.echo(plain(opened.evaluate(split, metrics=metrics)))


@face.command(name="report")
@click.argument("run")
@data_flags
@split_flag
@device_flag
def write_report(run: str, **flags: Any) -> None:
    """Write all that is known of RUN, and what it gets right on DATA, as one HTML file."""
    opened, split = opened_on(run, flags)
    click.echo(plain(opened.report(split)))


def opened_on(run: str, flags: dict[str, Any]) -> tuple[Run, Any]:
    """Open a run and load the data that it is judged on."""
    from ..data.loading import load
    from ..runs.opening import open_run

    data = load(flags.pop("data"), **take_data_words(flags))
    opened, name = open_run(run, device=flags["device"]), flags["split"]
    if name and name not in data.splits:
        raise click.UsageError(f"The data has no split {name}: it has {', '.join(data.splits)}.")
    return opened, data.splits[name] if name else data


@face.command()
@click.argument("run")
@click.argument("file", type=click.Path(dir_okay=False))
def export(run: str, file: str) -> None:
    """Write RUN as one FILE for another machine: .safetensors, or .onnx."""
    from ..runs.opening import open_run

    click.echo(plain(open_run(run, device="cpu").export(file)))


@face.command()
@click.argument("which", nargs=-1, metavar="[RUN]...")
@click.option(
    "--prune",
    is_flag=True,
    help="ask of each whether to delete it and its copy; a running one is never deleted",
)
@click.option("--yes", is_flag=True, help="with --prune: delete all that are listed without asking")
@click.option(
    "--compare",
    "side_by_side",
    is_flag=True,
    help="one table: what differs in how they were made, metrics, seconds, size; best first",
)
def runs(which: tuple[str, ...], prune: bool, yes: bool, side_by_side: bool) -> None:
    """List the runs: their state and what they cost here and on Drive.

    RUN, a name or key, lists only these.
    """
    from ..runs import catalog

    if side_by_side:
        from ..runs.compare import compare

        click.echo(plain(compare(*which)))
        return
    if yes and not prune:
        raise click.UsageError("--yes goes with --prune.")
    listing = catalog.look()
    selected = [run for run in listing.runs if not which or names(run) & set(which)]
    if selected:
        rows = [HEADINGS, *map(row, selected)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for line in rows:
            cells = [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)]
            click.echo(in_line("  ".join(cells).rstrip()))
    uncopied = [in_line(f"{run.name}-{run.key}") for run in selected if listing.uncopied(run)]
    if uncopied:
        click.echo(
            f"On this disk alone so far: {', '.join(uncopied)}; copies go to Drive half a minute "
            "after a run's start, then every five minutes, and at its end."
        )
    for drive in listing.silent:
        text = f"Drive does not answer ({drive}): what lies there is not listed."
        click.echo(f"{text} kit.mount() mounts it again.", err=True)
    unknown = [name for name in which if not any(name in names(run) for run in selected)]
    if unknown:
        nothing = "; nothing is deleted" if prune else ""
        raise click.ClickException(plain(f"No run is called {' or '.join(unknown)}{nothing}."))
    if not selected:
        click.echo("No runs are here.")
    for run in selected if prune else ():
        delete(run, yes)


def names(run: StoredRun) -> set[str]:
    """What a run may be called."""
    return {run.name, run.key, f"{run.name}-{run.key}"}


def delete(run: StoredRun, yes: bool) -> None:
    """Delete a run, if it is not running and the answer is yes."""
    from ..runs import catalog

    sizes = f"{size(run.size)} here, {size(run.copy_size)} on Drive"
    what = in_line(f"{run.name}-{run.key} ({run.status}): {sizes}")
    if run.status == "running":
        click.echo(f"kept: {what}")
    elif yes or confirm(f"Delete {what}?"):
        catalog.delete(run)
        click.echo(f"deleted: {what}")


def confirm(question: str) -> bool:
    """Ask; where nobody can answer, say which flag does."""
    try:
        return click.confirm(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        flag = "--yes with --prune deletes all that are listed without asking."
        raise click.ClickException(f"nobody can answer here; {flag}") from None


def row(run: StoredRun) -> tuple[str, ...]:
    """A run as a line of the list."""
    epochs = "/".join("?" if count is None else str(count) for count in (run.epochs, run.total))
    touched = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.touched))
    sizes = size(run.size), size(run.copy_size)
    return run.name, run.key, run.status, epochs, run.best, *sizes, touched


def size(count: int) -> str:
    """Bytes for people: 3.1 MB; a dash for none."""
    if not count:
        return "-"
    power = min(4, (len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.{min(power, 1)}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
