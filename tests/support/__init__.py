"""Helpers of the tests, and how much of a long test one run does."""

import os

LONG = bool(os.environ.get("COLAB_KIT_LONG"))  # set by .ci/nightly


def examples(most: int) -> int:
    """How many examples a property draws: all with COLAB_KIT_LONG, else the first quarter."""
    return most if LONG else most // 4
