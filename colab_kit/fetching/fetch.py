"""fetch(): any link becomes the right file, or the folder that was packed in it.

parse_link(url) gives a Link; resolve() asks its server, where that decides something; plan() says
what to do; the file is brought, and gets its place. What is here already is not fetched again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..colab.bridge import secret
from ..errors import FetchError, LinkError, Stopped, new_words
from ..events import Callback, Control, FetchDone, Note
from ..system.console import with_console
from ..system.files import home, in_working_folder, make
from ..system.http import Web
from ..system.retry import Sleep
from . import place, several
from .download import checked_hashes
from .fetched import Fetched
from .gdrive import IsFolder
from .hubs import Find
from .links.address import Link, check_text
from .links.parse import parse_link
from .partial import writing
from .plan import Options, Target, plan, question, target_of
from .records import MARK, Here, Record, adopt, look
from .remote import Call, Remote, name_of, one_at_a_time, resolve
from .unpacking import Unpacker


@in_working_folder
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

    Any link will do: a GitHub, GitLab or Hugging Face page of a file, a Drive share link, a Dropbox
    or Kaggle page, a plain address, a local path. The file is checked before it gets its name: a
    web page is never saved as a zip. The next call continues a stopped or killed one, and never
    with another version's bytes. The second call uses what is there, and asks the server only
    whether it has changed.

    Parameters
    ----------
    to : path, optional
        The folder that takes the file, if it is one, ends in a slash, or has no suffix; else the
        file's name, and then it is unpacked only with extract=True. None: the working folder.
        `pets.zip` is unpacked to `pets` in that folder.
    sha256 : str, optional
        64 hex digits, or the first 8 or more. With it, a file that is there needs no request.
    extract : bool, optional
        None: zip, tar (also gz, bz2, xz), 7z and rar are unpacked. True: also .gz, .bz2, .xz of a
        single file. False: nothing.
    mirrors : links
        Asked in turn if the first link does not give the file. They never see the token.
    overwrite : bool
        Replace another file or folder of that name; without it that is an error.
    keep_archive : bool, optional
        None: with a Drive mounted, the archive is copied there in the background if it has at most
        2 GiB and takes at most a third of what is free there; else it is not kept. True: it is
        kept, on a mounted Drive or beside the folder. False: it is not kept.
    max_size : int, optional
        Bytes that neither the file nor what is unpacked may exceed. An archive that unpacks to over
        1 GiB and 200 times its own size needs it.
    token : str, optional
        For a file that is not public; sent to the link's own host alone. None: where the host asks
        for one, what `kit.secret` knows as HF_TOKEN, GITHUB_TOKEN, GITLAB_TOKEN, KAGGLE_USERNAME
        and KAGGLE_KEY.
    offline : bool, optional
        Ask no server: give what is there. None: if the environment variable COLAB_KIT_OFFLINE is 1.
    force : bool
        Unpack more than 1,000 files onto Drive all the same.
    callbacks : list of callables, optional
        They are given each event, as the console is.
    quiet : bool
        Whether the console says nothing.
    control : Control, optional
        Pauses or stops it from another thread; what has come stays for the next call.

    Raises
    ------
    LinkError
        The link, or another argument, cannot mean a file. No request was made.
    FetchError
        It did not come: NotFound, Private, GotHtml, HashMismatch, NoSpace, UnsafeArchive and others
        (see colab_kit.errors), in three sentences.

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
    find: Find = secret,
    sleep: Sleep | None = None,
    **options: Any,
) -> Fetched:
    """Do what fetch() does, with a few more choices.

    named : whether `to` names the file; None: judged by its look
    find : gives a secret by its name
    sleep : how to wait
    """
    check_text("to", to)
    check_text("token", token)
    if isinstance(mirrors, str | os.PathLike) or not isinstance(mirrors, Iterable):
        why = f"it was given a {type(mirrors).__name__}"
        raise LinkError("mirrors= takes a list of links.", why, "write mirrors=[link, link]")
    if max_size is not None and (type(max_size) is not int or max_size <= 0):
        what, why = f"max_size={max_size!r} is no number of bytes.", "it is a positive whole number"
        raise LinkError(what, why, "write max_size=5 * 2**30 for 5 GiB")
    if offline is None:
        offline = os.environ.get("COLAB_KIT_OFFLINE", "") not in ("", "0")
    link, *others = map(parse_link, [url, *mirrors])
    hashes, emit = checked_hashes({"sha256": sha256}), with_console(callbacks, quiet=quiet)
    for one in (link, *others):
        for note in one.notes:
            emit(Note(note))
    wish = Options(to, named, hashes.get("sha256", ""), mirrors=others, offline=offline, **options)
    control = control or Control()
    with Web(control=control) as web:
        return _fetch(link, wish, Call(web, emit, hashes, token, max_size, control, sleep, find))


def _fetch(link: Link, options: Options, call: Call) -> Fetched:
    """Name the file, find its place, fetch it to there."""
    if link.kind.endswith("-folder"):
        return several.fetch_all(link, options.to, call, offline=options.offline)
    try:
        name = options.file_name or name_of(link, call, offline=options.offline)
    except IsFolder:
        return _fetch(replace(link, kind="gdrive-folder"), options, call)
    target = target_of(name, options)
    if target.unpacked is not None and options.to is None and place.is_on_drive(Path.cwd()):
        # many files never go onto Drive unless that is asked for
        target = target_of(name, replace(options, to=home() / "fetched", named=False))
    for path in (target.path, target.file):
        place.check_drive(path, "fetched")
    with writing(target.path):
        return _fetch_to(target, link, options, call)


def _fetch_to(target: Target, link: Link, options: Options, call: Call) -> Fetched:
    """Fetch one file to its place; only one call at a time works there."""
    if link.kind == "file" and target.unpacked is None:
        return place.use_local(link, target.file, options)
    make(target.path.parent)
    with ExitStack() as locks:  # on both: whoever unpacks the file writes its part, too
        for path in sorted({target.path.absolute(), target.file.absolute()}):
            locks.enter_context(one_at_a_time(path, call.emit, call.control))
        shelf, copy, file = None, None, target.file
        if target.unpacked is not None:
            shelf = place.ArchiveShelf.of(link, target, options)
            copy = shelf.record() if shelf else None
        if place.is_on_drive(target.path):
            file = place.fast_place(target.path, link.identity).with_name(file.name)
        here = look(target.path, file, link, options.sha256, copy)
        remote = _ask(link, here, question(here, target, options), call)
        todo = plan(link, remote, here, target, options)
        for note in todo.notes:
            call.emit(note)
        if todo.step == "use":
            record = todo.record or adopt(here, link, remote)
            return _fetched(here.path, record, cached=True)
        if target.unpacked is None:
            record = place.bring_file([link, *options.mirrors], file, target.file, call)
        else:
            record = Unpacker(link, target, options, call, shelf).run(todo)
        call.emit(FetchDone(target.path.name, target.path, record.bytes or record.size))
        return _fetched(target.path, record, cached=False)


def _ask(link: Link, here: Here, version: str | None, call: Call) -> Remote | None:
    """Give the server's answer; None if it is not needed, or if the server gives none."""
    if version is None:
        return None
    try:
        return resolve(link, call, version)
    except Stopped:
        raise
    except FetchError as err:
        if version or here.is_mine or here.copy:
            what = f"Whether {here.path} is still the newest could not be checked"
            call.emit(Note(f"{what} ({err.why or err.what}); it is used as it is."))
    except OSError:  # a path of this machine that is gone
        pass
    return None


def _fetched(path: Path, record: Record, *, cached: bool) -> Fetched:
    """Give the result; if one folder holds all that was unpacked, it is that folder."""
    if path.is_dir():
        ours = (MARK, "__MACOSX", ".DS_Store")
        inside = [entry for entry in path.iterdir() if entry.name not in ours]
        if len(inside) == 1 and inside[0].is_dir():
            path = inside[0]
    archive = Path(record.archive) if record.archive else None
    return Fetched(path, record.url, record.sha256 or None, record.size, cached, archive)
