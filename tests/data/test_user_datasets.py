"""A user's own datasets and transforms: the same numbers in any process, and errors in plain words."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, default_collate

from colab_kit.data import user_datasets
from colab_kit.data.batches import BatchLoader
from colab_kit.data.loading import load
from colab_kit.data.preprocess import Preprocess
from colab_kit.data.sources import Arrays, Items
from colab_kit.data.user_datasets import draws_privately
from colab_kit.errors import DataError, RecipeError

from ..support.pictures import FRAME, KINDS
from .feeds import CPU, Drawn, item_feed, picture_feed, same, split_of


class Given(Dataset):
    def __init__(self, x, y=1):
        self.x, self.y = x, y

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return (self.x, self.y) if self.y is not None else self.x


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (Image.new("RGB", (20, 10), "red"), (3, 8, 8)), (Image.new("L", (20, 10), 9), (3, 8, 8)), (Image.new("P", (20, 10)), (3, 8, 8)),
        (np.zeros((20, 10, 3), np.uint8), (3, 8, 8)), (np.zeros((20, 10), np.uint8), (3, 8, 8)), (np.zeros((20, 10, 1), np.uint8),
        (3, 8, 8)), (np.zeros((20, 10, 4), np.uint8), (3, 8, 8)),
        (np.zeros((3, 20, 10), np.float64), (3, 20, 10)), (np.zeros(12, np.uint8), (12,)), (np.zeros((3, 20, 10), np.uint8), (3, 8, 8)),
        (torch.zeros(3, 20, 10), (3, 20, 10)), (torch.zeros(1, 20, 10, dtype=torch.uint8), (1, 8, 8)),
        (torch.zeros(5, dtype=torch.float64), (5,)),
    ],
)  # fmt: skip
def test_items_of_any_kind_become_input(x, shape):
    batch = next(item_feed(Given(x), n=4).in_order())
    assert (
        batch.x.shape == (4, *shape)
        and batch.x.dtype == torch.float32
        and batch.y.tolist() == [0, 2, 1, 0]
    )


def loaded(path) -> Image.Image:
    picture = Image.open(path)
    picture.load()
    return picture


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("opened", [Image.open, loaded])
def test_a_pil_item_is_what_its_file_is(tmp_path, name, opened):
    kind, how = KINDS[name]
    kind.save(tmp_path / name, **how)
    batch = next(item_feed(Given(opened(tmp_path / name)), n=4).in_order())
    square = torch.from_numpy(Preprocess(size=8).picture(tmp_path / name)).movedim(2, 0)
    expected = Preprocess().input(square[None], CPU)[0]
    near = 0.5 if name == "large.jpg" and opened is loaded else 0  # noise at a reduced scale
    assert float((batch.x[0] - expected).abs().max()) <= near


def test_an_array_of_four_channels_lies_on_white_as_its_file_does(tmp_path):
    Image.fromarray(CLEAR).save(tmp_path / "a.png")
    expected = next(item_feed(Given(Image.open(tmp_path / "a.png")), n=4).in_order()).x
    assert torch.equal(next(item_feed(Given(CLEAR), n=4).in_order()).x, expected)


CLEAR = np.dstack([FRAME, np.zeros((24, 32), np.uint8)])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("exif6.jpg", "turned upright"),
        ("alpha.png", "laid on white"),
        ("palette.png", "laid on white"),
        ("deep.png", "brought from 0 to 65,535"),
        ("lower.png", "brought from 0 to 4,095"),
        ("exif1.jpg", None),
        ("grey.png", None),
    ],
)
@pytest.mark.parametrize("opened", [Image.open, loaded])
def test_what_reading_as_a_file_changes_is_said(tmp_path, name, said, opened):
    kind, how = KINDS[name]
    kind.save(tmp_path / name, **how)
    notes = load(Given(opened(tmp_path / name)), valid=0, quiet=True).notes
    about = [note for note in notes if "are read as files are" in note]
    assert [said in note for note in about] == ([True] if said else [])


def test_what_the_words_name_keeps_a_picture_as_it_is(tmp_path):
    kind, how = KINDS["exif6.jpg"]
    kind.save(tmp_path / "a.jpg", **how)
    plain = np.array(Image.open(tmp_path / "a.jpg").convert("RGB"))
    data = load(Given(plain), valid=0, quiet=True)
    assert not any("as files" in note for note in data.notes)
    assert np.array_equal(data.train.source.picture(0), plain)


@pytest.mark.parametrize("y", [1, np.int64(1), torch.tensor(1), 1.0])
def test_labels_of_any_kind_become_int64(y):
    batch = next(item_feed(Given(torch.zeros(2), y), n=4, collate=default_collate).in_order())
    assert batch.y.dtype == torch.int64 and batch.y.tolist() == [1] * 4


@pytest.mark.parametrize("num_workers", [0, 1])
def test_labels_are_the_sources_which_may_number_the_classes_otherwise_than_the_items_do(
    num_workers,
):
    feed = BatchLoader(
        split_of(Items(Drawn(), 2 - np.arange(11) % 3), 11),
        Preprocess(),
        batch_size=4,
        device=CPU,
        num_workers=num_workers,
    )
    assert all(batch.y.tolist() == (2 - batch.index % 3).tolist() for batch in feed.shuffled(0))


@pytest.mark.parametrize("x", [torch.zeros(2), {"image": 1}, (1, 2, 3)])
def test_an_item_that_is_no_pair_says_what_it_is(x):
    with pytest.raises(DataError, match="no .picture, label. pair") as caught:
        next(item_feed(Given(x, None), n=4).shuffled(0))
    assert f"it is a {type(x).__name__}" in str(caught.value)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_in_the_dataset_surfaces_with_its_own_words(num_workers):
    state = torch.default_generator.get_state()
    with pytest.raises(FileNotFoundError, match="picture 5 is gone"):
        list(item_feed(Drawn(fail_at=5), num_workers=num_workers).shuffled(0))
    assert torch.equal(state, torch.default_generator.get_state())


def _flipped(batch):
    x, y = zip(*batch, strict=True)
    return torch.stack(x).flip(1), list(y)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_loaders_own_collate_is_used(num_workers):
    plain, flipped = (
        next(item_feed(Drawn(), collate=c, num_workers=num_workers).shuffled(0))
        for c in (None, _flipped)
    )
    assert (
        torch.equal(plain.x.flip(1), flipped.x)
        and torch.equal(plain.y, flipped.y)
        and np.array_equal(plain.index, flipped.index)
    )


def turned(picture):
    return picture.rotate(float(np.random.uniform(-30, 30))).resize((8, 8))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_users_transform_is_keyed_picture_by_picture_with_any_number_of_workers(
    tmp_path, num_workers
):
    def feed(num_workers: int, **kw) -> BatchLoader:
        return picture_feed(tmp_path, transform=turned, num_workers=num_workers, **kw)

    assert same(feed(num_workers).shuffled(2), feed(0).shuffled(2)) and not same(
        feed(0).shuffled(2), feed(0).shuffled(3)
    )
    assert next(iter(feed(0).shuffled(0))).x.shape[1:] == (3, 8, 8)


def test_a_transform_of_torchvision_takes_files_and_arrays(tmp_path):
    from torchvision.transforms import v2

    crop = v2.Compose([v2.RandomResizedCrop(8, antialias=True), v2.RandomHorizontalFlip()])
    feed = picture_feed(tmp_path, transform=crop)
    assert same(feed.shuffled(1), picture_feed(tmp_path, transform=crop).shuffled(1))
    x = torch.randint(0, 256, (6, 3, 12, 12), dtype=torch.uint8)
    found = BatchLoader(
        split_of(Arrays(x, np.arange(6) % 3), 6),
        Preprocess(size=8),
        batch_size=6,
        device=CPU,
        transform=crop,
    )
    assert next(iter(found.shuffled(0))).x.shape == (6, 3, 8, 8)


def test_a_transform_with_a_generator_of_its_own_is_noticed(tmp_path):
    own = np.random.default_rng()
    private = picture_feed(
        tmp_path, transform=lambda picture: picture.rotate(float(own.uniform(0, 90)))
    )
    assert draws_privately(private.source, 0) and not draws_privately(
        picture_feed(tmp_path, transform=turned).source, 0
    )


def test_a_transform_that_can_be_seeded_is(tmp_path):
    class Seeded:
        def set_random_seed(self, seed: int) -> None:
            self.own = np.random.default_rng(seed)

        def __call__(self, picture):
            return picture.rotate(float(self.own.uniform(0, 90)))

    assert not draws_privately(picture_feed(tmp_path, transform=Seeded()).source, 0)


def test_a_transform_beside_a_dataset_of_the_users_own_is_refused():
    with pytest.raises(RecipeError, match="Dataset of your own"):
        item_feed(Drawn(), transform=turned)


def test_without_room_to_share_workers_are_not_started_and_the_reason_is_said(monkeypatch):
    monkeypatch.setattr(user_datasets, "_shared_memory", lambda: 1 << 20)
    said = []
    feed = item_feed(Drawn(), num_workers=2, complain=said.append)
    assert (
        feed.item_reader.loader is None
        and "1 MiB left" in said[0]
        and same(feed.shuffled(0), item_feed(Drawn()).shuffled(0))
    )


@pytest.fixture
def soon(monkeypatch):
    """Torch looks for dead workers, and a worker for a dead parent, after 0.1 s in place of 5 s."""
    monkeypatch.setattr(torch.utils.data._utils.worker, "MP_STATUS_CHECK_INTERVAL", 0.1)
    reader = torch.utils.data.dataloader._MultiProcessingDataLoaderIter
    monkeypatch.setattr(reader._try_get_data, "__defaults__", (0.1,))


class Slow(Drawn):
    """Pictures of a disk that is in no hurry: there is time for a signal."""

    def __getitem__(self, i: int):
        time.sleep(0.01)
        return super().__getitem__(i)


@pytest.mark.parametrize(
    ("number", "why"),
    [(signal.SIGKILL, "memory is short (SIGKILL)"), (signal.SIGSEGV, "crashed (SIGSEGV)")],
)
def test_a_killed_worker_is_an_error_only_where_its_batch_is_waited_for(soon, number, why):
    feed = item_feed(Drawn(), num_workers=1)
    list(feed.shuffled(0))
    (worker,) = feed.item_reader.workers
    os.kill(worker.pid, number)
    worker.join(5)  # in this line torch's own handler of SIGCHLD would raise
    with pytest.raises(DataError, match="has died") as caught:
        list(feed.shuffled(1))
    assert why in caught.value.why and "num_workers=0" in caught.value.fix


def test_an_item_that_ends_its_worker_is_an_error_with_the_exit_code(soon):
    class Leaves(Drawn):
        def __getitem__(self, i: int):
            os._exit(3)

    with pytest.raises(DataError, match="exit code is 3"):
        list(item_feed(Leaves(), num_workers=1).shuffled(0))


def test_workers_leave_signals_to_the_whole_group_to_their_parent():
    feed = item_feed(Slow(40), n=40, num_workers=2)
    batches = feed.shuffled(0)
    read = [next(batches)]
    for worker in feed.item_reader.workers:
        for number in user_datasets.GROUP:
            os.kill(worker.pid, number)
    assert same([*read, *batches], item_feed(Drawn(40), n=40).shuffled(0))


def test_a_worker_that_is_stuck_ends_when_its_loader_is_closed(monkeypatch):
    feed = item_feed(Slow(40), n=40, num_workers=1)
    next(feed.shuffled(0))
    (worker,) = feed.item_reader.workers
    worker.terminate()  # what torch does with one that does not end
    worker.join(5)
    assert worker.exitcode == -signal.SIGKILL


def test_no_worker_outlives_its_parent(soon):
    heard, said = os.pipe()
    if (child := os.fork()) == 0:
        try:
            feed = item_feed(Slow(40), n=40, num_workers=2)
            next(feed.shuffled(0))
            pids = " ".join(str(worker.pid) for worker in feed.item_reader.workers)
            os.write(said, pids.encode())
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    workers, until = [int(pid) for pid in os.read(heard, 99).split()], time.monotonic() + 10
    while any(map(_lives, workers)) and time.monotonic() < until:
        time.sleep(0.01)
    assert len(workers) == 2 and not any(map(_lives, workers))


def _lives(pid: int) -> bool:
    """Whether a process runs; one that is dead and waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except OSError:
        return False
    return state.split()[0] not in "ZX"


def test_where_linux_has_no_shared_memory_workers_are_not_started(monkeypatch):
    def absent(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(user_datasets.shutil, "disk_usage", absent)
    monkeypatch.setattr(user_datasets.sys, "platform", "linux")
    said = []
    feed = item_feed(Drawn(), num_workers=2, complain=said.append)
    assert feed.item_reader.loader is None and "0 MiB left" in said[0]
