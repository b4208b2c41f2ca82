"""torch datasets and DataLoaders: used directly where that is the same, else item by item."""

import functools

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from colab_kit.colab import staging
from colab_kit.data.batches import BatchLoader
from colab_kit.data.preprocess import Preprocess
from colab_kit.data.sources import Arrays, Items, Pictures

from ..support.pictures import blank, class_folders
from .loads import Mnist, Own, X, Y, load, refused, to_float


def test_datasets_in_memory_become_arrays():
    tensors = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    for dataset in (Mnist(), tensors):
        assert isinstance(load(dataset).train.source, Arrays)
        assert load(dataset).train.labels.tolist() == load((X, Y)).train.labels.tolist()
    assert load(Mnist()).classes[3] == "3 - three" and load(Mnist()).name == "Mnist"
    part = load(Subset(Subset(Mnist(), range(5, 35)), range(10)), valid=0)
    assert (
        isinstance(part.train.source, Arrays)
        and part.train.labels.tolist() == Y[5:15].tolist()
        and len(part.classes) == 4
    )


def test_classes_that_a_later_dataset_numbers_otherwise_are_matched_by_name():
    other = Mnist()
    other.classes, other.targets = Mnist.classes[::-1], 3 - other.targets
    data = load({"train": Mnist(), "test": other})
    assert data.test.labels.tolist() == Y.tolist()
    other.classes = ["a", "b", "c", "d"]
    refused({"train": Mnist(), "test": other}, "the test split has the class a, b, c …")


def first_batch(split):
    return next(
        BatchLoader(split, Preprocess(size=8), batch_size=4, device=torch.device("cpu")).in_order()
    )


def test_a_later_dataset_with_fewer_class_folders_trains_and_validates_by_name(tmp_path):
    from torchvision.datasets import ImageFolder

    class_folders(tmp_path / "train", ["10", "2", "a", "b"], each=2)
    class_folders(tmp_path / "valid", ["2", "b"], each=2)
    train, valid = (
        ImageFolder(tmp_path / name, transform=Image.Image.copy) for name in ("train", "valid")
    )
    data = load({"train": train, "valid": valid})
    assert [data.classes[y] for y in first_batch(data.valid).y] == ["2", "2", "b", "b"]
    folder = load(
        {"train": tmp_path / "train", "valid": valid, "test": train}
    )  # here the folders are in natural order, 2 before 10
    assert [folder.classes[y] for y in first_batch(folder.valid).y] == ["2", "2", "b", "b"]
    assert [folder.classes[y] for y in folder.test.labels] == [
        "10",
        "10",
        "2",
        "2",
        "a",
        "a",
        "b",
        "b",
    ]
    loader = DataLoader(valid, collate_fn=lambda items: default_collate(items))
    refused(
        {"train": train, "valid": loader}, "numbers its classes otherwise", "2, b", "collate_fn"
    )


def test_a_dataset_that_changes_what_it_holds_is_read_item_by_item():
    for dataset in (
        Mnist(transform=to_float),
        Mnist(twist=1),
        Subset(Mnist(transform=to_float), range(40)),
    ):
        data = load(dataset)
        assert (
            isinstance(data.train.source, Items) and data.train.source.labels.tolist() == Y.tolist()
        )
    assert "without transform=" in load(Mnist(transform=to_float)).notes[0]


def test_a_dataset_that_tells_no_labels_is_read_once():
    state = torch.default_generator.get_state()
    data = load(Own(), valid=0)
    assert data.train.labels.tolist() == [n % 3 for n in range(12)] and "read once" in data.notes[0]
    assert torch.equal(
        state, torch.default_generator.get_state()
    )  # whatever it draws, the user's streams stay


def test_picture_folders_of_torchvision_become_paths(tmp_path):
    from torchvision.datasets import ImageFolder

    class_folders(tmp_path / "pets", each=5)
    blank(tmp_path / "pets" / "dog" / "9.png")
    data = load(ImageFolder(tmp_path / "pets"), valid=0)
    assert (
        isinstance(data.train.source, Pictures)
        and data.classes == ("cat", "dog")
        and "9.png is empty" in data.notes[0]
    )
    assert data.fingerprint == load(tmp_path / "pets", valid=0).fingerprint
    (tmp_path / "pets" / "dog" / "9.png").unlink()
    assert isinstance(
        load(ImageFolder(tmp_path / "pets", transform=np.asarray)).train.source, Items
    )

    class Mirrored(ImageFolder):
        def __getitem__(self, row):
            x, y = super().__getitem__(row)
            return ImageOps.mirror(x), y

    assert isinstance(load(Mirrored(tmp_path / "pets")).train.source, Items)


def test_picture_folders_of_torchvision_take_groups_by_path(tmp_path):
    from torchvision.datasets import ImageFolder

    source = ImageFolder(class_folders(tmp_path / "pets", each=12))
    data = load(source, group=lambda path: int(path.stem) // 3)
    train, valid = ({int(p.stem) // 3 for p in split.paths} for split in data.splits.values())
    assert not train & valid


def test_picture_folders_of_torchvision_on_drive_are_not_read_one_by_one(mock_drive, monkeypatch):
    from torchvision.datasets import ImageFolder

    monkeypatch.setattr(staging, "MANY", 9)
    far = ImageFolder(class_folders(mock_drive / "pets", each=5))
    for source in (far, DataLoader(far, 4, shuffle=True), {"train": far}):
        refused(
            source,
            "10 pictures would be read from Drive one by one",
            "each epoch again",
            f"kit.load({str(mock_drive / 'pets')!r})",
        )
    refused((X, Y), "one by one", valid=far)
    assert len(load(Subset(far, range(1, 10)), valid=0).train) == 9, "few"
    assert load(mock_drive / "pets", valid=0).counts["train"] == {"cat": 5, "dog": 5}, "the fix"
    own = load(ImageFolder(mock_drive / "pets", transform=np.asarray), valid=0)
    assert (
        isinstance(own.train.source, Items) and sum("one by one" in note for note in own.notes) == 1
    ), "a transform of one's own is told"
    refused(ImageFolder(mock_drive / "pets", transform=np.asarray), "one by one", strict=True)


def test_picture_folders_of_torchvision_beside_drive_are_left_alone(
    mock_drive, monkeypatch, tmp_path
):
    from torchvision.datasets import ImageFolder

    monkeypatch.setattr(staging, "MANY", 9)
    assert (
        len(load(ImageFolder(class_folders(tmp_path / "pets", each=5)), valid=0, strict=True).train)
        == 10
    )


def test_a_loader_gives_dataset_batch_size_and_collate():
    data = load({"train": DataLoader(Mnist(), 16, shuffle=True), "valid": DataLoader(Mnist(), 64)})
    assert data.batch_size == 16 and isinstance(data.train.source, Arrays) and len(data.valid) == 40

    def collate(items):
        return default_collate(items)

    data = load(DataLoader(Mnist(), 8, collate_fn=collate))
    assert isinstance(data.train.source, Items) and data.train.source.collate is collate


def scaled(by):
    return lambda items: [part * by for part in default_collate(items)]


class Scaled:
    def __init__(self, by):
        self.by = by

    def __call__(self, items):
        return default_collate(items)


def test_a_loaders_collate_and_batch_size_are_in_the_fingerprint():
    collates = [
        None, scaled(1), scaled(2), lambda items: default_collate(items), lambda items: default_collate(items[:1]), Scaled(1), Scaled(2),
        Scaled([2]), functools.partial(scaled, 1), functools.partial(scaled, 2), Scaled(1).__call__,
    ]  # fmt: skip
    prints = [
        load(DataLoader(Mnist(to_float), 8, collate_fn=collate)).fingerprint for collate in collates
    ]
    assert len(set(prints)) == len(prints)
    assert load(DataLoader(Mnist(to_float), 8, collate_fn=scaled(1))).fingerprint == prints[1]
    assert load(DataLoader(Mnist(to_float), 9)).fingerprint != prints[0]


@pytest.mark.parametrize(
    ("kw", "words"),
    [
        (
            {"sampler": WeightedRandomSampler([1.0] * 40, 40)},
            ["WeightedRandomSampler", "class_weights='balanced'"],
        ),
        (
            {"sampler": torch.utils.data.SubsetRandomSampler(range(5))},
            ["torch.utils.data.Subset(dataset, rows)"],
        ),
        (
            {"sampler": torch.utils.data.RandomSampler(Y, replacement=True)},
            ["pass the dataset itself"],
        ),
        ({"batch_sampler": [[0, 1], [2, 3]]}, ["pass the dataset itself"]),
        ({"batch_size": None}, ["makes no batches"]),
    ],
)
def test_an_order_that_cannot_be_repeated_is_refused_with_what_to_pass(kw, words):
    refused(DataLoader(Mnist(), **kw), *words)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(torch.zeros(1), 0)])


def test_what_is_no_data_says_what_to_pass():
    refused(Stream(), "Stream is an IterableDataset", "__getitem__")
    refused(DataLoader(Stream()), "IterableDataset")
    refused(torch.nn.Linear(2, 2), "kit.train(model, data)")
    refused(X, "has no labels", "kit.load((X, y))")
    refused(torch.zeros(3), "has no labels")
    refused((Mnist(), Mnist()), "two sources", "{'train': source[0]")
    refused(((X, Y), (X, Y)), "two sources")
    refused(7, "cannot read a int")
    refused(TensorDataset(torch.zeros(0, 2), torch.zeros(0)), "empty")
    refused([{"image": 1, "label": 2}] * 3, "holds a picture", "image (int)")
    named = DataLoader([(torch.zeros(1, 2, 2), "cat")] * 3, collate_fn=list)
    refused(named, "return the class's number")


def test_data_is_data():
    data = load((X, Y))
    assert load(data) is data
    for kw in (
        {"valid": 0},
        {"max_per_class": 2},
        {"seed": 1},
        {"strict": True},
        {"class_names": list("abcd")},
    ):
        refused(data, "loaded already", f"{[*kw][0]}=", "where it is first loaded", **kw)


def test_few_items_are_read_before_training_and_each_read_may_be_slow():
    class Slow(Dataset):
        targets, read = [row % 3 for row in range(64)], 0

        def __len__(self):
            return 64

        def __getitem__(self, row):
            type(self).read += 1
            return torch.full((3, 8, 8), row / 64), row % 3

    load(Slow(), valid=0.25, quiet=True)
    assert Slow.read == 8, "three at each end, and the outermost again"
