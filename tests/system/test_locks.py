"""The lock of a folder: one writer at a time, and a killed one's lock is free at once."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch.utils.data import DataLoader, TensorDataset

from colab_kit.errors import RunError, RunInUse
from colab_kit.system import locks
from colab_kit.system.locks import hold_again, one_writer

HOLD = "import sys; sys.path.insert(0, sys.argv[2])\nfrom pathlib import Path\nfrom colab_kit.system.locks import one_writer\n"
HOLD += "with one_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
    folder = tmp_path / "run"
    root = str(Path(locks.__file__).parents[2])
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
    with (
        pytest.raises(
            RunError, match=r"written by another process(.|\n)*\(process \d+, since 2\d\d\d-"
        ),
        one_writer(folder),
    ):
        pass
    other.kill()
    other.communicate()
    with one_writer(folder):
        assert (folder / ".lock").exists()


def test_a_second_writer_in_this_process_is_refused_too_and_the_lock_is_given_back(tmp_path):
    for _ in range(2):
        with (
            one_writer(tmp_path),
            pytest.raises(RunError, match="stop it there first"),
            one_writer(tmp_path),
        ):
            pass
    with pytest.raises(ZeroDivisionError), one_writer(tmp_path):
        raise ZeroDivisionError
    with one_writer(tmp_path):
        pass


def test_a_killed_writers_child_does_not_keep_the_lock(tmp_path):
    """A DataLoader's workers outlive a killed training by five seconds; the cell that goes on must not wait for them."""
    child = os.fork()
    if child == 0:
        with one_writer(tmp_path / "run"):
            batches = iter(DataLoader(TensorDataset(torch.zeros(64, 1)), 1, num_workers=1))
            next(batches)
            (tmp_path / "worker").write_text(str(batches._workers[0].pid))
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    worker = int((tmp_path / "worker").read_text())
    os.kill(worker, 0)  # it lives on
    with one_writer(tmp_path / "run"):
        os.kill(worker, signal.SIGKILL)


def test_a_folder_deleted_while_it_is_held_is_held_again(tmp_path):
    folder = tmp_path / "run"
    with one_writer(folder):
        shutil.rmtree(folder)
        hold_again(folder)
        with pytest.raises(RunInUse), one_writer(folder):
            pass
    with one_writer(folder):  # both locks are given back
        pass


def test_a_folder_deleted_while_it_is_held_may_be_another_ones_by_then(tmp_path):
    folder = tmp_path / "run"
    with one_writer(folder):
        shutil.rmtree(folder)
        folder.mkdir()
        with FileLock(folder / ".lock", timeout=0), pytest.raises(RunInUse):
            hold_again(folder)
        assert list(folder.iterdir()) == [folder / ".lock"]


def test_a_lock_that_is_there_is_not_taken_twice(tmp_path):
    with one_writer(tmp_path):
        before = (tmp_path / ".lock").stat().st_ino
        hold_again(tmp_path)
        assert (tmp_path / ".lock").stat().st_ino == before


def test_a_folder_that_cannot_be_locked_says_why(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="a file stands"), one_writer(tmp_path / "file"):
        pass


def test_a_new_folder_in_which_nothing_was_written_is_gone_again(tmp_path):
    with one_writer(tmp_path / "empty"):
        pass
    with one_writer(tmp_path / "full"):
        (tmp_path / "full" / "x").touch()
    (tmp_path / "old").mkdir()
    with one_writer(tmp_path / "old"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "old"]
