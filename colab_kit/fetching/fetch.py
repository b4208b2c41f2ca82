"""fetch(): any link becomes the right file, or the folder that was packed in it; what is there already is not fetched again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..colab.bridge import secret
from ..colab.mounting import absent
from ..errors import ColabKitError, FetchError, LinkError, RunError, new_words
from ..events import Callback, Control, Note
from ..system.console import with_console
from ..system.files import home, make
from ..system.http import Web
from . import called, local, ondrive, several
from .aims import Aim, aim
from .call import Call
from .fetched import Fetched
from .gdrive import IsFolder
from .links.address import told
from .links.parse import understand
from .packed import Packed
from .partial import unwritable
from .way import Way, one_at_a_time
from .whole import checked_hashes


@new_words
def fetch(
    url: str | os.PathLike[str],
    to: str | os.PathLike[str] | None = None,
    *,
    sha256: str | None = None,
    extract: bool | None = None,
    mirrors: Sequence[str] = (),
    overwrite: bool = False,
    keep_archive: bool | None = None,
    max_size: int | None = None,
    token: str | None = None,
    offline: bool | None = None,
    force: bool = False,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    control: Control | None = None,
) -> Fetched:
    """Fetch the file that a link means; an archive is unpacked.

    Any link will do: a GitHub, GitLab or Hugging Face page of a file, a Drive share link, a Dropbox or Kaggle page, a plain address, a
    local path. The file is looked at before it gets its name: a web page is never saved as a zip. A stopped or killed call is gone
    on from, never with another version's bytes. The second call finds what is there and asks the server only whether it has changed.

    Parameters
    ----------
    to : path, optional
        The folder that takes it, if it is one, ends in a slash, or has no suffix; else the file's name, which is then not unpacked
        unless extract=True. None: the working folder. `pets.zip` is unpacked to `pets` in that folder.
    sha256 : str, optional
        64 hex digits, or the first 8 or more. With it, a file that is there needs no request.
    extract : bool, optional
        None: zip, tar (also gz, bz2, xz), 7z and rar are unpacked. True: also .gz, .bz2, .xz of a single file. False: nothing.
    mirrors : links
        Asked in turn where the first does not give it. They never see the token.
    overwrite : bool
        Replace another file or folder of that name; without it that is an error.
    keep_archive : bool, optional
        None: with a Drive mounted, copied there in the background if it has at most 2 GiB and takes at most a third of what is free
        there; else not kept. True: kept, on a mounted Drive or beside the folder. False: not kept.
    max_size : int, optional
        Bytes that neither the file nor what is unpacked may exceed. An archive that unpacks to over 1 GiB and 200 times its own size
        needs it.
    token : str, optional
        For a file that is not public; sent to the link's own host alone. None: where that is asked for, what `kit.secret` knows
        as HF_TOKEN, GITHUB_TOKEN, GITLAB_TOKEN, KAGGLE_USERNAME and KAGGLE_KEY.
    offline : bool, optional
        Ask no server: give what is there. None: if the environment variable COLAB_KIT_OFFLINE is set to 1.
    force : bool
        Unpack more than 1,000 files onto Drive all the same.
    callbacks : list of callables, optional
        They are given each event, as the console is.
    quiet : bool
        Whether the console says nothing.
    control : Control, optional
        To pause or stop it from another thread; what has come stays for the next call.

    Raises
    ------
    LinkError
        The link, or another argument, cannot mean a file. No request was made.
    FetchError
        It did not come: NotFound, Private, GotHtml, HashMismatch, NoSpace, UnsafeArchive … (see colab_kit.errors), in three sentences.

    Examples
    --------
    >>> data = fetch("https://github.com/me/pets/blob/main/pets.zip")  # doctest: +SKIP
    >>> data / "cat"  # doctest: +SKIP
    PosixPath('pets/cat')
    """
    return fetch_as(
        url,
        to,
        None,
        sha256=sha256,
        extract=extract,
        mirrors=mirrors,
        overwrite=overwrite,
        keep_archive=keep_archive,
        max_size=max_size,
        token=token,
        offline=offline,
        force=force,
        callbacks=callbacks,
        quiet=quiet,
        control=control,
    )


def fetch_as(
    url: str | os.PathLike[str],
    to: str | os.PathLike[str] | None,
    named: bool | None,
    *,
    sha256: str | None = None,
    mirrors: Sequence[str] = (),
    max_size: int | None = None,
    token: str | None = None,
    offline: bool | None = None,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    control: Control | None = None,
    find: Callable[[str], str | None] = secret,
    sleep: Callable[[float], object] | None = None,
    **how: Any,
) -> Fetched:
    """fetch(), told whether `to` names the file (None: judged by its look), where secrets are found, and how to wait."""
    for name, value in (("to", to), ("token", token)):
        told(name, value)
    if isinstance(mirrors, str | os.PathLike) or not isinstance(mirrors, Iterable):
        raise LinkError(
            "mirrors= takes a list of links.",
            f"a {type(mirrors).__name__} was given",
            "mirrors=[link, link]",
        )
    if max_size is not None and (
        isinstance(max_size, bool) or not isinstance(max_size, int) or max_size <= 0
    ):
        raise LinkError(
            f"max_size={max_size!r} is no number of bytes.",
            "it is a positive whole number",
            "max_size=5 * 2**30 is 5 GiB",
        )
    links = [understand(url), *map(understand, mirrors)]
    emit = with_console(callbacks, quiet=quiet)
    offline = (
        os.environ.get("COLAB_KIT_OFFLINE", "") not in ("", "0") if offline is None else offline
    )
    for note in (note for link in links for note in link.notes):
        emit(Note(note))
    with Web() as web:
        way = Way(
            web,
            emit,
            checked_hashes({"sha256": sha256}),
            token,
            max_size,
            control,
            find=find,
            sleep=sleep,
        )
        return run(Call(links, way, to, named, offline=offline, **how))


def run(call: Call) -> Fetched:
    """Do what was asked."""
    if call.link.kind.endswith("-folder"):
        return several.fetch_all(call.link, call.to, call.way, offline=call.offline)
    try:
        found = _aimed(call)
    except IsFolder:
        return run(replace(call, links=[replace(call.link, kind="gdrive-folder"), *call.links[1:]]))
    for path in (found.file, found.target):
        if (gone := absent(path.absolute())) is not None:
            raise FetchError(
                f"Nothing can be fetched to {path}: its Drive is not there.",
                gone[0],
                f"kit.mount() first, or give {gone[1]}",
            )
    try:
        if call.link.kind == "file" and found.unpacked is None:
            return local.use(call, found.file)
        make(found.target.parent)
        with ExitStack() as held:  # of both: whoever unpacks the file writes its part, too
            for place in sorted({found.target.absolute(), found.file.absolute()}):
                held.enter_context(one_at_a_time(place, call.way))
            return (
                call.file(found.file)
                if found.unpacked is None
                else Packed(call).folder(found, found.unpacked)
            )
    except OSError as err:
        if isinstance(err, ColabKitError) and not isinstance(err, RunError):
            raise
        raise unwritable(found.target, err) from err


def _aimed(call: Call) -> Aim:
    name = called.of(call.link, call.way, call.to, named=call.named, offline=call.offline)
    found = aim(name, call.to, call.extract, named=call.named)
    if found.unpacked is not None and call.to is None and ondrive.is_there(Path.cwd()):
        return Aim(
            home() / "fetched" / found.file.name,
            home() / "fetched" / found.unpacked.name,
            found.single,
        )  # never onto Drive unasked
    return found
