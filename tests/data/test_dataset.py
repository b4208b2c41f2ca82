"""Splits: a stratified, keyed draw, and the sources it chooses from."""

import numpy as np
import pytest
import torch

from colab_kit.data.dataset import Data, Split, default_share, stratified
from colab_kit.data.sources import Arrays, Items, Pictures
from colab_kit.data.targets import UNLABELLED

from ..support.pictures import picture


def test_a_share_of_each_class_is_drawn_and_every_row_is_in_one_part():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    kept, drawn = stratified(labels, 0.2, seed=0)
    assert np.bincount(labels[drawn]).tolist() == [20, 10, 2]
    assert (
        np.array_equal(np.sort(np.concatenate([kept, drawn])), np.arange(160))
        and (np.diff(drawn) > 0).all()
    )


def test_small_classes_give_one_picture_and_never_their_last():
    labels = np.array([0, 0, 1, 2, 2, 2])
    kept, drawn = stratified(labels, 0.01, seed=0)
    assert np.bincount(labels[drawn], minlength=3).tolist() == [1, 0, 1]
    kept, drawn = stratified(labels, 0.99, seed=0)
    assert set(labels[kept]) == {0, 1, 2}


def test_rows_without_a_label_are_never_drawn():
    labels = np.array([UNLABELLED] * 50 + [0] * 10)
    assert (labels[stratified(labels, 0.5, seed=0)[1]] == 0).all()


def test_the_draw_is_a_function_of_seed_and_class_alone():
    labels = np.repeat([0, 1], 50)
    first, same, other = (stratified(labels, 0.2, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, same) and not np.array_equal(first, other)
    more = np.concatenate([labels, np.full(50, 2)])  # another class beside them changes nothing
    assert np.array_equal(stratified(more, 0.2, 0)[1][:20], first)


def test_the_share_is_smaller_where_there_is_much():
    assert (default_share(19_999), default_share(20_000)) == (0.2, 0.1)


def test_a_split_gives_pictures_labels_and_paths_in_its_own_order(tmp_path):
    paths = [picture(tmp_path / f"{n}.png", n, size=(3 + n, 5)) for n in range(4)]
    split = Split(Pictures(paths, np.array([0, 1, 0, 1]), tmp_path), np.array([3, 0]), "valid")
    assert (
        len(split) == 2 and split.labels.tolist() == [1, 0] and split.paths == [paths[3], paths[0]]
    )
    pixels, label = split[0]
    assert pixels.shape == (5, 6, 3) and pixels.dtype == np.uint8 and label == 1


@pytest.mark.parametrize(
    "x", [torch.arange(48).reshape(2, 1, 4, 6), torch.arange(24.0).reshape(2, 12)]
)
def test_arrays_of_any_kind_have_a_picture_to_look_at(x):
    source = Arrays(x.to(torch.uint8) if x.ndim == 4 else x, np.array([0, 1]))
    pixels = source.picture(1)
    assert (
        pixels.dtype == np.uint8
        and pixels.ndim == 3
        and pixels.max() == (47 if x.ndim == 4 else 255)
    )
    assert Split(source, np.arange(2)).paths is None


def test_a_users_items_have_a_picture_to_look_at():
    items = Items(
        [
            (torch.zeros(3, 4, 5), 0),
            (np.zeros((4, 5, 3), np.uint8), 1),
            (np.zeros((4, 5), np.uint8), 1),
        ],
        np.array([0, 1, 1]),
    )
    assert [items.picture(row).shape for row in range(3)] == [(4, 5, 3)] * 3


def test_counts_name_each_class_of_each_split_and_pass_over_the_unlabelled():
    source = Arrays(
        torch.zeros(6, 1, 2, 2, dtype=torch.uint8), np.array([0, 0, 1, 0, UNLABELLED, UNLABELLED])
    )
    valid, test = Split(source, np.array([3]), "valid"), Split(source, np.array([4, 5]), "test")
    data = Data(Split(source, np.arange(3)), valid, test, ("a", "b"), "x", "f")
    assert data.counts == {
        "train": {"a": 2, "b": 1},
        "valid": {"a": 1, "b": 0},
        "test": {"a": 0, "b": 0},
    }
    assert list(data.splits) == ["train", "valid", "test"]
