"""Randomness as a function: equal keys, equal draws, and the outer streams untouched."""

import random

import numpy as np
import torch

from colab_kit.data import keyed_random


def test_a_key_is_the_same_on_every_machine():
    assert (
        keyed_random.mix(1, 2, 3) == 0x48CF5028B6DF10DB and keyed_random.mix() == 0x9E3779B97F4A7C15
    )
    assert keyed_random.permutation(8, 0, keyed_random.ORDER, 3).tolist() == [
        2,
        6,
        5,
        0,
        3,
        7,
        1,
        4,
    ]


def test_a_permutation_holds_each_row_once_and_differs_by_key():
    orders = [keyed_random.permutation(1000, 0, keyed_random.ORDER, epoch) for epoch in range(3)]
    assert all(np.array_equal(np.sort(order), np.arange(1000)) for order in orders)
    assert not np.array_equal(orders[0], orders[1]) and np.array_equal(
        orders[0], keyed_random.permutation(1000, 0, keyed_random.ORDER, 0)
    )


def test_each_number_of_a_key_and_its_place_count():
    keys = {
        keyed_random.mix(*numbers)
        for numbers in [
            (1, 2, 3),
            (3, 2, 1),
            (1, 2),
            (1, 2, 0),
            (0, 1, 2),
            (-1, 2, 3),
            (2**64 + 1, 2, 4),
        ]
    }
    assert len(keys) == 7


def test_hashes_of_many_numbers_spread_evenly():
    shares = keyed_random.hashes(keyed_random.mix(7), np.arange(100_000)) / 2**64
    assert abs(shares.mean() - 0.5) < 0.005 and np.histogram(shares, 10)[0].min() > 9500


def test_seeding_makes_all_three_streams_functions_of_the_key():
    def draws(*key):
        keyed_random.seed_all(*key)
        return random.random(), np.random.rand(), torch.rand(1).item()

    with keyed_random.outer_streams_kept():
        assert draws(1, 2) == draws(1, 2) and not set(draws(1, 2)) & set(draws(1, 3))


def test_what_is_drawn_outside_stays_as_it_was():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    keyed_random.seed_all(5)
    expected = draw()
    keyed_random.seed_all(5)
    with keyed_random.outer_streams_kept():
        keyed_random.seed_all(6)
        draw()
    assert draw() == expected


def test_private_generators_are_keyed_and_leave_the_process_alone():
    state = torch.default_generator.get_state()
    assert np.array_equal(
        keyed_random.numpy_generator(1, 2).random(3), keyed_random.numpy_generator(1, 2).random(3)
    )
    assert torch.equal(state, torch.default_generator.get_state())
