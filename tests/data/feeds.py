"""What the tests of batches share: loaders over each kind of source, and whether batches are the same."""

import random

import numpy as np
import torch
from torch.utils.data import Dataset

from colab_kit.data.batches import BatchLoader
from colab_kit.data.dataset import Split
from colab_kit.data.preprocess import Preprocess
from colab_kit.data.sources import Arrays, Items, Pictures

from ..support.pictures import picture

CPU = torch.device("cpu")


class Drawn(Dataset):
    """Pictures that a user's transforms change at random, by all three generators."""

    def __init__(self, n: int = 11, fail_at: int | None = None):
        self.n, self.fail_at = n, fail_at

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int):
        if i == self.fail_at:
            raise FileNotFoundError(f"picture {i} is gone")
        return torch.tensor(
            [float(i), random.random(), float(np.random.rand()), float(torch.rand(()))]
        ), i % 3


def seed(n: int) -> None:
    random.seed(n)
    np.random.seed(n)
    torch.manual_seed(n)


def split_of(source, n: int, name: str = "train") -> Split:
    return Split(source, np.arange(n)[::-1].copy(), name)


def array_feed(n: int = 23, **kw) -> BatchLoader:
    source = Arrays(torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1), np.arange(n) % 3)
    return BatchLoader(split_of(source, n), Preprocess(), **{"batch_size": 4, "device": CPU, **kw})


def item_feed(dataset, *, num_workers: int = 0, n: int = 11, collate=None, **kw) -> BatchLoader:
    source = Items(dataset, np.arange(n) % 3, collate)
    return BatchLoader(
        split_of(source, n),
        Preprocess(size=8),
        **{"batch_size": 4, "device": CPU, "num_workers": num_workers, **kw},
    )


def picture_feed(tmp_path, n: int = 7, bad: tuple[int, ...] = (), **kw) -> BatchLoader:
    paths = [picture(tmp_path / f"{i}.png", i) for i in range(n)]
    for row in bad:
        paths[row].write_bytes(b"no picture")
    return BatchLoader(
        split_of(Pictures(paths, np.arange(n) % 3, tmp_path), n),
        Preprocess(size=8),
        **{"batch_size": 3, "device": CPU, **kw},
    )


def same(one, other) -> bool:
    one, other = list(one), list(other)
    return len(one) == len(other) and all(
        torch.equal(a.x, b.x) and torch.equal(a.y, b.y) and np.array_equal(a.index, b.index)
        for a, b in zip(one, other, strict=True)
    )


def feeds(tmp_path):
    return [array_feed(), item_feed(Drawn()), picture_feed(tmp_path, bad=(3,))]
