"""Copies and tries: a name is given to whole files only, and a failure is met as often as it deserves."""

from pathlib import Path

import pytest

from colab_kit.errors import FetchError
from colab_kit.system import copies
from colab_kit.system.copies import Copy, chunks_of, copy_whole, whole_folder
from colab_kit.system.files import sha256, whole_file, write_all
from colab_kit.system.retry import Patience, retry, server_pause


def test_a_copy_is_what_was_given_and_says_its_size_and_hash(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    sizes: list[int] = []
    copy = copy_whole(chunks_of(tmp_path / "a"), tmp_path / "b", wrote=sizes.append)
    assert copy == Copy(3_000_000, sha256(tmp_path / "b")) and sum(sizes) == 3_000_000
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def broken_chunks():
    yield b"half"
    raise KeyboardInterrupt


def test_whatever_ends_a_copy_the_old_file_stays_and_nothing_lies_beside_it(tmp_path, monkeypatch):
    (tmp_path / "b").write_text("old")

    def refuse(part: Path) -> None:
        raise FileExistsError(str(part))

    with pytest.raises(KeyboardInterrupt):
        copy_whole(broken_chunks(), tmp_path / "b")
    with pytest.raises(FileExistsError):
        copy_whole([b"new"], tmp_path / "b", finish=refuse)
    monkeypatch.setattr(copies, "sha256", lambda path: "0" * 64)
    with pytest.raises(OSError, match="reads back otherwise"):
        copy_whole([b"new"], tmp_path / "b")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("b", "old")]


def test_no_folder_is_made_for_a_copy(tmp_path):
    with pytest.raises(FileNotFoundError):
        copy_whole([b"new"], tmp_path / "gone" / "b")
    assert not (tmp_path / "gone").exists()


def test_a_name_that_just_fits_on_a_disk_has_a_neighbour_too(tmp_path):
    with whole_file(tmp_path / ("n" * 255)) as part:
        part.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["n" * 255]


def test_bytes_that_a_disk_takes_in_pieces_are_all_written():
    taken: list[bytes] = []

    def write(content: memoryview) -> int:
        taken.append(bytes(content[:2]))
        return len(taken[-1])

    write_all(write, b"abcde")
    assert taken == [b"ab", b"cd", b"e"]
    with pytest.raises(OSError, match="no more bytes"):
        write_all(lambda content: 0, b"a")


def test_a_folder_is_whole_or_absent_and_what_a_killed_call_left_goes(tmp_path):
    (tmp_path / ".pets.0123abcd.part").mkdir()
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "pets") as part:
        (part / "1").touch()
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
    with whole_folder(tmp_path / "pets") as part:
        (part / "1").touch()
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["pets", "pets/1"]


def failing(times: int, tries: int, wait: float | None = None):
    """An attempt that fails so many times, with an error worth so many tries."""
    failures = iter(range(times))

    def attempt() -> str:
        if next(failures, None) is None:
            return "done"
        error = FetchError("busy")
        error.tries, error.wait = tries, wait
        raise error

    return attempt


def test_a_server_is_asked_again_as_often_as_its_failure_deserves():
    waits: list[float] = []
    assert retry(failing(3, tries=4), server_pause, waits.append, on=FetchError) == "done"
    assert retry(failing(1, 4, wait=7.0), server_pause, waits.append, on=FetchError) == "done"
    assert waits == [1.0, 2.0, 4.0, 7.0]
    with pytest.raises(FetchError, match="busy"):
        retry(failing(2, tries=2), server_pause, waits.append, on=FetchError)
    assert waits[4:] == [1.0]


def test_progress_between_two_failures_starts_the_row_anew():
    patience, error = Patience(server_pause, step=10), FetchError("cut")
    error.tries = 3
    assert [patience.after(error, have) for have in (0, 15, 16)] == [1.0, 1.0, 2.0]
    with pytest.raises(FetchError):
        patience.after(error, 17)
