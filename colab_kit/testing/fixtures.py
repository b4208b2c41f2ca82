"""What the fixtures are made of: a callback that remembers, small pictures, Drives for one test."""

from __future__ import annotations

import difflib
import functools
import inspect
import os
import random
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from unittest.mock import patch

from ..colab import drive as colab_drive
from ..colab import mirror, mounting
from ..colab.health import pretence, stand_in_root
from ..errors import DriveError
from ..events import Event, Note

if TYPE_CHECKING:
    from .faults import Faults
    from .fuse.mount import FuseBody

E = TypeVar("E", bound=Event)
P = ParamSpec("P")
T = TypeVar("T")
FOR_EVER, A_MINUTE = 10.0, 2.0  # seconds that they last in a test, for who waits for a copier


class Heard:
    """A callback that keeps each event: `kit.train(..., callbacks=[heard], quiet=True)`.

    Examples
    --------
    >>> heard = Heard()
    >>> heard(Note("Drive is full."))
    >>> heard.text, len(heard.of(Note))
    ('Drive is full.', 1)
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in the order they came."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def notes(self) -> list[Note]:
        return self.of(Note)

    @property
    def text(self) -> str:
        """The texts of all notes, below each other."""
        return "\n".join(note.text for note in self.notes)


class Waits(list[float]):
    """A sleep that counts and does not wait."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


# small pictures
def picture(
    path: Path,
    seed: int = 0,
    size: tuple[int, int] = (12, 10),
    colour: tuple[int, ...] | None = None,
) -> Path:
    """Write a picture of keyed noise, the same on every machine, in the format of its ending.

    Over a colour the noise is faint, so that a network can tell the colour.

    size : width and height, pixels
    colour : red, green, blue, 0 to 255
    """
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * size[0] * size[1]))
    if colour is not None:
        image = Image.blend(Image.new("RGB", size, colour), image, 0.25)
    image.save(path)
    return path


def class_folders(
    root: Path,
    classes: Iterable[str] = ("cat", "dog"),
    each: int = 4,
    ending: str = ".png",
    size: tuple[int, int] = (12, 10),
) -> Path:
    """Make a folder of class folders, cat/0.png and so on, each class in a colour of its own."""
    for c, name in enumerate(classes):
        colour = tuple(random.Random(f"colour {c}").randbytes(3))
        for n in range(each):
            picture(root / name / f"{n}{ending}", 1000 * c + n, size, colour)
    return root


# options with a wrong name
def misspelt(
    call: Callable[..., Any],
    args: Sequence[Any],
    options: Mapping[str, Any],
    *,
    mine: Collection[str] = (),
) -> str | None:
    """What is wrong with the names of these options, in a sentence; None if nothing is.

    mine : parameters of `call` that users do not give
    """
    names = [name for name in inspect.signature(call).parameters if name not in mine]
    if args and mine:
        return f"options have names, such as {names[0]}=…; {args[0]!r} has none"
    for name in options:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.5)
            hint = f"did you mean {near[0]}=?" if near else f"there are {', '.join(names)}"
            return f"there is no option {name}=: {hint}"
    return None


def spelt(call: Callable[P, T]) -> Callable[P, T]:
    """The same function; a misspelt argument is a TypeError in plain words."""

    @functools.wraps(call)
    def checked(*args: P.args, **options: P.kwargs) -> T:
        if why := misspelt(call, args, options):
            raise TypeError(f"{call.__name__}(): {why}")
        return call(*args, **options)

    return checked


# Drives
@contextmanager
def fuse_mounted(folder: Path, **options: Any) -> Iterator[FuseBody]:
    """A FUSE mount at folder/drive as the stand-in of this COLAB_KIT_HOME; gone at the end."""
    from .fuse.mount import FuseBody

    body, mark = FuseBody(folder / "store", **options), stand_in_root() / ".mounted"
    try:
        body.mount(folder / "drive")
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(str(body.mounted_at()), encoding="utf-8")  # kit.mount() looks here
        yield body
    finally:
        mark.unlink(missing_ok=True)
        try:
            body.drop()  # first: nobody waits for a daemon that a test has slowed
        finally:
            body.close()


@contextmanager
def left_empty(content: str | os.PathLike[str]) -> Iterator[None]:
    """Delete at the end what was made in `content`, if there was no such folder before.

    A Drive that is still mounted in it stays.
    """
    is_new = not os.path.lexists(content)
    yield
    if is_new and not any(os.path.ismount(path) for path in Path(content).glob("*")):
        shutil.rmtree(content, ignore_errors=True)


@contextmanager
def no_drive_yet() -> Iterator[None]:
    """Let this process have no Drive but those that it mounts in the block.

    Afterwards it has the Drive it had, and no copier of the test's.
    """
    session = colab_drive.session
    drive, left, shelves = session.current, session.left, set(session.shelves)
    session.reset()
    try:
        yield
    finally:
        session.reset(drive, left)
        for shelf in set(session.shelves) - shelves:
            shelf.forget()  # its Drive is gone: the process's end must not wait for the copies
            shelf.close(FOR_EVER)
            session.shelves.discard(shelf)


@contextmanager
def failing(drive: colab_drive.Drive) -> Iterator[Faults]:
    """Let the mock Drive's files fail in the block, as planned on the Faults that it gives.

    Our copier tries again at once.

    Raises
    ------
    DriveError
        It is a real Drive: nothing of ours makes that fail.

    Examples
    --------
    >>> with failing(kit.mount()) as faults:  # doctest: +SKIP
    ...     full = faults.full(after_bytes=10_000)
    ...     run = kit.train(net, data)
    >>> full.fired  # doctest: +SKIP
    12
    """
    if drive.real:
        raise DriveError(
            "This is your own Drive.",
            "failures are for the mock Drive alone",
            "kit.mount(mock=True) gives one",
        )
    from .faults import Faults
    from .intercept import Reach

    faults = Faults(mounts=False)
    with no_long_waits(), Reach(drive.mountpoint, faults):
        yield faults


@contextmanager
def no_long_waits() -> Iterator[None]:
    """Let our copier try again at once, and nobody wait a minute for it.

    What a test has planned does not pass by itself.
    """
    close = mirror.Mirror.close

    def close_soon(
        self: mirror.Mirror,
        timeout: float | None = None,
        emit: Callable[[Event], None] | None = None,
    ) -> bool:
        if timeout is None:
            timeout = FOR_EVER
        elif timeout >= 60:
            timeout = A_MINUTE
        return close(self, timeout, emit)

    waits = patch.multiple(mirror, FIRST_WAIT=0.02, LONGEST_WAIT=0.1)
    with waits, patch.object(mirror.Mirror, "close", close_soon):
        yield


@contextmanager
def only_a_stand_in() -> Iterator[None]:
    """Let kit.mount() see no Drive but the mock's, not even on a Colab machine.

    A pretended google.colab still counts.
    """
    real_here = mounting.Site.here

    def here() -> mounting.Site:
        if pretence.colab is None:
            return mounting.Site("a test", table=str)
        site = real_here()
        if site.hosted:
            return site
        return mounting.Site("a test")  # its table has no other Drive than the pretended one

    with patch.object(mounting.Site, "here", here):
        yield
