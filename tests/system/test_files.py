"""Files: whole or absent, and sealed by their own hash."""

import errno
import io
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from colab_kit.errors import RunError
from colab_kit.events import set_milestone_hook
from colab_kit.system import files
from colab_kit.system.files import (
    SEAL,
    cannot_write,
    is_whole,
    make,
    seal,
    seal_holds,
    stamp,
    sweep,
    write_json,
    write_whole,
)

from ..support.worlds import deletions

POINTS = ("mid_write", "before_rename")


def sealed() -> bytes:
    return seal(
        save(
            {"a": torch.arange(6.0), "b": torch.ones(3, dtype=torch.int64)},
            {"sha256": SEAL, "facts": json.dumps({"sha256": "x" * 64})},
        )
    )


def fault(at: str, err: BaseException):
    def strike(point: str, path: Path | None) -> None:
        if point == at:
            raise err

    set_milestone_hook(strike)


# --- written beside, then renamed ---------------------------------------------------------------------------------


def test_what_was_written_is_read_back_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "x.txt"
    write_whole(path, "grüße")
    write_whole(path.with_name("y.bin"), b"\x00\xff")
    assert (
        path.read_text("utf-8") == "grüße" and path.with_name("y.bin").read_bytes() == b"\x00\xff"
    )
    assert sorted(p.name for p in path.parent.iterdir()) == ["x.txt", "y.bin"]


def test_the_points_are_passed_in_order_and_the_file_appears_at_the_last(tmp_path):
    path, seen = tmp_path / "x", []
    set_milestone_hook(lambda point, written: seen.append((point, written.exists())))
    write_whole(path, b"1234")
    assert seen == [("mid_write", False), ("before_rename", False), ("after_rename", True)]


@pytest.mark.parametrize("at", POINTS)
@pytest.mark.parametrize(
    "err",
    [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "Input/output error")],
)
def test_a_disk_that_fails_in_the_middle_leaves_the_old_file_and_no_neighbour(tmp_path, at, err):
    path = tmp_path / "x"
    write_whole(path, "old")
    fault(at, err)
    with pytest.raises(RunError) as caught:
        write_whole(path, "new and longer")
    assert (
        path.read_text() == "old"
        and list(tmp_path.iterdir()) == [path]
        and caught.value.__cause__ is err
    )


@pytest.mark.parametrize("at", POINTS)
def test_an_interrupt_in_the_middle_passes_as_it_is_and_leaves_no_neighbour(tmp_path, at):
    fault(at, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "x", "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at", POINTS)
def test_a_kill_in_the_middle_leaves_the_old_file_and_a_neighbour_that_sweep_removes(tmp_path, at):
    path = tmp_path / "x"
    write_whole(path, "old")
    child = os.fork()
    if child == 0:
        set_milestone_hook(
            lambda point, path: os.kill(os.getpid(), signal.SIGKILL) if point == at else None
        )
        write_whole(path, "new")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_sweep_takes_only_what_write_whole_left(tmp_path):
    mine = [".hidden.part", "x.part", ".x.1234567.part", ".x.1234567g.part", "a.12345678.part"]
    for name in [*mine, ".x.12345678.part"]:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(mine)
    sweep(tmp_path / "nowhere")


def test_what_is_thrown_away_is_emptied_first_since_the_trash_of_drive_counts(
    tmp_path, monkeypatch
):
    deleted = deletions(monkeypatch)
    (tmp_path / ".x.12345678.part").write_text("half")
    sweep(tmp_path)
    fault("before_rename", OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(RunError):
        write_whole(tmp_path / "x", "new")
    assert [size for _, size in deleted] == [0, 0] and list(tmp_path.iterdir()) == []


def test_a_name_that_no_disk_takes_is_an_error_of_ours(tmp_path):
    with pytest.raises(RunError):
        write_whole(tmp_path / ("n" * 300), "x")


def test_a_file_where_a_folder_is_needed_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "x", tmp_path / "file" / "deeper" / "x"):
        with pytest.raises(RunError, match="a file stands where a folder is needed"):
            write_whole(path, "x")


def test_json_is_written_whole_and_readable_by_eye(tmp_path):
    write_json(tmp_path / "x.json", {"name": "é", "n": [1, None]})
    text = (tmp_path / "x.json").read_text("utf-8")
    assert json.loads(text) == {"name": "é", "n": [1, None]} and "é" in text and text.endswith("\n")
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", object())
    assert (tmp_path / "x.json").read_text("utf-8") == text


@pytest.mark.parametrize(
    ("number", "why", "fix"),
    [
        (errno.ENOSPC, "the disk is full", "free some room"), (errno.EDQUOT, "the disk is full", "free some room"),
        (errno.EROFS, "read-only", "a folder that can be written"), (errno.EACCES, "read-only", "COLAB_KIT_HOME"),
        (errno.EPERM, "read-only", "run_dir="),
        (errno.ENOTDIR, "a file stands", "move that file away"), (errno.EEXIST, "a file stands", "another name"),
        (errno.EIO, os.strerror(errno.EIO), "give a path that can be made"), (None, "odd", "give a path that can be made"),
    ],
)  # fmt: skip
def test_a_write_that_failed_says_why_and_what_to_do(number, why, fix):
    err = cannot_write(
        Path("/r/x"), OSError(number, os.strerror(number)) if number else OSError("odd")
    )
    assert err.what == "/r/x could not be written." and why in err.why and fix in err.fix


def test_an_error_that_is_ours_already_stays_as_it_is():
    mine = RunError("a", "b", "c")
    assert cannot_write(Path("x"), mine) is mine


# --- sealed -------------------------------------------------------------------------------------------------------


def test_a_sealed_file_is_whole_and_still_safetensors(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(sealed())
    from safetensors.torch import load_file

    assert is_whole(path) and torch.equal(load_file(path)["a"], torch.arange(6.0))


def test_every_single_flipped_bit_is_seen(tmp_path):
    content, path = bytearray(sealed()), tmp_path / "x"
    for at in range(len(content)):
        content[at] ^= 1 << at % 8
        path.write_bytes(content)
        assert not is_whole(path), f"byte {at} of {len(content)}"
        content[at] ^= 1 << at % 8
    path.write_bytes(content)
    assert is_whole(path)


def test_every_truncation_and_every_added_tail_is_seen(tmp_path):
    content, path = sealed(), tmp_path / "x"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert not is_whole(path), length
    for tail in (b"\0", b" ", content):
        path.write_bytes(content + tail)
        assert not is_whole(path)


def test_what_was_never_sealed_is_not_whole(tmp_path):
    path = tmp_path / "x"
    for content in (
        b"",
        b"\0" * 100,
        b"\xff" * 100,
        save({"a": torch.ones(2)}),
        save({"a": torch.ones(2)}, {"sha256": SEAL}),
    ):
        path.write_bytes(content)
        assert not is_whole(path)
    assert not is_whole(tmp_path / "nowhere") and not is_whole(tmp_path)


def test_a_stamp_is_read_from_the_header_alone(tmp_path):
    mark = {"sha256": SEAL, "start": "s", "step": "12", "facts": "{}"}
    path = tmp_path / "x.safetensors"
    path.write_bytes(seal(save({"a": torch.zeros(100)}, mark)))
    found = stamp(path)
    assert found is not None and {**found, "sha256": SEAL} == mark and found["sha256"] != SEAL
    os.truncate(path, 8 + int.from_bytes(path.read_bytes()[:8], "little"))
    assert stamp(path) == found and not is_whole(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x05",
        b"\xff" * 50,
        b"\x02" + b"\0" * 7 + b"{}",
        b"\x02" + b"\0" * 7 + b"[]",
        "unsealed",
        "no step",
    ],
)
def test_what_has_no_stamp_of_ours_has_none(tmp_path, content):
    path = tmp_path / "x.safetensors"
    if isinstance(content, str):
        content = save(
            {"a": torch.zeros(1)},
            None if content == "unsealed" else {"sha256": SEAL, "start": "s", "step": "?"},
        )
    path.write_bytes(content)
    assert stamp(path) is None
    assert stamp(tmp_path / "nowhere") is None


def test_a_disk_that_does_not_give_a_file_is_not_taken_for_damage():
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        seal_holds(Failing(sealed()))
    assert seal_holds(io.BytesIO(sealed())) and not seal_holds(io.BytesIO(sealed()[:-1]))


def test_a_seal_needs_an_open_place_in_the_header():
    for content in (save({"a": torch.ones(2)}), sealed(), b""):
        with pytest.raises(ValueError, match="open seal"):
            seal(content)


def test_the_hash_reads_a_file_longer_than_one_chunk(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(seal(save({"a": torch.zeros(files.CHUNK // 2)}, {"sha256": SEAL})))
    assert is_whole(path)
    with open(path, "r+b") as file:
        file.seek(files.CHUNK + 50_000)
        file.write(b"\1")
    assert not is_whole(path)


def test_home_is_what_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path))
    assert files.home() == tmp_path
    monkeypatch.delenv("COLAB_KIT_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert files.home() == tmp_path / "cache" / "colab-kit" or os.path.exists("/var/colab/hostname")


def test_a_hash_is_the_one_that_sha256sum_gives(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert (
        files.sha256(tmp_path / "x")
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@pytest.mark.parametrize("top", ["MyDrive", "My Drive", "Shareddrives"])
def test_nothing_is_made_of_a_drive_that_is_not_there(tmp_path, top):
    for write in (
        lambda: write_whole(tmp_path / top / "deep" / "a.csv", "x"),
        lambda: make(tmp_path / top),
        lambda: make(tmp_path / top / "a"),
    ):
        with pytest.raises(RunError, match="lies on a Drive that is not there(.|\n)*kit.mount"):
            write()
    assert not list(tmp_path.iterdir())
    (tmp_path / top).mkdir()
    write_whole(tmp_path / top / "deep" / "a.csv", "x")
    assert (tmp_path / top / "deep" / "a.csv").read_text() == "x"
