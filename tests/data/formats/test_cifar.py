"""CIFAR: the same pictures and names as torchvision reads, and no code of a batch is run."""

import os
import pickle

import numpy as np
import pytest
import torch

from colab_kit.data.formats import cifar
from colab_kit.errors import DataError

from ...support import tiny_sets
from ...support.pictures import blank
from . import samples


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.mark.parametrize("fine", [False, True])
def test_cifar_is_what_torchvision_reads(tmp_path, fine):
    files, parser = tiny_sets.cifar(fine)
    for name, content in files.items():
        blank(tmp_path / name, content)
    splits = cifar.read(tmp_path).splits
    for split, part in splits.items():
        theirs = parser(tmp_path, train=split == "train")
        x = part.make(part.labels).x
        assert x.dtype == torch.uint8 and (x.movedim(1, 3).numpy() == theirs.data).all()
        assert part.labels.tolist() == theirs.targets and part.labels.dtype == np.int64
        assert list(part.classes) == theirs.classes


def test_the_binary_form_is_read_row_by_row(tmp_path):
    part = cifar.read(samples.cifar_binary(tmp_path)).splits["train"]
    x = part.make(part.labels).x
    assert part.labels[: samples.N].tolist() == samples.numbers().tolist()
    assert (x[: samples.N].numpy().reshape(samples.N, -1) == samples.pixels(samples.N, 3072)).all()
    assert part.classes == ("airplane", "automobile", "bird")


def test_of_cifar_100s_binary_form_the_fine_label_counts(tmp_path):
    for split in ("train", "test"):
        fine, coarse = np.array([[2], [0], [1]], np.uint8), np.array([[9], [9], [8]], np.uint8)
        rows = np.concatenate([coarse, fine, samples.pixels(3, 3072)], 1)
        blank(tmp_path / f"{split}.bin", rows.tobytes())
    blank(tmp_path / "fine_label_names.txt", b"apple\nbear\ncup\n")
    part = cifar.read(tmp_path).splits["train"]
    assert part.labels.tolist() == [2, 0, 1] and part.classes == ("apple", "bear", "cup")


@pytest.mark.parametrize("file", ["data_batch_2", "test_batch", "batches.meta"])
def test_a_batch_that_would_run_code_is_refused_by_name(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    samples.cifar_folder(tmp_path)
    blank(tmp_path / "cifar-10-batches-py" / file, pickle.dumps(Evil()))
    with pytest.raises(DataError, match="mkdir") as caught:
        cifar.read(tmp_path)
    assert not os.path.exists("evil") and file in caught.value.what
    pickle.loads(pickle.dumps(Evil()))
    assert os.path.exists("evil")  # it would have worked


@pytest.mark.parametrize("lay", [samples.cifar_folder, samples.cifar_binary])
def test_a_missing_batch_is_named(tmp_path, lay):
    lay(tmp_path)
    next(tmp_path.rglob("data_batch_3*")).unlink()
    with pytest.raises(DataError, match="lacks data_batch_3"):
        cifar.read(tmp_path)


def test_a_batch_with_fewer_rows_than_the_others_is_named(tmp_path):
    path = samples.cifar_binary(tmp_path) / "data_batch_4.bin"
    path.write_bytes(path.read_bytes()[: 3073 * 5])
    with pytest.raises(DataError, match=r"data_batch_4\.bin is damaged"):
        cifar.read(tmp_path)


def test_a_label_without_a_name_is_refused(tmp_path):
    samples.cifar_binary(tmp_path)
    blank(tmp_path / "batches.meta.txt", b"airplane\nautomobile\n")
    with pytest.raises(DataError, match="do not fit"):
        cifar.read(tmp_path)
