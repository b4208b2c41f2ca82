"""What mount() decides on a described site, and the arguments that cannot be meant."""

from pathlib import Path

import pytest

from colab_kit.colab.mount_plan import MountRequest, Plan, View, decide
from colab_kit.errors import DriveError

from ..support.worlds import World

OFFLINE = ("python", "jupyter", "vscode", "ipython", "kaggle")
THERE = Path("/content/drive")
USUAL = MountRequest()


@pytest.fixture
def home(own_home) -> Path:
    return own_home / "kit"


# --- what mount() decides ---


@pytest.mark.parametrize(
    ("seen", "mock", "step"),
    [
        (View("colab"), None, "real"),
        (View("colab"), False, "real"),
        (View("colab"), True, "mock"),
        (View("colab", healthy=THERE), None, "reuse"),
        (View("colab", healthy=THERE), True, "mock"),
        (View("colab", silent=THERE), None, "folder"),
        (View("colab", silent=THERE), False, "refuse"),
        (View("colab", client="cli"), None, "folder"),
        (View("colab", client="cli"), False, "refuse"),
        (View("colab", healthy=THERE, client="cli"), None, "reuse"),
        (View("colab", page=False), None, "real"),
        (View("colab-subprocess"), None, "folder"),
        (View("colab-subprocess"), False, "refuse"),
        (View("colab-subprocess", healthy=THERE), None, "reuse"),
        (View("colab-enterprise"), None, "folder"),
        (View("colab-enterprise"), False, "refuse"),
        (View("colab-enterprise"), True, "mock"),
        *((View(where), None, "mock") for where in OFFLINE),
        *((View(where), False, "refuse") for where in OFFLINE),
        (View("jupyter", healthy=THERE), False, "reuse"),
    ],
)
def test_what_mount_does_follows_from_what_it_sees(seen, mock, step):
    plan = decide(seen, MountRequest(mock=mock))
    assert plan.step == step and str(plan).startswith(f"{step}: ") and plan.why
    assert bool(plan.attempts) == (step == "real") and (
        plan.fix or step not in ("folder", "refuse")
    )


def test_what_must_be_had_is_refused_where_a_folder_would_do():
    for seen in (
        View("colab-subprocess"),
        View("colab-enterprise"),
        View("colab", client="cli"),
        View("colab", silent=THERE),
    ):
        assert (decide(seen, USUAL).step, decide(seen, MountRequest(required=True)).step) == (
            "folder",
            "refuse",
        )
    assert decide(View("python"), MountRequest(required=True)).step == "mock"


def test_silence_does_not_forbid_mounting_but_one_try_must_do():
    assert decide(View("colab", page=False), MountRequest(retries=3)) == Plan(
        "real",
        "nobody seems to listen for the question for consent (VS Code and `colab run` show none)",
        attempts=1,
        doubt=True,
    )
    for page in (True, None):
        assert (
            decide(View("colab", page=page), MountRequest(retries=3)).attempts,
            decide(View("colab", page=page), USUAL).doubt,
        ) == (4, False)


# --- what cannot be meant ---


@pytest.mark.parametrize("where", ["colab", "python"])
@pytest.mark.parametrize("point", ["", " ", "/", "/content/my drive", 3, b"/content/drive"])
def test_a_mountpoint_that_cannot_be_is_refused_everywhere_before_anything_is_made(
    home, where, point
):
    with pytest.raises(DriveError, match="mountpoint=") as raised:
        World(where).mount(point)
    assert raised.value.why and raised.value.fix and not home.exists()


def test_a_relative_mountpoint_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert World("colab").mount("drive").mountpoint == tmp_path / "drive"


@pytest.mark.parametrize(
    "asked",
    [
        {"mock": "yes"},
        {"mock": 1},
        {"required": None},
        {"readonly": "no"},
        {"retries": "3"},
        {"timeout": True},
    ],
)
def test_an_argument_of_the_wrong_kind_is_named(tmp_path, home, asked):
    with pytest.raises(DriveError, match=f"{next(iter(asked))}=") as raised:
        World("python").mount(tmp_path / "drive", **asked)
    assert raised.value.why and raised.value.fix and not home.exists()


def test_the_note_on_a_stand_in_that_was_asked_for_is_a_sentence(tmp_path):
    world = World("colab")
    world.mount(tmp_path / "drive", mock=True)
    assert world.said.startswith("Drive: mock=True was given, so files are saved to ")
