"""Memory: blocks stay while a network computes, and the process is as before afterwards."""

import json
import subprocess
import sys
import threading

import pytest

from colab_kit.system import memory
from colab_kit.system.memory import KEPT, USUAL, is_set_up, large_blocks_kept

real = pytest.mark.skipif(memory._glibc() is None, reason="glibc's own memory is not in use here")
BLOCK = 48 << 20  # bytes: above what glibc keeps by itself


PROBE = f"""
import json, resource
import torch
from torch import nn
from colab_kit.system.memory import large_blocks_kept

net = nn.Sequential(nn.Conv2d(3, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 64, 1), nn.ReLU()).eval()
x = torch.zeros(16, 3, 224, 224)

def new_pages():
    pages = []
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        with torch.no_grad():
            net(x)
        pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return sum(pages[2:])

def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

new_pages()
outside = new_pages()
with large_blocks_kept():
    within = new_pages()
    blocks = [torch.ones({BLOCK} // 4) for _ in range(4)]
    small = torch.ones(1 << 12)  # lies behind them: their memory is in the middle
    del blocks
    inside = held()
print(json.dumps([outside, within, inside - held()]))
"""


@pytest.fixture(scope="module")
def probed() -> list:
    """What a process of its own sees: the suite's has holes everywhere."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=120
    )
    return json.loads(done.stdout)


@real
def test_a_network_asks_the_system_for_few_new_pages_within_and_for_all_elsewhere(probed):
    outside, within, _ = probed
    assert outside > 4 * within


@real
def test_what_was_kept_goes_back_to_the_system_at_the_end(probed):
    assert probed[2] > 3 * BLOCK


class Library:
    """Takes the place of glibc, and hears what is set."""

    def __init__(self):
        self.heard = []

    def mallopt(self, name, value):
        self.heard.append(value)
        return 1

    def malloc_trim(self, pad):
        self.heard.append("trim")


def test_the_last_to_leave_sets_it_back_whichever_thread_it_is(monkeypatch):
    library, entered, leave = Library(), threading.Event(), threading.Event()
    monkeypatch.setattr(memory, "_glibc", lambda: library)

    def other():
        with large_blocks_kept():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with pytest.raises(KeyError), large_blocks_kept():
        thread.start()
        assert entered.wait(10)
        raise KeyError
    assert library.heard == [KEPT, KEPT]
    leave.set()
    thread.join(10)
    assert library.heard == [KEPT, KEPT, USUAL, 2 * USUAL, "trim"]


@pytest.mark.parametrize(
    ("env", "is_so"),
    [
        ({}, False),
        ({"MALLOC_ARENA_MAX": "2", "GLIBC_TUNABLES": "glibc.rtld.nns=4"}, False),
        ({"MALLOC_TRIM_THRESHOLD_": "131072"}, True),
        ({"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=65536"}, True),
    ],
)
def test_what_the_user_has_set_up_is_seen(env, is_so):
    assert is_set_up(env) is is_so
