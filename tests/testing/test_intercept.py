"""Reach: this process's file calls in a folder meet the plan, and everything is put back."""

import builtins
import errno
import glob
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from pathlib import Path

import pytest

from colab_kit.testing import watch
from colab_kit.testing.faults import CHANGING, Faults
from colab_kit.testing.intercept import _SUPPORTS, Reach, exempt

HERE = vars(sys.modules[__name__])
CHANGED = {
    "io.open": (io, "open"),
    "builtins.open": (builtins, "open"),
    "tarfile.bltn_open": (tarfile, "bltn_open"),
}


def made(place):
    folder = place / "drive"
    (folder / "MyDrive" / "sub").mkdir(parents=True)
    (folder / "My Drive").symlink_to("MyDrive")
    (folder / "MyDrive" / "old.txt").write_text("old\nlines\n")
    return folder


@pytest.fixture
def drive(tmp_path):
    return made(tmp_path)


@pytest.fixture
def faults():
    return Faults(sleep=lambda seconds: None)


@pytest.fixture
def reach(drive, faults):
    with Reach(drive, faults) as active:
        yield active


def struck(call, *args, **more) -> OSError:
    with pytest.raises(OSError) as caught:
        call(*args, **more)
    return caught.value


# --- each call meets the plan ---

CALLS = {  # what a person writes: the operation it is
    "open r": (lambda p: open(p), "open"),
    "open w": (lambda p: open(p, "w"), "truncate"),
    "open x": (lambda p: open(p.with_name("new"), "x"), "create"),
    "open a": (lambda p: open(p.with_name("new"), "ab"), "create"),
    "io.open": (lambda p: io.open(str(p), "rb"), "open"),  # noqa: UP020
    "os.open": (lambda p: os.open(os.fsencode(p), os.O_RDONLY), "open"),
    "read": (lambda p: open(p).read(), "read"),
    "readline": (lambda p: open(p).readline(), "read"),
    "raw read": (lambda p: open(p, "rb", buffering=0).read(2), "read"),
    "readinto": (lambda p: open(p, "rb").readinto(bytearray(4)), "read"),
    "read_text": (Path.read_text, "read"),
    "read_bytes": (Path.read_bytes, "read"),
    "write_text": (lambda p: p.write_text("new"), "write"),
    "append": (lambda p: open(p, "a").write("x" * 100_000), "write"),
    "truncate": (lambda p: open(p, "r+").truncate(1), "truncate"),
    "close": (lambda p: open(p, "w").close(), "flush"),
    "fsync": (lambda p: os.fsync(open(p, "w")), "flush"),
    "os.stat": (lambda p: os.stat(p), "stat"),
    "os.stat str": (lambda p: os.stat(path=str(p), follow_symlinks=False), "stat"),
    "os.lstat": (lambda p: os.lstat(p), "stat"),
    "Path.stat": (Path.stat, "stat"),
    "getsize": (os.path.getsize, "stat"),
    "listdir": (lambda p: os.listdir(p.parent), "list"),
    "scandir": (lambda p: os.scandir(p.parent), "list"),
    "iterdir": (lambda p: list(p.parent.iterdir()), "list"),
    "mkdir": (lambda p: p.with_name("new").mkdir(), "mkdir"),
    "makedirs": (lambda p: os.makedirs(p.with_name("a") / "b"), "mkdir"),
    "rmdir": (lambda p: p.with_name("sub").rmdir(), "rmdir"),
    "rename": (lambda p: p.rename(p.with_name("new")), "rename"),
    "replace": (lambda p: os.replace(str(p), p.with_name("new")), "rename"),
    "remove": (lambda p: os.remove(p), "unlink"),
    "unlink": (Path.unlink, "unlink"),
    "rmtree": (lambda p: shutil.rmtree(p.parent), "unlink"),
    "os.truncate": (lambda p: os.truncate(p, 1), "truncate"),
    "utime": (lambda p: os.utime(p), "attributes"),
    "touch": (lambda p: p.with_name("new").touch(), "create"),
    "chmod": (lambda p: p.chmod(0o600), "attributes"),
    "symlink": (lambda p: p.with_name("new").symlink_to(p), "create"),
    "link": (lambda p: os.link(p, p.with_name("new")), "create"),
    "readlink": (lambda p: os.readlink(p.parent.parent / "My Drive"), "stat"),
    "statvfs": (lambda p: os.statvfs(p), "free"),
    "disk_usage": (lambda p: shutil.disk_usage(p.parent), "free"),
    "copy from": (lambda p: shutil.copy(p, p.parents[2] / "out.txt"), "read"),
    "copy to": (lambda p: shutil.copyfile(__file__, p.with_name("new")), "write"),
    "copy2 to": (lambda p: shutil.copy2(__file__, p.with_name("new")), "attributes"),
    "chdir": (lambda p: os.chdir(p.parent), "stat"),
    "zip": (lambda p: zipfile.ZipFile(p.with_name("z.zip"), "w").writestr("a", "b"), "write"),
    "tar": (lambda p: tarfile.open(p.with_name("t.tar"), "w"), "create"),
    "tempfile": (
        lambda p: tempfile.NamedTemporaryFile(dir=p.parent, delete=False).close(),
        "create",
    ),
    "tempfile write": (
        lambda p: tempfile.NamedTemporaryFile(dir=p.parent, buffering=0, delete=False).write(b"x"),
        "write",
    ),
    "fdopen": (lambda p: os.fdopen(os.open(p, os.O_RDWR), "rb").read(), "read"),
    "os.write": (lambda p: os.write(os.open(p, os.O_RDWR), b"x"), "write"),
    "os.pwrite": (lambda p: os.pwrite(os.open(p, os.O_RDWR), b"x", 3), "write"),
    "os.writev": (lambda p: os.writev(os.open(p, os.O_RDWR), [b"x", b"y"]), "write"),
    "os.read": (lambda p: os.read(os.open(p, os.O_RDONLY), 1), "read"),
    "os.pread": (lambda p: os.pread(os.open(p, os.O_RDONLY), 1, 0), "read"),
    "os.ftruncate": (lambda p: os.ftruncate(os.open(p, os.O_RDWR), 1), "truncate"),
    "os.dup": (lambda p: os.write(os.dup(os.open(p, os.O_RDWR)), b"x"), "write"),
    "os.close": (lambda p: os.close(os.open(p, os.O_RDWR)), "flush"),
    "dir_fd": (lambda p: os.unlink(p.name, dir_fd=os.open(p.parent, os.O_RDONLY)), "unlink"),
}


class Only(Faults):
    """A plan in which one operation fails."""

    def __init__(self, operation: str) -> None:
        super().__init__()
        self.operation, self.seen = operation, []

    def at(self, operation, path, size=0, *, to=None):
        self.seen.append(operation)
        if operation == self.operation:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)


@pytest.fixture
def begun():
    """A Reach that watches nothing: those in it need not look through all modules again."""
    with Reach():
        yield


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
def test_every_call_meets_its_operation_and_works_as_before_where_nothing_is_planned(
    begun, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name, (call, operation) in CALLS.items():
        drive, plan = made(tmp_path / name), Only(operation)
        with Reach(drive, plan), pytest.raises((OSError, shutil.Error)) as caught:
            call(drive / "MyDrive" / "old.txt")
        assert caught.value.errno == errno.EIO, (name, plan.seen)
        drive = made(tmp_path / f"{name}, nothing planned")
        with Reach(drive, Faults()):
            call(drive / "MyDrive" / "old.txt")
            os.chdir(tmp_path)


def test_exists_says_no_and_glob_finds_nothing_when_drive_drops_away(drive, reach, faults):
    path = drive / "MyDrive" / "old.txt"
    assert os.path.exists(path) and os.path.isfile(path) and os.path.isdir(drive / "My Drive")
    fault = faults.drops()
    assert not os.path.exists(path) and not os.path.isdir(drive / "MyDrive")
    assert glob.glob(f"{drive}/MyDrive/*.txt") == []
    assert fault.fired >= 3


def test_pathlib_globs_meet_the_plan(drive, reach, faults):
    assert [path.name for path in (drive / "MyDrive").glob("*.txt")] == ["old.txt"]
    assert [path.name for path in drive.rglob("old.txt")]
    fault = faults.slow(0.1)
    list((drive / "MyDrive").glob("*.txt"))
    once = fault.fired
    list((drive / "MyDrive").rglob("*.txt"))
    assert 0 < once < fault.fired


def test_walk_meets_the_plan(drive, reach, faults):
    faults.io_error("MyDrive/sub")
    failed: list[OSError] = []
    assert [root for root, _, _ in os.walk(drive / "MyDrive", onerror=failed.append)] == [
        str(drive / "MyDrive")
    ]
    assert [err.errno for err in failed] == [errno.EIO]


# --- what a person sees ---


@pytest.mark.parametrize(
    "spelled",
    [
        "{}/MyDrive/old.txt",
        "{}/My Drive/old.txt",
        "{}/MyDrive/sub/../old.txt",
        "{}//MyDrive/./old.txt",
    ],
)
def test_the_error_names_the_file_as_the_user_wrote_it(drive, reach, faults, spelled):
    faults.drops("MyDrive/old.txt")
    name = spelled.format(drive)
    for path in (name, os.fsencode(name)):
        err = struck(open, path)
        assert (err.errno, err.strerror, err.filename) == (107, os.strerror(107), path)
        assert str(err) == f"[Errno 107] {os.strerror(107)}: {path!r}"


def test_the_error_names_a_path_as_text(drive, reach, faults):
    assert "PosixPath" not in str(struck(os.rename, drive / "missing", drive / "new"))
    faults.io_error()
    for call in (
        open,
        os.stat,
        Path.read_text,
        Path.unlink,
        lambda path: os.replace(path, path.with_name("new")),
    ):
        assert "PosixPath" not in str(struck(call, drive / "MyDrive/old.txt"))


def test_a_used_up_quota_strikes_whatever_would_grow(drive, reach, faults):
    quota = faults.quota()
    for name in ("new.txt", "old.txt"):
        assert struck((drive / "MyDrive" / name).write_text, "x").errno == errno.EDQUOT
    assert quota.fired >= 2 and not (drive / "MyDrive" / "new.txt").exists()


def test_a_relative_path_is_found_from_the_current_folder(drive, reach, faults, monkeypatch):
    monkeypatch.chdir(drive / "MyDrive")
    faults.io_error("MyDrive/old.txt")
    assert struck(open, "old.txt").filename == "old.txt"
    assert struck(os.stat, Path("sub/../old.txt")).errno == errno.EIO
    assert os.path.exists("../MyDrive/sub")


def test_a_folder_with_links_above_it_is_found_by_both_names(drive, faults, tmp_path, monkeypatch):
    (tmp_path / "alias").symlink_to(tmp_path)
    with Reach(tmp_path / "alias" / "drive", faults):
        fault = faults.io_error()
        struck(open, tmp_path / "alias" / "drive" / "MyDrive" / "old.txt")
        struck(open, drive / "MyDrive" / "old.txt")
    assert fault.fired == 2


def test_a_rename_is_hit_at_either_end_and_names_both(drive, reach, faults, tmp_path):
    part, whole = drive / "MyDrive" / "a.part", drive / "MyDrive" / "a.txt"
    part.write_text("x")
    fault = faults.io_error("*.txt")
    err = struck(os.replace, part, whole)
    assert (err.filename, err.filename2, fault.fired) == (str(part), str(whole), 1)
    (tmp_path / "outside").write_text("x")
    struck(os.rename, tmp_path / "outside", whole)
    struck(os.rename, drive / "MyDrive" / "old.txt", tmp_path / "outside")
    assert fault.fired == 3 and part.exists()


def test_a_folder_beside_it_with_the_same_beginning_is_left_alone(drive, reach, faults, tmp_path):
    faults.drops()
    other = tmp_path / "drive2"
    other.mkdir()
    (other / "a").write_text("x")
    assert (other / "a").read_text() == "x"


# --- bytes meet the plan where they reach the disk ---


@pytest.mark.parametrize("write", ["text", "binary", "unbuffered", "os.write", "copy", "small"])
def test_a_disk_that_fills_up_keeps_what_fitted_and_not_a_byte_more(
    drive, reach, faults, tmp_path, write
):
    path, source = drive / "MyDrive" / "big", tmp_path / "source"
    source.write_bytes(b"a" * 100_000)
    fault = faults.full(after_bytes=33_333, on="big")
    with pytest.raises(OSError) as caught:
        if write == "text":
            path.write_text("a" * 100_000)
        elif write == "binary":
            path.write_bytes(b"a" * 100_000)
        elif write == "copy":
            shutil.copyfile(source, path)
        elif write == "small":
            with open(path, "w") as file:
                for _ in range(10_000):
                    file.write("a" * 10)
        else:
            with open(path, "wb", buffering=0) as file:
                put = (
                    file.write
                    if write == "unbuffered"
                    else lambda data: os.write(file.fileno(), data)
                )
                assert put(b"a" * 100_000) == 33_333, "the kernel writes what fits first"
                put(b"a")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename and fault.fired >= 1
    faults.clear()
    assert path.stat().st_size == 33_333


def test_copies_inside_the_kernel_count_what_they_carry(drive, reach, faults, tmp_path):
    (tmp_path / "source").write_bytes(b"a" * 400)
    fault = faults.full(after_bytes=1000)
    for name in "ab":
        shutil.copyfile(tmp_path / "source", drive / "MyDrive" / name)
    assert fault.fired == 0
    assert (
        struck(shutil.copyfile, tmp_path / "source", drive / "MyDrive" / "c").errno == errno.ENOSPC
    )
    assert os.path.getsize(drive / "MyDrive" / "c") == 200


def test_a_link_is_copied_with_its_times(drive, reach):
    link = drive / "MyDrive" / "link"
    link.symlink_to("old.txt")
    os.utime(link, (1e9, 1e9), follow_symlinks=False)
    shutil.copy2(link, drive / "MyDrive" / "copy", follow_symlinks=False)
    assert os.lstat(drive / "MyDrive" / "copy").st_mtime == 1e9


def test_bytes_that_a_library_writes_past_python_strike_at_close(drive, reach, faults):
    np = pytest.importorskip("numpy")
    faults.full(after_bytes=1000, on="*.npy")
    np.save(drive / "MyDrive" / "small.npy", np.zeros(50))
    assert struck(np.save, drive / "MyDrive" / "large.npy", np.zeros(5000)).errno == errno.ENOSPC


def test_a_torch_file_meets_the_plan(drive, reach, faults):
    torch = pytest.importorskip("torch")
    path = drive / "MyDrive" / "w.pt"
    torch.save({"w": torch.arange(10_000)}, path)
    assert torch.equal(torch.load(path)["w"], torch.arange(10_000))
    assert torch.equal(torch.load(str(path), mmap=True)["w"], torch.arange(10_000))
    read = faults.io_error("w.pt")
    for mmap in (False, True):
        assert struck(torch.load, path, mmap=mmap).errno == errno.EIO
    assert struck(torch.save, {}, path).errno == errno.EIO and read.fired == 3
    faults.clear()
    full = faults.full(after_bytes=20_000, on="w.pt")
    with pytest.raises((OSError, RuntimeError)):  # torch's own RuntimeError, as on a full disk
        torch.save({"w": torch.arange(10_000)}, path)
    assert full.fired >= 1 and path.stat().st_size == 20_000


def test_torch_imported_afterwards_meets_the_plan(drive, tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("from torch.serialization import load, save\n")
    (
        tmp_path / "torch" / "serialization.py"
    ).write_text(  # it opens paths past Python, as the true one does; which takes 2 s to import
        "import _io\n"
        "def save(obj, f):\n    with _io.FileIO(f, 'w') if not hasattr(f, 'write') else f as file: file.write(obj)\n"
        "def load(f, mmap=None):\n    with _io.FileIO(f) as file: return file.read()\n"
    )
    code = (
        "import sys; from pathlib import Path\n"
        "from colab_kit.testing.intercept import Reach\n"
        "from colab_kit.testing.faults import Faults\n"
        "faults = Faults(); path = Path(sys.argv[1]) / 'w.pt'; path.write_text('')\n"
        "assert 'torch' not in sys.modules\n"
        "with Reach(sys.argv[1], faults):\n"
        "    import torch; from torch import save\n"
        "    faults.drops('w.pt')\n"
        "    for function in (torch.save, save, torch.serialization.save, lambda _, f: torch.load(f, mmap=True)):\n"
        "        try: function(b'', path)\n"
        "        except OSError as err: print(err.errno)\n"
        "save(b'x', path); print(torch.load(path), [hasattr(f, '__wrapped__') for f in (torch.save, save, torch.load)])\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    run = [sys.executable, "-c", code, str(drive / "MyDrive")]
    out = subprocess.run(
        run, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert out.stdout == "107\n107\n107\n107\nb'x' [False, False, False]\n", out.stderr


# --- the file objects are Python's ---

MODES = [
    ("w", {}), ("w", {"buffering": 1}), ("wb", {"buffering": 0}), ("wb", {}), ("r+", {"encoding": "latin-1", "newline": "\r\n"}),
    ("a+b", {}), ("xt", {"errors": "replace"}), ("r", {"buffering": 100}), ("rb", {}), ("w+b", {}), ("U", {}), ("rw", {}), ("", {}),
    ("rb", {"encoding": "utf8"}), ("r", {"buffering": 0}), (3, {}), ("rbt", {}), ("rr", {}),
]  # fmt: skip


def portrait(opener, path, mode, options):
    """All that can be seen of a file object, its behaviour included."""
    try:
        file = opener(path, mode, **options)
    except Exception as err:
        return type(err), str(err)
    with file:
        seen = [
            type(file).__name__.replace("WatchedFile", "FileIO"),
            file.name,
            file.mode,
            file.readable(),
            file.writable(),
            file.seekable(),
        ]
        seen += [
            getattr(file, "encoding", None),
            getattr(file, "errors", None),
            getattr(file, "line_buffering", None),
            file.isatty(),
        ]
        raw = getattr(getattr(file, "buffer", file), "raw", file)
        seen += [raw.name, raw.mode, raw.closefd, isinstance(raw, io.FileIO), file.tell()]
        if file.writable():
            seen += [
                file.write(
                    "bé\n" if not isinstance(file, (io.RawIOBase, io.BufferedIOBase)) else b"bytes"
                ),
                file.seek(0),
                file.truncate(3),
            ]
        if file.readable():
            seen += [file.read(), file.seek(0), file.readlines()]
    return [*seen, file.closed, Path(path).read_bytes()]


@pytest.mark.parametrize(("mode", "options"), MODES)
def test_a_file_object_is_the_one_that_open_gives(drive, faults, mode, options):
    path = drive / "MyDrive" / ("new.txt" if str(mode).startswith("x") else "old.txt")
    expected = portrait(open, str(path), mode, options)
    for change in drive.glob("MyDrive/*.txt"):
        change.unlink()
    (drive / "MyDrive" / "old.txt").write_text("old\nlines\n")
    with Reach(drive, faults):
        assert portrait(open, str(path), mode, options) == expected


def test_an_opened_path_has_a_name_of_text(drive, faults):
    with (
        open(drive / "MyDrive/old.txt") as plain,
        Reach(drive, faults),
        open(drive / "MyDrive/old.txt") as watched,
    ):
        assert (
            (plain.name, plain.buffer.raw.name)
            == (watched.name, watched.buffer.raw.name)
            == (str(drive / "MyDrive/old.txt"),) * 2
        )


def test_an_opener_and_numbers_of_files_work(drive, reach, faults, tmp_path):
    (tmp_path / "elsewhere").write_text("there")
    with open(
        drive / "MyDrive" / "any", opener=lambda name, flags: os.open(tmp_path / "elsewhere", flags)
    ) as file:
        assert file.read() == "there"
    number = os.open(drive / "MyDrive" / "old.txt", os.O_RDONLY)
    with open(number, closefd=False) as file:
        assert file.read() == "old\nlines\n" and file.name == number
    assert os.pread(number, 3, 0) == b"old"
    faults.io_error()
    with open(number) as file:
        assert struck(file.read).errno == errno.EIO
        faults.clear()
    with pytest.raises(OSError):
        os.fstat(number)


def test_a_number_given_to_another_file_is_left_alone(drive, reach, faults, tmp_path):
    number = os.open(drive / "MyDrive" / "old.txt", os.O_RDONLY)
    os.closerange(number, number + 1)  # past us
    (tmp_path / "outside").write_text("x")
    with Reach() as _, exempt():
        other = os.open(tmp_path / "outside", os.O_RDONLY)
    faults.drops()
    assert other == number and os.read(other, 1) == b"x"
    os.close(other)


def test_a_closed_file_is_forgotten(drive, reach):
    watch.forget_closed()  # what other tests closed behind our back
    before = dict(watch._handles)
    with open(drive / "MyDrive" / "old.txt"), tempfile.TemporaryFile(dir=drive):
        assert len(watch._handles) == len(before) + 2
    assert watch._handles == before
    os.close(os.dup(number := os.open(drive / "MyDrive", os.O_RDONLY)))
    os.close(number)
    assert watch._handles == before


def test_a_directory_cannot_be_opened_as_ever(drive, reach):
    assert struck(open, drive / "MyDrive").errno == errno.EISDIR
    with pytest.raises(TypeError):
        open(1.5)
    with pytest.raises(FileNotFoundError):
        open("")


# --- read-only ---


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_readonly_drive_refuses_every_change(begun, drive):
    def tree() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes() if path.is_file() else b"" for path in drive.rglob("*")
        }

    before = tree()
    for name, (call, operation) in CALLS.items():
        if operation not in CHANGING:
            continue
        with Reach(drive, readonly=True):
            assert struck(call, drive / "MyDrive" / "old.txt").errno == errno.EROFS, name
            assert (drive / "MyDrive" / "old.txt").read_text() == "old\nlines\n", name
            assert struck(open, drive / "MyDrive" / "old.txt", "r+").errno == errno.EROFS
        assert tree() == before, name


# --- redirects ---


def test_a_redirected_path_is_another_folder_under_the_old_name(tmp_path, faults):
    place = tmp_path / "content"
    place.mkdir()
    with Reach(
        place / "drive",
        faults,
        redirects={"/nowhere/content": place, "/nowhere/hostname": __file__},
    ) as reach:
        os.makedirs("/nowhere/content/drive/MyDrive")
        with open("/nowhere/content/drive/MyDrive/a.txt", "w") as file:
            assert file.name == "/nowhere/content/drive/MyDrive/a.txt"
            file.write("hello")
        Path("/nowhere/content/b.txt").write_text("hi")
        assert os.path.isdir("/nowhere/content/drive") and os.path.exists("/nowhere/hostname")
        assert not os.path.exists("/nowhere/contents")
        assert (
            sorted(os.listdir("/nowhere/content"))
            == sorted(os.listdir(b"/nowhere/content".decode()))
            == ["b.txt", "drive"]
        )
        assert os.listdir(b"/nowhere/content/drive") == [b"MyDrive"]
        assert glob.glob("/nowhere/content/*.txt") == ["/nowhere/content/b.txt"]
        assert [str(path) for path in Path("/nowhere/content").glob("*.txt")] == [
            "/nowhere/content/b.txt"
        ]
        assert [str(path) for path in Path("/nowhere/content").rglob("a.txt")] == [
            "/nowhere/content/drive/MyDrive/a.txt"
        ]
        assert [root for root, _, _ in os.walk("/nowhere/content")][
            -1
        ] == "/nowhere/content/drive/MyDrive"
        with os.scandir("/nowhere/content") as entries:
            assert {(entry.path, entry.is_dir()) for entry in entries} == {
                ("/nowhere/content/b.txt", False),
                ("/nowhere/content/drive", True),
            }
        shutil.copytree("/nowhere/content/drive", "/nowhere/content/copy")
        shutil.rmtree("/nowhere/content/copy")
        os.rename("/nowhere/content/b.txt", "/nowhere/content/c.txt")
        os.symlink("/nowhere/content/drive/MyDrive", "/nowhere/content/my")
        assert Path("/nowhere/content/my/a.txt").read_text() == "hello"
        assert reach.leads("/nowhere/content/drive") == place / "drive" and reach.leads(
            "/nowhere"
        ) == Path("/nowhere")
        err = struck(os.stat, "/nowhere/content/missing")
        assert (err.errno, err.filename) == (errno.ENOENT, "/nowhere/content/missing")
        assert struck(open, "/nowhere/content/missing").filename == "/nowhere/content/missing"
        faults.drops("MyDrive/a.txt")
        assert (
            struck(open, "/nowhere/content/drive/MyDrive/a.txt").filename
            == "/nowhere/content/drive/MyDrive/a.txt"
        )
    assert not os.path.exists("/nowhere")
    assert (place / "drive/MyDrive/a.txt").read_text() == "hello" and (place / "c.txt").exists()


def test_changing_into_a_redirected_folder_and_up_again_stays_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "content" / "drive" / "MyDrive").mkdir(parents=True)
    with Reach(redirects={"/nowhere": tmp_path / "content"}):
        os.chdir("/nowhere/drive/MyDrive")
        os.chdir("../..")
        Path("x.txt").write_text("x")
        assert Path("/nowhere/x.txt").exists()
    assert os.getcwd() == str(tmp_path / "content")


def test_a_place_has_its_redirected_name(tmp_path):
    (tmp_path / "content").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    with Reach(redirects={"/nowhere": tmp_path / "link/content"}) as reach:
        for way in ("link/content", "content"):
            assert (
                reach.named(tmp_path / way / "drive")
                == Path("/nowhere/drive")
                == reach.named(reach.leads("/nowhere/drive"))
            )
        assert reach.named(tmp_path / "contents/x") == tmp_path / "contents/x"


def test_a_named_temporary_file_is_deleted_where_it_truly_lies(drive, faults, tmp_path):
    bound = tempfile._TemporaryFileCloser.close.__defaults__
    (tmp_path / "content").mkdir()
    with Reach(redirects={"/nowhere": tmp_path / "content"}) as reach:
        with tempfile.NamedTemporaryFile(dir="/nowhere") as file:
            assert len(os.listdir(tmp_path / "content")) == 1 and file.name.startswith("/nowhere/")
        assert os.listdir(tmp_path / "content") == []
        reach.watch(tmp_path / "content", faults)
        file = tempfile.NamedTemporaryFile(dir="/nowhere")
        gone = faults.drops()
        struck(file.close)
        assert gone.fired
    assert tempfile._TemporaryFileCloser.close.__defaults__ == bound


# --- safetensors, which opens files in Rust ---

TENSORS = """
import os, sys
from pathlib import Path
from colab_kit.testing.faults import Faults
from colab_kit.testing.intercept import Reach
place, first = Path(sys.argv[1]), sys.argv[2] == "first"
if first:
    import safetensors.numpy
import numpy
faults = Faults()
with Reach(place, faults, redirects={"/nowhere": place}):
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file
    save_file({"a": numpy.arange(1000)}, "/nowhere/a.safetensors", metadata={"k": "v"})
    with safe_open(Path("/nowhere/a.safetensors"), "np") as file:
        assert file.metadata() == {"k": "v"} and (file.get_tensor("a") == numpy.arange(1000)).all()
    assert len(load_file("/nowhere/a.safetensors")["a"]) == 1000 and not os.path.exists(place / "nowhere")
    def struck(call, *args):
        try:
            call(*args)
        except OSError as err:
            return err.errno
    full = faults.full(after_bytes=5000)
    assert struck(save_file, {"a": numpy.arange(1000)}, place / "b.safetensors") == 28 and full.fired
    assert 0 < (place / "b.safetensors").stat().st_size <= 5000
    faults.clear()
    faults.io_error("a.safetensors")
    assert struck(load_file, place / "a.safetensors") == struck(safe_open, place / "a.safetensors", "np") == 5
assert type(safetensors.safe_open if first else sys.modules["safetensors"].safe_open) is type
assert sys.modules["safetensors.numpy"].serialize_file is sys.modules["safetensors._safetensors_rust"].serialize_file
"""


@pytest.mark.parametrize("when", ["first", "later"])
def test_safetensors_meets_the_plan_and_follows_redirects_imported_before_or_after(tmp_path, when):
    done = subprocess.run(
        [sys.executable, "-c", TENSORS, str(tmp_path), when], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# --- in, out, and who is spared ---


def everywhere() -> dict[str, object]:
    """Every function that could be replaced, by where it is held."""
    held = {f"os.{name}": value for name, value in vars(os).items() if callable(value)}
    held |= {name: getattr(*place) for name, place in CHANGED.items()}
    held |= {f"os.{name}": frozenset(getattr(os, name)) for name in _SUPPORTS}
    globbers = [
        vars(kind)
        for kind in (getattr(glob, "_Globber", None), getattr(glob, "_StringGlobber", None))
        if kind
    ]
    held |= {
        f"{n} {name}": value.__func__
        for n, held in enumerate(globbers)
        for name, value in held.items()
        if isinstance(value, staticmethod)
    }
    return held | {"meta_path": tuple(sys.meta_path)}


def test_everything_is_put_back_exactly(drive, faults):
    before = everywhere()
    reach, other = Reach(drive, faults), Reach(drive.parent / "other", Faults())
    with reach, other:
        with reach:
            pass
        assert (
            reach.installed
            and everywhere()["os.stat"] is not before["os.stat"]
            and tarfile.bltn_open is open is not before["io.open"]
        )
        exec("from os import stat", HERE)
    assert everywhere() == before and not reach.installed
    assert HERE["stat"] is os.stat, "a name taken meanwhile is put back too"
    reach.uninstall()
    assert everywhere() == before


def test_a_replacement_made_by_another_is_wrapped_and_comes_back(drive, faults, monkeypatch):
    calls: list[object] = []
    theirs = lambda *args: calls.append(args)
    monkeypatch.setattr(os, "replace", theirs)
    with Reach(drive, faults):
        os.replace(drive / "a", drive / "b")
    assert calls == [(drive / "a", drive / "b")] and os.replace is theirs


def test_several_folders_have_their_own_plans(drive, tmp_path):
    (tmp_path / "two").mkdir()
    first, second = Faults(), Faults()
    with Reach(drive, first) as reach, Reach(tmp_path / "two", second):
        first.drops(), second.io_error()
        assert (
            struck(os.listdir, drive).errno == errno.ENOTCONN
            and struck(os.listdir, tmp_path / "two").errno == errno.EIO
        )
        reach.watch(drive, Faults(), readonly=True)
        assert os.listdir(drive) and struck(os.mkdir, drive / "x").errno == errno.EROFS
        reach.unwatch(drive)
        os.mkdir(drive / "x")


def test_an_open_file_is_left_alone_afterwards(drive, faults):
    with Reach(drive, faults):
        file = open(drive / "MyDrive" / "a.txt", "w")
        fault = faults.drops()
        file.write("kept")
        assert struck(file.flush).errno == errno.ENOTCONN
    file.close()
    assert (drive / "MyDrive" / "a.txt").read_text() == "kept" and fault.fired == 1


def test_exempt_spares_this_thread_only(drive, reach, faults):
    fault = faults.drops()
    other: list[int] = []
    with exempt():
        with exempt():
            pass
        (drive / "MyDrive" / "a.txt").write_text("ours")
        thread = threading.Thread(target=lambda: other.append(struck(os.listdir, drive).errno))
        thread.start()
        thread.join()
    assert other == [errno.ENOTCONN] and fault.fired == 1
    assert struck(os.listdir, drive).errno == errno.ENOTCONN


def test_a_hundred_threads_write_at_once(drive, reach):
    def work(number: int) -> None:
        for again in range(5):
            path = drive / "MyDrive" / f"{number}-{again}"
            path.write_text(str(number) * 1000)
            path.replace(path.with_suffix(".txt"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list((drive / "MyDrive").glob("*-*.txt"))) == 500


def test_a_forked_worker_is_reached_and_counts(drive, reach, faults):
    fault = faults.io_error("old.txt")
    if (child := os.fork()) == 0:
        os._exit(struck(open, drive / "MyDrive" / "old.txt").errno)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EIO and fault.fired == 1


def test_ipythons_open_is_reached(drive, reach, faults):
    shell = pytest.importorskip("IPython.core.interactiveshell")
    faults.drops()
    with Reach():  # it may have been imported only now
        assert struck(shell._modified_open, drive / "MyDrive" / "old.txt").errno == errno.ENOTCONN
