"""When a run is saved, what stays, and what a disk or a shelf that fails may cost."""

import errno

import pytest
import torch

from colab_kit.errors import RunError
from colab_kit.events import CheckpointSaved, Note, set_milestone_hook
from colab_kit.system.files import stamp
from colab_kit.training import saver as room
from colab_kit.training.checkpoint import name_of, newest, read, step_of
from colab_kit.training.saver import AT_LEAST, AT_THE_END, FIRST_COPY, SHARE, Saver


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Shelf:
    """Takes what is pushed, as a mirror whose copier is fast; has news, and is closed in time or not."""

    def __init__(self, clock, done=True):
        self.clock, self.done, self.kept, self.pushes, self.told, self.closed = (
            clock,
            done,
            {},
            [],
            [],
            [],
        )

    def find(self, name):
        raise AssertionError("a saver never looks at Drive: that may take minutes")

    def push(self, path, name):
        self.kept[name] = path.read_bytes()
        self.pushes.append((self.clock.now, name))
        return True

    def news(self):
        news, self.told = self.told, []
        return news

    def close(self, timeout=None, emit=None):
        self.closed.append(timeout)
        return self.done


class Disk:
    """What a saver tells where it is: saving takes time, or fails."""

    def __init__(self, clock, cost=0.0):
        self.clock, self.cost, self.fault = clock, cost, None

    def __call__(self, point, path):
        if point == "mid_write":
            self.clock.now += self.cost
            if self.fault:
                raise self.fault


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def disk(clock):
    set_milestone_hook(disk := Disk(clock))
    return disk


@pytest.fixture
def heard():
    return []


@pytest.fixture
def make(tmp_path, clock, disk, heard):
    def make(every=None, shelf=None):
        return Saver(tmp_path / "r", shelf, "r", every=every, emit=heard.append, clock=clock)

    return make


def save(saver, step, best=None, *, new_best=True, **kw):
    facts = {"step": step, "start": "s", "best": {"file": name_of(best, "best")} if best else None}
    weights = (
        (name_of(best, "best"), {"w": torch.full((2,), float(best))}) if best and new_best else None
    )
    return saver.save(step, {"model/w": torch.full((2,), float(step))}, facts, weights, **kw)


def names(folder):
    return sorted(f"{p.stem.partition('-')[0]}-{step_of(p)}" for p in (folder / "r").iterdir())


@pytest.mark.parametrize("cost", [0.001, 0.1, 2.0, 30.0])
@pytest.mark.parametrize("step_takes", [0.05, 1.0, 20.0])
def test_saving_takes_one_per_cent_at_most_but_happens_each_five_minutes(
    make, clock, disk, cost, step_takes
):
    disk.cost, saver, saves, begin = cost, make(), [], clock.now
    save(saver, 0)
    while clock.now - begin < 4000 and len(saves) < 25:
        clock.now += step_takes
        if saver.due(1):
            save(saver, len(saves) + 1)
            saves.append(clock.now)
    gaps = [b - a for a, b in zip(saves, saves[1:], strict=False)]
    assert gaps and max(gaps) <= AT_LEAST + step_takes + cost + 1e-6
    if cost / SHARE <= AT_LEAST:
        assert cost * len(saves) <= SHARE * (clock.now - begin)


@pytest.mark.parametrize("every", [1, 3, 10])
def test_every_is_by_steps_and_looks_at_no_clock(make, clock, every):
    saver = make(every)
    clock.now += 1e6
    assert [step for step in range(1, 21) if saver.due(step)] == list(range(every, 21, every))


def test_a_save_is_heard_with_its_place_and_cost_and_can_be_read(
    make, clock, disk, heard, tmp_path
):
    disk.cost = 0.5
    assert save(make(), 7, best=5)
    assert (
        heard == [CheckpointSaved(tmp_path / "r" / name_of(7), 7, 1.0)]
        and read(heard[0].path).step == 7
    )


def test_two_generations_stay_and_best_weights_as_long_as_one_speaks_of_them(make, tmp_path):
    saver = make()
    save(saver, 1, best=1)
    save(saver, 2, best=2)
    assert names(tmp_path) == ["best-1", "best-2", "checkpoint-1", "checkpoint-2"]
    save(saver, 3, best=2, new_best=False)
    assert names(tmp_path) == ["best-2", "checkpoint-2", "checkpoint-3"]
    save(saver, 4, best=4)
    assert names(tmp_path) == ["best-2", "best-4", "checkpoint-3", "checkpoint-4"]
    save(saver, 5, best=4, new_best=False)
    assert names(tmp_path) == ["best-4", "checkpoint-4", "checkpoint-5"]


def test_a_new_process_knows_which_best_weights_its_two_generations_speak_of(make, tmp_path):
    save(make(), 1, best=1)
    save(make(), 2, best=2)
    again = make()
    save(again, 3, best=3)
    assert names(tmp_path) == ["best-2", "best-3", "checkpoint-2", "checkpoint-3"]
    save(again, 4, best=3, new_best=False)
    assert names(tmp_path) == ["best-3", "checkpoint-3", "checkpoint-4"]


def test_a_fresh_start_among_older_checkpoints_keeps_its_own(make, tmp_path):
    old = make()
    for step in (50, 60):
        save(old, step)
    saver = make()
    for step in (0, 1, 2):
        save(saver, step)
    assert names(tmp_path) == ["checkpoint-1", "checkpoint-2", "checkpoint-50", "checkpoint-60"]


@pytest.mark.parametrize("best", [None, 2])
def test_a_disk_that_fails_is_a_note_said_once_and_the_older_one_stays(
    make, disk, heard, tmp_path, best
):
    saver = make(every=1)
    save(saver, 1)
    disk.fault = OSError(errno.ENOSPC, "No space left on device")
    assert not save(saver, 2, best=best) and not save(saver, 3, best=best)
    notes = [e for e in heard if isinstance(e, Note)]
    assert (
        len(notes) == 1
        and "Step 2 could not be saved" in notes[0].text
        and "the disk is full" in notes[0].text
        and notes[0].level == "warn"
    )
    assert names(tmp_path) == ["checkpoint-1"]
    disk.fault = None
    assert save(saver, 4)
    disk.fault = OSError(errno.ENOSPC, "No space left on device")
    assert not save(saver, 5) and len([e for e in heard if isinstance(e, Note)]) == 2


def test_a_failing_disk_is_not_tried_at_every_step(make, clock, disk):
    saver = make()
    disk.cost, disk.fault = 0.5, OSError(errno.EIO, "Input/output error")
    save(saver, 1)
    clock.now += 1
    assert not saver.due(2)
    clock.now += 50
    assert saver.due(3)


def test_what_must_be_saved_raises(make, disk):
    disk.fault = OSError(errno.EROFS, "Read-only file system")
    with pytest.raises(RunError, match="read-only"):
        save(make(), 0, must=True)


def test_the_shelf_gets_the_first_copy_after_half_a_minute_and_then_one_at_most_each_five_minutes(
    make, clock
):
    shelf, start = Shelf(clock), clock.now
    saver = make(every=1, shelf=shelf)
    for step in range(1, 130):
        clock.now += 10
        save(saver, step)
    times = sorted({t for t, _ in shelf.pushes})
    assert times[0] == start + FIRST_COPY and len(times) == 5
    assert min(b - a for a, b in zip(times, times[1:], strict=False)) >= AT_LEAST


def test_the_shelf_knows_of_a_run_before_its_first_copy(make, clock, tmp_path):
    shelf = Shelf(clock)
    saver = make(every=1, shelf=shelf)
    save(saver, 1)
    (tmp_path / "r" / "run.json").write_text("{}")
    saver.announce()
    assert list(shelf.kept) == ["r/run.json"]
    clock.now += FIRST_COPY
    save(saver, 2)
    assert f"r/{name_of(2)}" in shelf.kept, "the announcement does not count as a copy"


def test_the_shelf_gets_the_newest_its_best_and_the_small_files(make, clock, tmp_path):
    shelf = Shelf(clock)
    saver = make(every=1, shelf=shelf)
    save(saver, 1, best=1)
    (tmp_path / "r" / "run.json").write_text("{}")
    (tmp_path / "r" / ".lock").touch()
    saver.push()
    assert sorted(shelf.kept) == [f"r/{n}" for n in (name_of(1, "best"), name_of(1), "run.json")]
    shelf.kept.clear()
    save(saver, 2, best=2)
    save(saver, 3, best=2, new_best=False)
    saver.push()
    assert sorted(shelf.kept) == [f"r/{n}" for n in (name_of(2, "best"), name_of(3), "run.json")]


def test_a_damaged_checkpoint_ahead_never_takes_the_place_of_a_good_one_on_the_shelf(
    make, clock, tmp_path
):
    shelf = Shelf(clock)
    saver = make(every=1, shelf=shelf)
    save(saver, 1)
    (tmp_path / "r" / name_of(9)).write_bytes(b"damaged")
    save(saver, 2)
    saver.push()
    assert list(shelf.kept) == [f"r/{name_of(2)}"]
    assert newest(tmp_path / "r", None, "r", start="s", complain=lambda text: None).step == 2


def test_best_weights_are_stamped_with_their_own_step_and_start(make, tmp_path):
    saver = make()
    save(saver, 9, best=4)
    mark = stamp(tmp_path / "r" / name_of(4, "best"))
    assert (mark["step"], mark["start"]) == ("4", "s")
    assert stamp(tmp_path / "r" / name_of(9))["step"] == "9"


def test_what_the_shelf_has_to_tell_is_told_where_the_training_asks_whether_to_save(
    make, clock, heard
):
    shelf = Shelf(clock)
    saver = make(every=5, shelf=shelf)
    shelf.told = [Note("Drive is full", "warn"), Note("again")]
    assert not saver.due(1) and [note.text for note in heard] == ["Drive is full", "again"]
    saver.due(2)
    assert len(heard) == 2


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_the_end_pushes_waits_and_says_when_that_was_too_short(
    make, clock, heard, tmp_path, timeout
):
    shelf = Shelf(clock)
    saver = make(shelf=shelf)
    save(saver, 1)
    assert (
        saver.finish(timeout)
        and f"r/{name_of(1)}" in shelf.kept
        and shelf.closed == [timeout or AT_THE_END]
    )
    assert "handed to Drive" in heard[-1].text
    heard.clear()
    shelf.done, shelf.told = False, [Note("Drive is full", "warn")]
    assert not saver.finish(timeout)
    assert [note.level for note in heard] == ["warn", "warn"]
    assert (
        "handed to Drive" in heard[1].text
        and "run.wait_for_copies()" in heard[1].text
        and "safe on Drive" not in heard[1].text
    )
    assert make().finish()


def test_the_end_of_a_run_that_another_session_has_promises_no_copies(make, clock, heard):
    shelf = Shelf(clock)
    saver = make(shelf=shelf)
    save(saver, 1)
    shelf.push, shelf.done, shelf.told = (
        lambda path, name: False,
        False,
        [Note("taken over", "warn")],
    )
    heard.clear()
    assert not saver.finish() and [note.text for note in heard] == ["taken over"]


def test_without_a_shelf_or_a_folder_nothing_is_pushed(make, clock):
    make().push()
    shelf = Shelf(clock)
    make(shelf=shelf).push()
    assert not shelf.pushes and room.SHARE == 0.01
