"""The pytest plugin: a Drive that fails on cue, Colab's modules, a file server, pictures. A start that uses none of it pays for none.

Only pytest is imported at the top; each fixture brings what it hands out when a test asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ..colab.drive import Drive
    from .drives import FuseDrive
    from .ears import Heard
    from .fake_colab import StandIn
    from .faults import Faults
    from .server import FileServer


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "colab(**options): how fake_colab pretends: options of colab_kit.testing.fake_colab.StandIn",
    )
    config.addinivalue_line(
        "markers",
        "fuse(**options): how fuse_drive behaves: delay, capacity, latency of colab_kit.testing.fuse.mount.FuseBody",
    )


def _options(request: pytest.FixtureRequest, marker: str, made: type) -> dict[str, Any]:
    """What the test's mark asks for; a word that `made` does not know fails the test in plain words."""
    from .spelling import misspelt

    found = request.node.get_closest_marker(marker)
    if found is not None and (
        why := misspelt(made, found.args, found.kwargs, mine=("self", "body", "store"))
    ):
        pytest.fail(f"@pytest.mark.{marker}: {why}", pytrace=False)
    return dict(found.kwargs) if found else {}


@pytest.fixture
def colab_kit_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A COLAB_KIT_HOME of the test's own, and no Drive mounted; both are as before when the test ends."""
    from .drives import no_drive_yet

    home = tmp_path_factory.mktemp("home") / "kit"
    with pytest.MonkeyPatch.context() as patch, no_drive_yet():
        patch.setenv("COLAB_KIT_HOME", str(home))
        yield home


@pytest.fixture
def mock_drive(colab_kit_home: Path) -> Iterator[Drive]:
    """An empty Drive: a folder in Drive's place, which `kit.mount()` gives to the code under test as well."""
    from ..colab.mounting import mount
    from .drives import only_a_stand_in

    with only_a_stand_in():
        yield mount(quiet=True)


@pytest.fixture
def fuse_drive(
    request: pytest.FixtureRequest, colab_kit_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FuseDrive]:
    """A Drive on a real mount, which can be killed; `kit.mount()` gives it to the code under test. Skips where FUSE is missing."""
    from .fuse.mount import FuseBody, why_not

    options = _options(request, "fuse", FuseBody)
    if why := why_not():
        pytest.skip(f"no FUSE mount here: {why}")
    from ..colab.mounting import mount
    from .drives import fuse_mounted, no_long_waits, only_a_stand_in

    with (
        only_a_stand_in(),
        no_long_waits(),
        fuse_mounted(tmp_path_factory.mktemp("fuse"), **options) as drive,
    ):
        mount(quiet=True)
        yield drive


@pytest.fixture
def fake_colab(
    request: pytest.FixtureRequest, colab_kit_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StandIn]:
    """`google.colab` to import, with a Drive for /content/drive, in the folder /content as on Colab.

    `@pytest.mark.colab(as_colab=True, secrets={…})` says how: options of colab_kit.testing.fake_colab.StandIn.
    """
    from .disguise import folder
    from .drives import left_empty
    from .ears import Waits
    from .fake_colab import StandIn

    given = _options(request, "colab", StandIn)
    options = {
        "content": tmp_path_factory.mktemp("content"),
        "secrets": {},
        "sleep": Waits(),
        **given,
    }
    if "fuse_drive" in request.fixturenames:
        options["body"] = request.getfixturevalue("fuse_drive").body
    with left_empty(options["content"]), StandIn(**options) as colab, folder(str(colab.content)):
        yield colab


@pytest.fixture
def drive_faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """The plan of failures of the test's Drive: of fuse_drive or fake_colab where the test has one of them, else of mock_drive."""
    from .drives import no_long_waits
    from .faults import Faults
    from .intercept import Reach

    asked = set(request.fixturenames)
    with no_long_waits():
        if "fuse_drive" in asked:
            faults = request.getfixturevalue("fuse_drive").faults
            faults.mounts = "fake_colab" in asked
            yield faults
        elif "fake_colab" in asked and "mock_drive" not in asked:
            yield request.getfixturevalue(
                "fake_colab"
            ).faults  # it lets files meet them itself, wherever it mounts
        else:
            faults = (
                request.getfixturevalue("fake_colab").faults
                if "fake_colab" in asked
                else Faults(mounts=False)
            )
            with Reach(request.getfixturevalue("mock_drive").mountpoint, faults):
                yield faults


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    """A file server on this machine: `put` bytes under a name, plan its failures, count its requests."""
    from .server import FileServer

    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def tiny_images(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make folders of class folders with small pictures: `tiny_images()`, `tiny_images(["cat", "dog"], each=8, size=(32, 32))`."""
    from .pictures import class_folders
    from .spelling import spelt

    def tiny_images(
        classes: Sequence[str] = ("cat", "dog"),
        each: int = 4,
        ending: str = ".png",
        size: tuple[int, int] = (12, 10),
    ) -> Path:
        """Make a folder of class folders, cat/0.png …, with `each` pictures in each of them; `size` is width and height, pixels."""
        if isinstance(classes, (str, int)) or not all(isinstance(name, str) for name in classes):
            raise TypeError(
                f"tiny_images({classes!r}): the classes are a list of names, as in tiny_images(['cat', 'dog'], each=3)."
            )
        return class_folders(tmp_path_factory.mktemp("pictures"), classes, each, ending, size)

    return spelt(tiny_images)


@pytest.fixture
def heard() -> Heard:
    """A callback that keeps what it hears: `.events`, `.notes`, `.text`, `.of(EpochDone)`."""
    from .ears import Heard

    return Heard()
