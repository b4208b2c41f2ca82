"""The pytest plugin: a Drive that fails as planned, google.colab, a file server, pictures.

Only pytest is imported at the top: each fixture imports what it gives when a test asks for it, so
a start that uses none of them costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ..colab.drive import Drive
    from .fake_colab import StandIn
    from .faults import Faults
    from .fixtures import Heard
    from .fuse.mount import FuseBody
    from .server import FileServer

OURS = ("self", "body", "store", "mounts")  # options that a mark does not take
MARKERS = (
    "colab(**options): how fake_colab pretends: options of colab_kit.testing.fake_colab.StandIn",
    "fuse(**options): how fuse_drive behaves: delay=, capacity=, latency= of"
    " colab_kit.testing.fuse.mount.FuseBody",
)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def _options(request: pytest.FixtureRequest, marker: str, target: type) -> dict[str, Any]:
    """The options that the test's mark gives; one that `target` does not know fails the test."""
    from .fixtures import misspelt

    mark = request.node.get_closest_marker(marker)
    if mark is None:
        return {}
    if why := misspelt(target, mark.args, mark.kwargs, mine=OURS):
        pytest.fail(f"@pytest.mark.{marker}: {why}", pytrace=False)
    return dict(mark.kwargs)


@pytest.fixture
def colab_kit_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A COLAB_KIT_HOME of the test's own, and no Drive mounted; afterwards both are as before."""
    from .fixtures import no_drive_yet

    home = tmp_path_factory.mktemp("home") / "kit"
    with pytest.MonkeyPatch.context() as patch, no_drive_yet():
        patch.setenv("COLAB_KIT_HOME", str(home))
        yield home


@pytest.fixture
def mock_drive(colab_kit_home: Path) -> Iterator[Drive]:
    """An empty Drive that is a folder; `kit.mount()` gives it to the code under test as well."""
    from ..colab.mounting import mount
    from .fixtures import only_a_stand_in

    with only_a_stand_in():
        yield mount(quiet=True)


@pytest.fixture
def fuse_drive(
    request: pytest.FixtureRequest, colab_kit_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FuseBody]:
    """A Drive on a real mount, which can be killed; `kit.mount()` gives it to the code under test.

    The test is skipped where FUSE is missing.
    """
    from .fuse.cloud import why_not
    from .fuse.mount import FuseBody

    options = _options(request, "fuse", FuseBody)
    if why := why_not():
        pytest.skip(f"no FUSE mount here: {why}")
    from ..colab.mounting import mount
    from .fixtures import fuse_mounted, no_long_waits, only_a_stand_in

    folder, mounts = tmp_path_factory.mktemp("fuse"), "fake_colab" in request.fixturenames
    with only_a_stand_in(), no_long_waits(), fuse_mounted(folder, mounts=mounts, **options) as body:
        mount(quiet=True)
        yield body


@pytest.fixture
def fake_colab(
    request: pytest.FixtureRequest, colab_kit_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StandIn]:
    """`google.colab` to import, a Drive for /content/drive; the test works in the folder /content.

    `@pytest.mark.colab(as_colab=True, secrets={…})` says how: options of
    colab_kit.testing.fake_colab.StandIn.
    """
    from contextlib import chdir

    from .fake_colab import StandIn
    from .fixtures import Waits, left_empty

    options: dict[str, Any] = {
        "content": tmp_path_factory.mktemp("content"),
        "secrets": {},
        "sleep": Waits(),
    }
    options |= _options(request, "colab", StandIn)
    if "fuse_drive" in request.fixturenames:
        options["body"] = request.getfixturevalue("fuse_drive")
    with left_empty(options["content"]), StandIn(**options) as colab, chdir(colab.content):
        yield colab


@pytest.fixture
def drive_faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """The plan of failures of the test's Drive.

    That is fuse_drive, or fake_colab's, where the test has one of them; else mock_drive.
    """
    from .faults import Faults
    from .fixtures import no_long_waits
    from .intercept import Reach

    names, value = request.fixturenames, request.getfixturevalue
    with no_long_waits():
        if "fuse_drive" in names:
            yield value("fuse_drive").faults
        elif "fake_colab" in names and "mock_drive" not in names:
            yield value("fake_colab").faults  # it watches the files itself, wherever it mounts
        else:
            plan = value("fake_colab").faults if "fake_colab" in names else Faults(mounts=False)
            with Reach(value("mock_drive").mountpoint, plan):
                yield plan


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    """A file server on this machine: `put` bytes under a name, plan failures, count requests."""
    from .server import FileServer

    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def tiny_images(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make folders of class folders with small pictures: `tiny_images(["cat", "dog"], each=8)`."""
    from .fixtures import class_folders, spelt

    def tiny_images(
        classes: Sequence[str] = ("cat", "dog"),
        each: int = 4,
        ending: str = ".png",
        size: tuple[int, int] = (12, 10),
    ) -> Path:
        """Make a folder of class folders, cat/0.png and so on, with `each` pictures in each.

        size : width and height, pixels
        """
        if isinstance(classes, (str, int)) or not all(isinstance(name, str) for name in classes):
            raise TypeError(
                f"tiny_images({classes!r}): the classes are a list of names,"
                " as in tiny_images(['cat', 'dog'], each=3)."
            )
        return class_folders(tmp_path_factory.mktemp("pictures"), classes, each, ending, size)

    return spelt(tiny_images)


@pytest.fixture
def heard() -> Heard:
    """A callback that keeps each event: `.events`, `.notes`, `.text`, `.of(EpochDone)`."""
    from .fixtures import Heard

    return Heard()
