"""What the tests of loading share: a quiet load(), a refusal, and a small set of arrays."""

import numpy as np
import pytest
import torch
from torch.utils.data import (
    Dataset,
)

from colab_kit.data.loading import load as really_load
from colab_kit.errors import DataError


def load(source, **kw):
    return really_load(source, **{"quiet": True, **kw})


def refused(source, *words, **kw):
    """Loading fails, and what it says holds these words and a fix."""
    with pytest.raises(DataError) as caught:
        load(source, **kw)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert caught.value.fix
    return caught.value


X = np.arange(40 * 6 * 5, dtype=np.uint8).reshape(40, 6, 5)
Y = np.repeat([0, 1, 2, 3], 10)


class Mnist(Dataset):
    """As torchvision's MNIST is."""

    classes = ["0 - zero", "1 - one", "2 - two", "3 - three"]

    def __init__(self, transform=None, twist=0):
        self.data, self.targets, self.transform, self.twist = (
            torch.from_numpy(X.copy()),
            torch.from_numpy(Y),
            transform,
            twist,
        )
        self.root = "/content/somewhere"

    def __len__(self):
        return len(self.data)

    def __getitem__(self, row):
        x = self.data[row].numpy() + np.uint8(self.twist)
        return (self.transform(x) if self.transform else x), int(self.targets[row])


def to_float(x):
    return torch.from_numpy(x).float()[None] / 255


class Own(Dataset):
    """A user's own: no attribute says what it holds."""

    def __len__(self):
        return 12

    def __getitem__(self, row):
        self.reads = getattr(self, "reads", 0) + 1
        return torch.full((1, 4, 4), float(row)) + torch.rand(1), torch.tensor(row % 3)


def table(rows, sep=","):
    return "\n".join(sep.join(row) for row in rows).encode()


NAMED = [(f"p{n}.png", "cat" if n % 2 else "dog") for n in range(12)]
