"""Damaged pictures of ten formats through load, train and predict: none crashes, hangs or swells."""

import sys

import pytest

from tests.support import LONG
from tests.support.forks import Forks

EACH = 100  # pictures of one process
SEEDS = 50 if LONG else 1


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a child is counted in KiB there")
def test_no_damaged_picture_crashes_hangs_or_takes_a_gigabyte(tmp_path):
    with Forks("tests.support.picture_fuzz") as forks:
        ends = {
            seed: forks.run("chew", folder=str(tmp_path / str(seed) / "set"), seed=seed, count=EACH)
            for seed in range(SEEDS)
        }
    assert not {seed: code for seed, code in ends.items() if code}
