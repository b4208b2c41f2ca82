"""Ahead: memory is given out again once nobody holds it, and not before."""

import threading

import numpy as np
import torch

from colab_kit.data.prefetch import Buffers, crew


def test_memory_is_used_again_once_nobody_holds_it():
    buffers = Buffers()
    first = buffers.take((4, 2), np.float32)
    where = first.ctypes.data
    del first
    assert buffers.take((4, 2), np.float32).ctypes.data == where


def test_what_somebody_holds_stays_whatever_they_hold_of_it():
    buffers = Buffers()
    first = torch.from_numpy(buffers.take((4, 2), np.float32))
    where, part = first.data_ptr(), first.view(2, 4)[1]
    del first
    assert buffers.take((4, 2), np.float32).ctypes.data != where
    del part
    assert buffers.take((4, 2), np.float32).ctypes.data == where


def test_another_shape_or_type_is_other_memory():
    buffers = Buffers()
    found = [
        buffers.take((4,), np.float32),
        buffers.take((4,), np.uint8),
        buffers.take((2, 2), np.float32),
    ]
    assert [(array.shape, array.dtype) for array in found] == [
        ((4,), np.float32),
        ((4,), np.uint8),
        ((2, 2), np.float32),
    ]


def test_who_keeps_all_gets_fresh_memory_without_end():
    buffers = Buffers()
    kept = [buffers.take((3,), np.uint8) for _ in range(3 * Buffers.MOST)]
    assert len({array.ctypes.data for array in kept}) == len(kept)


def test_two_threads_never_get_the_same_memory():
    buffers, clashes = Buffers(), []

    def work(number: int) -> None:
        for _ in range(300):
            array = buffers.take((64,), np.int64)
            array[:] = number
            if not (array == number).all():
                clashes.append(number)
            del array

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not clashes


def test_the_crew_is_one_thread_a_core():
    pool, cores = crew()
    assert cores >= 1 and crew() == (pool, cores) and sum(pool.map(int, range(10))) == 45
