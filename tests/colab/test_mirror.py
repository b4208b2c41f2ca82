"""The mirror: what is pushed reaches Drive whatever happens there, without a sound from its thread."""

import errno
import os
import threading
from dataclasses import replace

import pytest

from colab_kit.colab import reading
from colab_kit.colab.mirror import FIRST_WAIT, LONGEST_WAIT, Mirror
from colab_kit.colab.reading import CALLS, WAITS
from colab_kit.colab.slots import Handover
from colab_kit.errors import DriveError
from colab_kit.events import set_milestone_hook
from colab_kit.system.files import CHUNK, is_whole
from colab_kit.training.checkpoint import name_of
from tests.support.sealed import sealed, steps

CODES = (
    errno.EIO,
    errno.ENOSPC,
    errno.ENOTCONN,
    errno.EDQUOT,
    errno.EROFS,
    errno.ENOENT,
    errno.EPERM,
)


@pytest.fixture
def drive(tmp_path):
    (tmp_path / "drive/MyDrive").mkdir(parents=True)
    return tmp_path / "drive/MyDrive"


@pytest.fixture
def local(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


class Way:
    """The way to a Drive with a gate, and faults on cue: the next takes raise what is planned."""

    def __init__(self, drive):
        self.over, self.faults, self.taken, self.tried = Handover(drive), [], [], 0
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()

    def __call__(self, held):
        self.tried += 1
        self.began.set()
        assert self.gate.wait(20)
        if self.faults:
            raise self.faults.pop(0)
        self.over.take(held)
        self.taken.append(held.name)


@pytest.fixture
def way(drive):
    return Way(drive)


@pytest.fixture
def waits():
    return []


@pytest.fixture
def mirror(drive, way, waits):
    return Mirror(drive, hand_over=way, sleep=waits.append)


def put(folder, name, text="{}"):
    (folder / name).write_text(text)
    return folder / name


def fault(code):
    return OSError(code, os.strerror(code))


# --- what is pushed arrives ---------------------------------------------------------------------------------------


def test_what_was_pushed_is_there_after_close_and_the_thread_has_ended(mirror, drive, local):
    path = sealed(local, 10)
    assert mirror.push(path, "r/" + path.name) and mirror.push(put(local, "run.json"), "r/run.json")
    assert mirror.close(20) and mirror._thread is None and mirror.news() == []
    assert sorted(p.name for p in (drive / "r").iterdir()) == [
        "checkpoint-a.safetensors",
        "run.json",
    ]
    assert mirror.find("r/checkpoint-*.safetensors") == [drive / "r/checkpoint-a.safetensors"]
    put(local, "run.json", "newer")
    mirror.push(local / "run.json", "r/run.json")
    assert mirror.close(20) and (drive / "r/run.json").read_text() == "newer", (
        "it goes on after a close"
    )


def test_push_does_not_wait_and_the_file_may_go(mirror, way, drive, local):
    way.gate.clear()
    path = sealed(local, 10, size=2 * CHUNK)
    content = path.read_bytes()
    mirror.push(path, "r/" + path.name)
    path.unlink()
    assert not mirror.idle and not mirror.close(0)
    way.gate.set()
    assert mirror.close(20) and (drive / "r/checkpoint-a.safetensors").read_bytes() == content


def test_newer_ones_supersede_those_that_wait_and_the_order_is_by_worth(mirror, way, drive, local):
    way.gate.clear()
    mirror.push(put(local, "first.txt"), "r/first.txt")
    assert way.began.wait(20)
    for step in (10, 20, 30):
        mirror.push(path := sealed(local, step), "r/" + path.name)
        mirror.push(put(local, "run.json", str(step)), "r/run.json")
        mirror.push(put(local, "history.csv", str(step)), "r/history.csv")
        mirror.push(path := sealed(local, step, kind="best"), "r/" + path.name)
    assert len(mirror._waiting) == 4
    way.gate.set()
    assert mirror.close(20)
    assert way.taken[:5] == [
        "r/first.txt",
        "r/run.json",
        f"r/{name_of(30, 'best')}",
        f"r/{name_of(30)}",
        "r/history.csv",
    ]
    assert steps(drive / "r") == {"a": 30} and (drive / "r/history.csv").read_text() == "30"


def test_a_file_that_cannot_be_read_is_the_only_thing_push_refuses(mirror, way, local):
    assert not mirror.push(local / "nowhere", "r/x") and [note.level for note in mirror.news()] == [
        "warn"
    ]
    way.faults = [fault(errno.EIO)]
    assert mirror.push(put(local, "run.json"), "r/run.json") and mirror.close(20)


def test_a_name_that_leaves_the_mirror_is_refused(mirror, local):
    for name in ("../x", "/etc/x", "a/../../x", ""):
        with pytest.raises(ValueError, match="no path inside"):
            mirror.push(put(local, "run.json"), name)


def test_only_the_star_is_special_in_a_name_and_half_copies_are_not_found(mirror, drive, local):
    mirror.push(put(local, "run.json"), "net[a]?/run.json")
    mirror.push(put(local, "run.json"), "neta/run.json")
    assert mirror.close(20) and mirror.find("net[a]?/*") == [drive / "net[a]?/run.json"]
    (drive / "neta/.x.0123abcd.part").write_text("half")
    assert mirror.find("neta/*") == [drive / "neta/run.json"] and mirror.find("other/*") == []


class Entries:
    """File calls whose listing fails as planned, and works afterwards; waits are recorded."""

    def __init__(self, *codes):
        self.codes, self.slept = list(codes), []
        self.hands = replace(CALLS, scan=self.scan, sleep=self.slept.append)

    def scan(self, path):
        if self.codes:
            raise fault(self.codes.pop(0))
        return CALLS.scan(path)


def test_a_listing_that_stumbles_is_waited_for_and_one_that_stays_away_is_no_empty_drive(
    drive, local, monkeypatch
):
    hands = Entries(errno.EIO, errno.ENOTCONN)
    monkeypatch.setattr(reading, "CALLS", hands.hands)
    mirror = Mirror(drive)
    mirror.push(put(local, "run.json"), "r/run.json")
    assert (
        mirror.close(20)
        and mirror.find("r/run.json") == [drive / "r/run.json"]
        and hands.slept == list(WAITS[:2])
    )
    for code in (errno.EIO, errno.ENOTCONN, errno.EACCES):
        hands.codes = [code] * 9
        with pytest.raises(DriveError, match="could not be read from Drive"):
            mirror.find("r/*")
    assert not mirror.news()


def test_a_drive_that_is_gone_is_not_an_empty_one(drive):
    mirror = Mirror(drive / "colab-kit/runs")
    assert mirror.find("r/*") == []
    drive.rmdir()
    with pytest.raises(DriveError, match="could not be read"):
        mirror.find("r/*")


# --- a Drive that fails -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
def test_every_failure_is_tried_again_told_once_and_told_when_it_is_over(
    mirror, way, waits, drive, local, code
):
    way.faults = [fault(code) for _ in range(9)]
    mirror.push(put(local, "run.json"), "r/run.json")
    assert mirror.close(20) and (drive / "r/run.json").exists() and not way.faults
    first, last = mirror.news()
    assert (
        first.level == "warn"
        and "run goes on" in first.text
        and (last.text, last.level) == ("The copies are handed to Drive again.", "info")
    )
    assert not any("safe" in note.text for note in (first, last))
    assert (
        len(waits) == 9
        and waits == sorted(waits)
        and waits[0] == FIRST_WAIT
        and waits[-1] == LONGEST_WAIT
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "colab-kit runs --prune"),
        (errno.EDQUOT, "drive.google.com/drive/trash"),
        (errno.ENOTCONN, "kit.mount()"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Input/output"),
        (errno.ENOENT, "its folder on Drive is not there yet, or has vanished"),
    ],
)
def test_a_failure_says_what_to_do(mirror, way, local, code, said):
    way.faults = [fault(code)]
    mirror.push(put(local, "run.json"), "r/run.json")
    assert mirror.close(20) and said in mirror.news()[0].text


def test_each_reason_is_told_and_a_later_outage_is_told_anew(mirror, way, local):
    for _ in range(2):
        way.faults = [fault(errno.EIO), fault(errno.ENOTCONN), fault(errno.EIO)]
        mirror.push(put(local, "run.json"), "r/run.json")
        assert mirror.close(20)
        assert [note.level for note in mirror.news()] == ["warn", "warn", "info"]


def test_a_bug_on_the_way_does_not_end_the_copying(mirror, way, drive, local):
    way.faults = [ZeroDivisionError("?")]
    mirror.push(put(local, "run.json"), "r/run.json")
    assert (
        mirror.close(20)
        and (drive / "r/run.json").exists()
        and "ZeroDivisionError" in mirror.news()[0].text
    )


def test_one_file_that_fails_does_not_keep_the_others_back(mirror, way, drive, local):
    over, way.over = way.over, None

    class Picky:
        def take(self, held):
            if held.name == "r/run.json" and not (drive / "r/history.csv").exists():
                raise fault(errno.EIO)
            over.take(held)

    way.gate.clear()
    way.over = Picky()
    mirror.push(put(local, "run.json"), "r/run.json")
    mirror.push(put(local, "history.csv"), "r/history.csv")
    way.gate.set()
    assert mirror.close(20) and (drive / "r/run.json").exists()


def test_a_damaged_file_is_told_and_not_tried_for_ever(mirror, waits, local):
    path = sealed(local, 10)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    mirror.push(path, "r/" + path.name)
    assert mirror.close(20) and waits == [] and "is damaged" in mirror.news()[0].text


def test_a_drive_that_comes_back_gets_everything_and_meanwhile_nothing_is_made(
    drive, local, tmp_path
):
    def remounted(seconds):
        waits.append(seconds)
        seen.append(list((tmp_path / "drive").iterdir()))
        if len(waits) == 3:
            drive.mkdir()

    waits, seen = [], []
    drive.rmdir()
    mirror = Mirror(drive / "runs", sleep=remounted)
    mirror.push(put(local, "run.json"), "r/run.json")
    mirror.push(path := sealed(local, 10), "r/" + path.name)
    assert mirror.close(20) and seen == [[], [], []] and steps(drive / "runs/r") == {"a": 10}
    notes = mirror.news()
    assert len(notes) == 2 and "kit.mount()" in notes[0].text


def test_a_torn_copy_is_noticed_and_copied_again(drive, local, waits):
    def tear(point, path):
        if point == "before_reading_back" and not torn:
            torn.append(path)
            os.truncate(path, path.stat().st_size // 2)

    torn = []
    set_milestone_hook(tear)
    mirror = Mirror(drive, sleep=waits.append)
    mirror.push(path := sealed(local, 10), "r/" + path.name)
    assert mirror.close(20) and torn and is_whole(drive / "r/checkpoint-a.safetensors")
    assert waits == [FIRST_WAIT] and "reads back otherwise" in mirror.news()[0].text
