"""A small set of each format of arrays, as its publisher packs it."""

import gzip
import struct

import numpy as np

from colab_kit.data.formats import idx

from ...support import tiny_sets
from ...support.cut_fashion_mini import idx_bytes
from ...support.pictures import blank

N = 12  # pictures a split


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def numbers(n=N, first=0):
    """Class numbers, three of them."""
    return np.arange(n) % 3 + first


def idx_folder(folder):
    for name in idx.NAMES:
        array = pixels(N, 5, 4) if "images" in name else numbers()
        blank(folder / f"{name}.gz", gzip.compress(idx_bytes(array)))
    return folder


def cifar_folder(folder):
    for name, content in tiny_sets.cifar()[0].items():
        blank(folder / name, content)
    return folder


def cifar_binary(folder):
    for n, name in enumerate((*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")):
        rows = np.concatenate([numbers()[:, None].astype(np.uint8), pixels(N, 3072, seed=n)], 1)
        blank(folder / f"{name}.bin", rows.tobytes())
    blank(folder / "batches.meta.txt", b"airplane\nautomobile\nbird\n\n")
    return folder


def stl10_folder(folder):
    for split in ("train", "test"):
        blank(folder / f"{split}_X.bin", pixels(N, 3, 96, 96).tobytes())
        blank(folder / f"{split}_y.bin", numbers(first=1).astype(np.uint8).tobytes())
    blank(folder / "class_names.txt", b"airplane-of-the-sky\nbird\ncar\n")
    return folder


def npz_folder(folder):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = pixels(N, 9, 9, 3)
        arrays[f"{split}_labels"] = numbers()[:, None]
    np.savez_compressed(folder / "medmnist.npz", **arrays)
    return folder


def npy_folder(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        np.save(folder / f"x_{split}.npy", pixels(N, 9, 9, 3))
        np.save(folder / f"y_{split}.npy", numbers())
    return folder


def matlab_folder(folder):
    for split in ("train", "test"):
        x, y = pixels(32, 32, 3, N), (numbers() + 8)[:, None].astype(np.uint8)
        blank(folder / f"{split}_32x32.mat", tiny_sets.mat(X=x, y=y))
    return folder


def table_folder(folder):
    for split in ("train", "test"):
        blank(folder / f"{split}.csv", table(pixels(N, 64), numbers()).encode())
    return folder


def table(x, labels=None, names=None):
    """A table of pixels: the label first, then a column a pixel."""
    names = [f"pixel{n}" for n in range(x.shape[1])] if names is None else list(names)
    head = ["label"] * (labels is not None) + names
    rows = [",".join(map(str, row)) for row in x]
    if labels is not None:
        rows = [f"{label},{row}" for label, row in zip(labels, rows, strict=True)]
    return "\n".join([",".join(head)] * bool(names) + rows) + "\n"


def idx_of(array, code=8, dtype="u1"):
    """An idx file of any type, packed."""
    array = np.asarray(array)
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.astype(dtype).tobytes())
