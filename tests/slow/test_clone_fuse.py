"""clone() on a real FUSE mount: cloned, brought up to date, a killed git's lock removed, changes
of the user kept.
"""

import os
import shutil
import subprocess

import pytest

from colab_kit.fetching.clone import clone

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(at, *words):
    return subprocess.run(
        ["git", *words], cwd=at, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(at, name, content):
    (at / name).write_text(content)
    git(at, "add", "-A")
    git(at, "commit", "-q", "-m", name)
    return git(at, "rev-parse", "HEAD")


def test_a_clone_on_drive_is_brought_up_to_date(fuse_drive, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ann")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ann@example.org")
    course = tmp_path / "course"
    course.mkdir()
    git(course, "init", "-q", "-b", "main")
    commit(course, "train.py", "one")
    to = fuse_drive / "course"
    first = clone(course.as_uri(), to, quiet=True)
    assert first.changed and (to / "train.py").read_text() == "one"
    new = commit(course, "train.py", "two")
    again = clone(course.as_uri(), to, quiet=True)
    assert again.changed and again.commit == new and (to / "train.py").read_text() == "two"
    (to / ".git" / "index.lock").touch()  # as a killed git leaves it
    new = commit(course, "more.py", "three")
    assert (
        clone(course.as_uri(), to, quiet=True).commit == new
        and (to / "more.py").read_text() == "three"
    )
    (to / "train.py").write_text("mine")
    commit(course, "train.py", "four")
    assert (
        not clone(course.as_uri(), to, quiet=True).changed
        and (to / "train.py").read_text() == "mine"
    )
    assert (
        clone(course.as_uri(), to, force=True, quiet=True).changed
        and (to / "train.py").read_text() == "four"
    )
