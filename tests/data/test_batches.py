"""Batches: a function of (seed, epoch, number), whoever reads them and wherever reading began."""

import random
import threading
import time

import numpy as np
import pytest
import torch

from colab_kit.data import keyed_random
from colab_kit.data.augment import PRESETS
from colab_kit.data.batches import Batch, BatchLoader, bounds, resident
from colab_kit.data.dataset import Split
from colab_kit.data.prefetch import AHEAD, run_ahead
from colab_kit.data.preprocess import Preprocess
from colab_kit.data.sources import Arrays, Items, Pictures
from colab_kit.errors import RecipeError

from .feeds import CPU, Drawn, array_feed, feeds, item_feed, picture_feed, same, seed, split_of

# --- where batches begin and end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 30))
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_batches_cover_every_row_once_and_none_of_one_picture_follows_a_larger(n, size):
    cuts = bounds(n, size)
    assert [row for a, b in cuts for row in range(a, b)] == list(range(n))
    sizes = [b - a for a, b in cuts]
    assert all(s == size for s in sizes[:-1]) and sizes[-1] <= size + 1
    assert len(sizes) == 1 or sizes[-1] > 1


# --- order --------------------------------------------------------------------------------------------------------


def test_an_epoch_is_a_permutation_of_the_split_with_each_rows_own_label(tmp_path):
    for feed in [array_feed(), item_feed(Drawn()), picture_feed(tmp_path)]:
        seen = np.concatenate([b.index for b in feed.shuffled(0)])
        assert sorted(seen) == sorted(feed.split.rows) and not np.array_equal(seen, feed.split.rows)
        for batch in feed.shuffled(1):
            assert (
                batch.y.tolist() == (batch.index % 3).tolist()
                and batch.y.dtype == torch.int64
                and batch.x.dtype == torch.float32
            )
        assert len(list(feed.shuffled(0))) == len(feed)


def test_a_batch_holds_the_pictures_that_its_index_names():
    for batch in array_feed().shuffled(3):
        assert torch.allclose(
            (batch.x.flatten() * 0.5 + 0.5) * 255, torch.from_numpy(batch.index).float(), atol=1e-4
        )


def test_seed_and_epoch_choose_the_order_and_nothing_else_does():
    def order(seed, epoch):
        return np.concatenate([b.index for b in array_feed(seed=seed).shuffled(epoch)]).tolist()

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    assert len({tuple(o) for o in orders}) == 3
    seed(1)
    assert [order(0, 0), order(0, 1), order(1, 0)] == orders


def test_validation_keeps_the_splits_own_order_and_is_the_same_each_time(tmp_path):
    for feed in feeds(tmp_path):
        rows = [
            row
            for row in feed.split.rows
            if not (row == 3 and isinstance(feed.split.source, Pictures))
        ]
        assert np.concatenate([b.index for b in feed.in_order()]).tolist() == rows
        assert same(feed.in_order(), feed.in_order())


def test_an_epoch_begun_anywhere_is_the_tail_of_the_whole(tmp_path):
    for feed in feeds(tmp_path):
        whole = list(feed.shuffled(2))
        for first in range(len(feed) + 1):
            assert same(feed.shuffled(2, first=first), whole[first:]), first


def test_an_epoch_after_a_peek_an_abandoned_one_and_a_validation_is_the_same(tmp_path):
    for feed, fresh in zip(feeds(tmp_path / "a"), feeds(tmp_path / "b"), strict=True):
        feed.peek()
        next(feed.shuffled(0))
        list(feed.in_order())
        assert same(feed.shuffled(0), fresh.shuffled(0))


@pytest.mark.parametrize(("n", "size"), [(64, 8), (23, 4), (5, 8), (1, 4)])
def test_a_peek_sees_all_parts_of_a_split_in_its_order(n, size):
    feed = array_feed(n, batch_size=size)
    seen = feed.peek().index
    assert np.array_equal(seen, array_feed(n, batch_size=size).peek().index), "a key draws it"
    places = np.flatnonzero(np.isin(feed.split.rows, seen))
    assert np.array_equal(feed.split.rows[places], seen) and len(seen) == min(n, size)
    assert len(np.unique(places * len(seen) // n)) == len(seen), "one of each stretch"


# --- whoever reads ------------------------------------------------------------------------------------------------


def test_workers_change_no_bit():
    kinds = [item_feed(Drawn(), num_workers=num_workers) for num_workers in (0, 1, 2)]
    inline = [
        list(kinds[0].shuffled(0)),
        list(kinds[0].shuffled(1, first=1)),
        list(kinds[0].in_order()),
    ]
    for feed in kinds[1:]:
        feed.peek()
        assert (
            same(feed.shuffled(0), inline[0])
            and same(feed.shuffled(1, first=1), inline[1])
            and same(feed.in_order(), inline[2])
        )
        next(feed.shuffled(5))  # left in the middle
        assert same(feed.shuffled(0), inline[0])


def test_a_pictures_draws_are_its_own_whatever_the_batch_size_and_differ_by_epoch_and_seed():
    def drawn(epoch=0, **kw):
        return {
            int(x[0]): x[1:].tolist() for b in item_feed(Drawn(), **kw).shuffled(epoch) for x in b.x
        }

    first = drawn()
    assert drawn(batch_size=3) == first
    other, seeded = drawn(epoch=1), drawn(seed=1)
    for row, numbers in first.items():
        assert all(a != b for a, b in zip(numbers, other[row], strict=True)) and all(
            a != b for a, b in zip(numbers, seeded[row], strict=True)
        )
    assert len({tuple(v) for v in first.values()}) == 11


@pytest.mark.parametrize("num_workers", [0, 1])
def test_what_is_drawn_outside_is_untouched_by_reading(num_workers, tmp_path):
    def draws():
        return random.random(), np.random.rand(), torch.rand(()).item()

    def read(feed):
        feed.peek()
        return [draws() for _ in feed.shuffled(0)] + [draws() for _ in feed.in_order()]

    def seeded(feed):
        seed(4)
        return read(feed)

    seed(4)
    expected = [draws() for _ in range(2 * 3)]
    assert seeded(item_feed(Drawn(), num_workers=num_workers)) == expected
    assert seeded(array_feed(11)) == expected and seeded(picture_feed(tmp_path, 9)) == expected


def test_a_thread_that_draws_meanwhile_does_not_reach_the_numbers():
    whole, stop = list(item_feed(Drawn(), num_workers=1).shuffled(0)), threading.Event()

    def noise():
        while not stop.wait(0.0005):
            seed(random.randrange(9))

    batches = item_feed(Drawn(), num_workers=1).shuffled(0)
    first = next(
        batches
    )  # the worker is forked: a fork while another thread holds torch's lock would hang, in any DataLoader
    thread = threading.Thread(target=noise)
    thread.start()
    try:
        assert same([first, *batches], whole)
    finally:
        stop.set()
        thread.join()


# --- files and the thread that reads ahead ------------------------------------------------------------------------


def test_a_damaged_file_is_dropped_said_once_and_in_the_training_thread(tmp_path):
    told = []
    feed = picture_feed(
        tmp_path, bad=(1, 4), complain=lambda text: told.append((text, threading.current_thread()))
    )
    feed.bounds = [(0, 7)]
    for _ in range(2):
        for batches in (feed.shuffled(0), feed.in_order()):
            assert sorted(np.concatenate([b.index for b in batches])) == [0, 2, 3, 5, 6]
    assert sorted(text.split("/")[-1][:5] for text, _ in told) == ["1.png", "4.png"]
    assert {thread for _, thread in told} == {threading.main_thread()}


def test_a_batch_whose_files_are_all_damaged_is_empty_and_the_count_stays(tmp_path):
    feed = picture_feed(tmp_path, n=6, bad=(0, 1, 2))
    batches = list(feed.in_order())
    assert (
        [len(b.y) for b in batches] == [3, 0]
        and batches[1].x.shape == (0, 3, 8, 8)
        and len(feed) == 2
    )


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "colab_kit prefetch"]


def gone() -> bool:
    until = time.monotonic() + 2
    for thread in threads():
        thread.join(max(0.0, until - time.monotonic()))
    return not threads()


def test_the_thread_that_reads_ahead_ends_when_it_is_abandoned(tmp_path):
    assert gone()
    reading = picture_feed(tmp_path, n=20, batch_size=2).shuffled(0)
    next(reading)
    assert len(threads()) == 1
    reading.close()
    assert gone()


def test_it_reads_only_so_far_ahead():
    made = []

    def make():
        for n in range(100):
            made.append(n)
            yield n

    reading = run_ahead(make())
    next(reading)
    thread = threads()[-1]
    thread.join(0.05)
    assert len(made) <= AHEAD + 2
    reading.close()
    assert gone()


def test_its_error_is_raised_where_the_batches_are_read_and_after_those_before_it():
    def make():
        yield 1
        raise ZeroDivisionError("in the thread")

    seen = []
    with pytest.raises(ZeroDivisionError, match="in the thread"):
        for item in run_ahead(make()):
            seen.append(item)
    assert seen == [1] and gone()


def test_a_source_that_nobody_can_read_says_so():
    with pytest.raises(TypeError, match="no reader for"):
        BatchLoader(Split(object(), np.arange(3)), Preprocess(), batch_size=2, device=CPU)


def test_a_training_batch_that_damaged_files_leave_one_picture_of_is_empty_and_a_validation_batch_is_not(
    tmp_path,
):
    feed = picture_feed(tmp_path, bad=(1, 4), batch_size=2)
    assert sorted(len(b.y) for b in feed.in_order()) == [1, 2, 2]
    for epoch in range(6):
        plain = [
            len(b.y)
            for b in feed._batches(
                feed.split.rows[keyed_random.permutation(7, 0, keyed_random.ORDER, epoch)], epoch, 0
            )
        ]
        assert [len(b.y) for b in feed.shuffled(epoch)] == [0 if n == 1 else n for n in plain]


# --- views, samplers, transforms, hand-written loops --------------------------------------------------------------


def views(tmp_path, **kw) -> BatchLoader:
    return picture_feed(tmp_path, n=9, augment=PRESETS["strong"], **kw)


def test_views_differ_by_epoch_and_are_the_same_wherever_reading_began(tmp_path):
    feed = views(tmp_path)
    assert same(list(feed.shuffled(1))[1:], feed.shuffled(1, first=1)) and same(
        feed.shuffled(2), views(tmp_path).shuffled(2)
    )
    by_row = [
        {int(i): x for b in feed.shuffled(epoch) for i, x in zip(b.index, b.x, strict=True)}
        for epoch in (0, 1)
    ]
    assert not any(torch.equal(by_row[0][i], by_row[1][i]) for i in by_row[0])


def test_a_pictures_view_does_not_depend_on_the_batch_it_is_in(tmp_path):
    one, other = (
        {
            int(i): x
            for b in views(tmp_path, batch_size=n).shuffled(3)
            for i, x in zip(b.index, b.x, strict=True)
        }
        for n in (2, 5)
    )
    assert all(torch.equal(one[i], other[i]) for i in one) and len(one) == 9


def test_validation_sees_the_whole_middle_whatever_training_sees(tmp_path):
    assert same(views(tmp_path).in_order(), picture_feed(tmp_path, n=9).in_order())


def test_an_evaluated_picture_is_what_predict_makes_of_its_file(tmp_path):
    feed = picture_feed(tmp_path)
    for batch in feed.in_order():
        for row, x in zip(batch.index, batch.x, strict=True):
            pixels = torch.from_numpy(
                feed.preprocess.picture(feed.split.source.paths[row])
            ).movedim(2, 0)[None]
            assert torch.equal(feed.preprocess.input(pixels, "cpu")[0], x)


def test_batches_that_are_kept_are_not_written_over(tmp_path):
    feed = picture_feed(tmp_path, n=30, batch_size=2)
    kept = list(feed.shuffled(0))
    assert same(kept, [Batch(b.x.clone(), b.y, b.index) for b in feed.shuffled(0)])


def test_arrays_are_cut_too_and_floats_say_why_not():
    x = torch.arange(20 * 3 * 8 * 6, dtype=torch.float32).to(torch.uint8).view(20, 3, 8, 6)
    source = Arrays(x, np.arange(20) % 3)
    feed = BatchLoader(
        split_of(source, 20), Preprocess(), batch_size=6, device=CPU, augment=PRESETS["light"]
    )
    assert {tuple(b.x.shape[1:]) for b in feed.shuffled(0)} == {(3, 8, 6)} and same(
        feed.shuffled(0, first=2), list(feed.shuffled(0))[2:]
    )
    plain = BatchLoader(split_of(source, 20), Preprocess(), batch_size=6, device=CPU)
    assert same(feed.in_order(), plain.in_order()) and not same(feed.shuffled(0), plain.shuffled(0))
    with pytest.raises(RecipeError, match="cannot be done to this data"):
        BatchLoader(
            split_of(Arrays(x.float(), source.labels), 20),
            Preprocess(),
            batch_size=6,
            device=CPU,
            augment=PRESETS["light"],
        )
    with pytest.raises(RecipeError, match="gives tensors"):
        BatchLoader(
            Split(Items(Drawn(), np.arange(11) % 3), np.arange(11)),
            Preprocess(),
            batch_size=4,
            device=CPU,
            augment=PRESETS["light"],
        )


def test_a_balanced_sampler_draws_each_class_as_often_and_the_same_each_time():
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    source = Arrays(torch.zeros(1000, 1, 1, 1, dtype=torch.uint8), labels)
    feed = BatchLoader(
        split_of(source, 1000), Preprocess(), batch_size=50, device=CPU, sampler="balanced"
    )
    batches = list(feed.shuffled(0))
    drawn = np.bincount(torch.cat([b.y for b in batches]).numpy())
    assert (
        drawn.sum() == 1000
        and (abs(drawn - 333) < 60).all()
        and same(batches[7:], feed.shuffled(0, first=7))
    )
    assert not same(batches, feed.shuffled(1)) and same(feed.in_order(), array_order(source))


def array_order(source):
    return BatchLoader(split_of(source, 1000), Preprocess(), batch_size=50, device=CPU).in_order()


def test_a_hand_written_loop_gets_what_training_gets(tmp_path):
    feed = picture_feed(tmp_path, augment=PRESETS["light"])
    by_hand = feed.split.batches(3, epoch=2, augment="light", size=8)
    assert same(by_hand, feed.shuffled(2))
    assert same(
        feed.split.batches(3, epoch=2, first=1, augment="light", size=8), feed.shuffled(2, first=1)
    )
    valid = Split(feed.split.source, feed.split.rows, "valid")
    assert same(
        valid.batches(3, epoch=5, augment="strong", size=8), picture_feed(tmp_path).in_order()
    )
    x, y, index = next(iter(valid.batches(3, size=8)))
    assert x.dtype == torch.float32 and y.dtype == torch.int64 and len(index) == 3


# --- where arrays live ---


@pytest.mark.parametrize(("free", "where"), [(4, "meta"), (3, "cpu")])
def test_arrays_that_take_a_quarter_of_a_devices_free_memory_live_there(free, where):
    arrays = Arrays(torch.zeros(8, 1, 4, 4, dtype=torch.uint8), np.zeros(8, np.int64))
    room = free * arrays.x.nbytes
    assert resident(arrays, torch.device("meta"), lambda device: room).x.device.type == where


def test_arrays_are_moved_to_a_device_once():
    arrays = Arrays(torch.zeros(8, 1, 4, 4, dtype=torch.uint8), np.zeros(8, np.int64))
    there = [resident(arrays, torch.device("meta"), lambda device: 1 << 20) for _ in range(2)]
    assert there[0] is there[1]
