"""`colab-kit fetch`: links to files from a shell, with wget's flags and exit statuses.

One line at the end says what came.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import (
    ColabKitError,
    LinkError,
    NoSpace,
    NotFound,
    Offline,
    Private,
    QuotaExceeded,
    RateLimited,
    RunError,
    Stopped,
    plain,
)
from ..events import Event, FetchDone
from ..system.console import Console

if TYPE_CHECKING:
    from ..fetching.fetched import Fetched

STATUS: dict[type[ColabKitError], int] = {  # as wget's; the first that fits counts
    LinkError: 2, Stopped: 130, NoSpace: 3, RunError: 3, Offline: 4, Private: 6,
    NotFound: 8, RateLimited: 8, QuotaExceeded: 8,
}  # fmt: skip


@dataclass(frozen=True)
class FetchResult:
    """What a command line fetched.

    status : the exit status
    quiet : whether standard output is for nothing else
    """

    status: int
    files: tuple[Fetched, ...]
    quiet: bool = False


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option(
    "-O",
    "--output-document",
    "file",
    metavar="FILE",
    help="the file's name; it is then not unpacked unless --extract",
)
@click.option(
    "-P",
    "--directory-prefix",
    "folder",
    metavar="DIR",
    help="the folder that takes what comes [the working folder]",
)
@click.option("--sha256", metavar="HEX", help="of the file: 64 hex digits, or the first 8 or more")
@click.option(
    "--extract/--no-extract",
    default=None,
    help="unpack archives [yes, but not where -O names the file]",
)
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="URL",
    help="asked where the first does not give it; may be said again",
)
@click.option("--overwrite", is_flag=True, help="replace another file or folder of that name")
@click.option(
    "--keep-archive/--no-keep-archive",
    default=None,
    help="keep the archive too [on a mounted Drive, if it is not too large]",
)
@click.option(
    "--max-size",
    type=click.IntRange(1),
    metavar="BYTES",
    help="neither the file nor what is unpacked may be larger",
)
@click.option("--offline", is_flag=True, default=None, help="ask no server: give what is here")
@click.option("--force", is_flag=True, help="unpack thousands of files onto Drive all the same")
@click.option("-q", "--quiet", is_flag=True, help="say nothing but what failed")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="print a line of JSON for each URL; all else goes to standard error",
)
# wget's: a download always continues
@click.option("-c", "--continue", is_flag=True, expose_value=False, hidden=True)
def fetch(
    urls: tuple[str, ...],
    file: str | None,
    folder: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> FetchResult:
    """Fetch the file that each URL means: a page of GitHub, a Drive share link, a plain address …

    Archives are unpacked. Exit status: 0 all came, 2 a link that cannot mean a file, 3 the disk, 4
    no network, 6 not public, 8 the server has it not or is busy, 130 interrupted, 1 anything else.
    """
    if len(urls) > 1 and (file or options["sha256"] or options["mirrors"]):
        raise click.UsageError("-O, --sha256 and --mirror go with one URL.")
    if file and folder:
        raise click.UsageError("-O names the file, -P the folder: give one of them.")
    if file == "-":
        why = "The file is looked at before it is given, so it cannot go to standard output"
        raise click.UsageError(f"{why}: name a file.")
    from ..fetching.fetch import fetch_as

    to: Path | str | None = None
    if file:
        to = Path(file)
    elif folder is not None:
        to = f"{folder.rstrip('/')}/"
    callbacks = None
    if not quiet:
        callbacks = [Lines(sys.stderr if as_json else None)]
    began, worst = time.monotonic(), 0
    files: list[Fetched] = []
    for url in urls:
        line: dict[str, Any] = {"url": url.partition("?")[0]}
        try:
            got = fetch_as(
                url, to, True if file else None, callbacks=callbacks, quiet=True, **options
            )
            files.append(got)
            line |= {"path": str(got.path), "sha256": got.sha256}
            line |= {"size": got.size, "cached": got.cached}
        except ColabKitError as err:
            worst = max(worst, next((n for kind, n in STATUS.items() if isinstance(err, kind)), 1))
            click.echo(plain(err if len(urls) == 1 else f"{line['url']}: {err}"), err=True)
            line |= {"error": type(err).__name__, "what": err.what, "why": err.why, "fix": err.fix}
        if as_json:
            click.echo(json.dumps(line))
    if not (quiet or as_json):
        click.echo(summary(files, len(urls), time.monotonic() - began))
    return FetchResult(worst, tuple(files), quiet or as_json)


class Lines(Console):
    """The console without its last word on each file: the summary says it."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, FetchDone):
            self.close_bar()
        else:
            super().__call__(event)


def summary(files: list[Fetched], of: int, seconds: float) -> str:
    """One line: what came, how large it is, how long it took, where it is."""
    size = sum(file.size for file in files if not file.cached)
    took = f"{size / 1e6:,.1f} MB in {seconds:.1f} s"
    if of > 1:
        return f"{len(files)} of {of} fetched, {took}"
    if not files:
        return "nothing was fetched"
    [file] = files
    how = "was there already" if file.cached else f"fetched, {took}"
    return f"{file.path} {how}" + (f", sha256 {file.sha256}" if file.sha256 else "")
