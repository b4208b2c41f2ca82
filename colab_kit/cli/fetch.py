"""`colab-kit fetch`: links to files from a shell, with wget's flags and exit statuses, and one line at the end that says what came."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
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
)
from ..events import Event, FetchDone
from ..system.console import Console

if TYPE_CHECKING:
    from ..fetching.fetched import Fetched

STATUS = (  # as wget's
    (LinkError, 2), (Stopped, 130), ((NoSpace, RunError), 3), (Offline, 4), (Private, 6), ((NotFound, RateLimited, QuotaExceeded), 8),
)  # fmt: skip


@dataclass(frozen=True)
class Came:
    """What a command line fetched.

    status : the exit status    quiet : whether standard output is for nothing else
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
@click.option(
    "-c", "--continue", is_flag=True, expose_value=False, hidden=True
)  # wget's: it always goes on
def fetch(
    urls: tuple[str, ...],
    file: str | None,
    folder: str | None,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> Came:
    """Fetch the file that each URL means: a page of GitHub, a Drive share link, a plain address … Archives are unpacked.

    Exit status: 0 all came, 2 a link that cannot mean a file, 3 the disk, 4 no network, 6 not public, 8 the server has it not or is
    busy, 130 interrupted, 1 anything else.
    """
    if len(urls) > 1 and (file or given["sha256"] or given["mirrors"]):
        raise click.UsageError("-O, --sha256 and --mirror go with one URL.")
    if file and folder:
        raise click.UsageError("-O names the file, -P the folder: give one of them.")
    if file == "-":
        raise click.UsageError(
            "What comes is looked at before it is given, so it cannot go to standard output: name a file."
        )
    to = Path(file) if file else None if folder is None else f"{folder.rstrip('/')}/"
    from ..fetching.fetch import fetch_as

    began, came, worst = time.monotonic(), list[Any](), 0
    for url in urls:
        try:
            found = fetch_as(
                url,
                to,
                True if file else None,
                callbacks=None if quiet else [_calm(Console(sys.stderr if as_json else None))],
                quiet=True,
                **given,
            )
            came.append(found)
            line = {
                "url": url.partition("?")[0],
                "path": str(found.path),
                "sha256": found.sha256,
                "size": found.size,
                "cached": found.cached,
            }
        except ColabKitError as err:
            status = next((number for kinds, number in STATUS if isinstance(err, kinds)), 1)
            worst = max(worst, status)
            click.echo(f"{err}" if len(urls) == 1 else f"{url.partition('?')[0]}: {err}", err=True)
            line = {
                "url": url.partition("?")[0],
                "error": type(err).__name__,
                "what": err.what,
                "why": err.why,
                "fix": err.fix,
            }
        if as_json:
            click.echo(json.dumps(line))
    if not (quiet or as_json):
        click.echo(summary(came, len(urls), time.monotonic() - began))
    return Came(worst, tuple(came), quiet or as_json)


def _calm(console: Console) -> Callable[[Event], None]:
    """The console, without its last word on each file: the summary says it."""

    def told(event: Event) -> None:
        if isinstance(event, FetchDone):
            console.close_bar()
        else:
            console(event)

    return told


def summary(came: list[Fetched], of: int, seconds: float) -> str:
    """One line: what came, how large it is, how long it took, where it is."""
    size = sum(found.size for found in came if not found.cached)
    took = f"{size / 1e6:,.1f} MB in {seconds:.1f} s"
    if of > 1:
        return f"{len(came)} of {of} fetched, {took}"
    if not came:
        return "nothing was fetched"
    [found] = came
    sha = f", sha256 {found.sha256}" if found.sha256 else ""
    return f"{found.path} {'was there already' if found.cached else f'fetched, {took}'}{sha}"
