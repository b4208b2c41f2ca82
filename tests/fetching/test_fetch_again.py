"""fetch() called again: what is here is used, and a stopped or killed call is continued."""

import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from colab_kit.errors import FetchError, HashMismatch, LinkError, Offline, Stopped
from colab_kit.events import Control, FetchProgress
from colab_kit.fetching import fetch as room
from colab_kit.fetching import streaming

from ..support.fetching import BODY, FILES, a_tar, a_zip, get, left, notes, tree

pytestmark = pytest.mark.usefixtures("here")


def test_the_second_call_asks_once_and_fetches_nothing(server, here):
    url = server.put("x.bin", BODY)
    first, asked = get(url), server.count()
    again = get(url)
    assert (
        again.cached
        and not first.cached
        and (again.sha256, again.size) == (first.sha256, first.size)
    )
    assert server.count() == asked + 1 and server.requests[-1].status == 304


def test_a_file_that_changed_at_its_source_is_fetched_anew(server, here):
    get(server.put("x.bin", BODY))
    heard = []
    assert get(server.put("x.bin", BODY[::-1]), heard=heard).path.read_bytes() == BODY[
        ::-1
    ] and "changed at its source" in notes(heard)


def test_a_file_that_its_user_changed_is_kept(server, here):
    get(server.put("x.bin", BODY))
    Path("x.bin").write_bytes(b"edited")
    with pytest.raises(FetchError, match="overwrite"):
        get(server.url("x.bin"))
    assert Path("x.bin").read_bytes() == b"edited"


def test_offline_gives_what_is_there_and_names_what_is_not(server, here, monkeypatch):
    url, other = server.put("x.bin", BODY), server.put("y.bin", BODY)
    get(url)
    asked = server.count()
    assert get(url, offline=True).cached
    with pytest.raises(Offline):
        get(other, offline=True)
    monkeypatch.setenv("COLAB_KIT_OFFLINE", "1")
    assert get(url).cached and server.count() == asked
    monkeypatch.delenv("COLAB_KIT_OFFLINE")
    server.close()
    heard = []
    assert get(url, heard=heard).cached and "used as it is" in notes(heard), (
        "no network is no reason to lose the file"
    )
    with pytest.raises(Offline):
        get(other)


def test_an_unpacked_folder_is_found_again_and_a_new_version_replaces_it(server, here):
    url = server.put("pets.zip", a_zip())
    first = get(url)
    assert tree("pets") == FILES and first.path == Path("pets/pets") and left(here) == ["pets"]
    assert get(url).cached and server.requests[-1].status == 304
    server.put("pets.zip", a_zip({"pets/new.txt": b"new"}))
    assert (
        not get(url).cached and tree("pets") == {"pets/new.txt": b"new"} and left(here) == ["pets"]
    )
    Path("pets/pets/mine.txt").write_text("mine")
    server.put("pets.zip", a_zip())
    heard = []
    assert (
        get(url, heard=heard).cached
        and "files in it are yours" in notes(heard)
        and Path("pets/pets/mine.txt").exists()
    )
    assert not get(url, overwrite=True).cached and tree("pets") == FILES


def test_a_same_length_edit_in_an_unpacked_folder_is_the_users(server, here):
    url = server.put("pets.zip", a_zip({"a.txt": b"one", "b.txt": b"two"}))
    get(url)
    Path("pets/a.txt").write_text("ONE")
    server.put("pets.zip", a_zip({"a.txt": b"new"}))
    heard = []
    assert (
        get(url, heard=heard).cached
        and "yours" in notes(heard)
        and Path("pets/a.txt").read_text() == "ONE"
    )


def test_an_unpacked_folder_with_the_users_files_is_kept_from_another_hash(server, here):
    one, two = a_zip({"a.txt": b"one"}), a_zip({"a.txt": b"two"})
    get(server.put("pets.zip", one), sha256=hashlib.sha256(one).hexdigest())
    Path("pets/mine.txt").write_text("mine")
    server.put("pets.zip", two)
    with pytest.raises(FetchError, match="overwrite=True"):
        get(server.url("pets.zip"), sha256=hashlib.sha256(two).hexdigest())
    assert Path("pets/mine.txt").exists()
    Path("pets/mine.txt").unlink()


def test_a_file_of_the_users_is_never_taken_for_ours(server, here):
    url = server.put("x.csv", b"12345678")
    Path("x.csv").write_bytes(b"a longer one of mine")
    assert get(url, offline=True).cached
    with pytest.raises(FetchError, match="is kept"):
        get(url)
    Path("x.csv").write_bytes(b"mine 678")
    assert get(url).cached
    server.put("x.csv", b"abcdefghijk")
    with pytest.raises(FetchError, match="is kept"):
        get(url)
    assert Path("x.csv").read_bytes() == b"mine 678"


def test_a_copy_with_the_wrong_hash_replaces_nothing(tmp_path, here):
    (tmp_path / "a.bin").write_bytes(BODY)
    Path("b.bin").write_bytes(b"mine")
    with pytest.raises(HashMismatch):
        get(tmp_path / "a.bin", "b.bin", sha256="0" * 64, overwrite=True)
    assert Path("b.bin").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": 123},
        {"to": b"x"},
        {"to": "a\0b"},
        {"to": "\ud800.bin"},
        {"mirrors": None},
        {"mirrors": 5},
        {"token": 5},
    ],
)
def test_an_argument_that_cannot_be_is_said_before_any_request(server, wrong):
    with pytest.raises(LinkError):
        get(server.put("x.bin", BODY), **wrong)
    assert server.count() == 0


def test_the_file_and_what_it_unpacks_to_are_not_written_by_two_at_once(server, here):
    """fetch(u, extract=False) and fetch(u) write the same part."""
    import threading

    url = server.put("p.zip", a_zip(), etag="")
    server.slow(1 << 20)
    found = []
    both = [
        threading.Thread(target=lambda how=how: found.append(get(url, extract=how)))
        for how in (False, None)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(found) == 2 and tree("p") == FILES and zipfile.ZipFile("p.zip").testzip() is None


def test_stop_and_go_on_by_a_control(server, here):
    control, url = Control(), server.put("x.bin", os.urandom(3 << 20))
    server.slow(8 << 20)

    def heard(event):
        if isinstance(event, FetchProgress) and event.done > 500_000:
            control.stop("stopped by hand")

    with pytest.raises(Stopped, match="stopped by hand"):
        get(url, callbacks=[heard], quiet=True, control=control)
    assert left(here) == ["x.bin.part", "x.bin.part.json"]
    server.clear()
    asked = server.count()
    get(url)
    assert server.requests[asked].headers["range"] != "bytes=0-" and left(here) == ["x.bin"]


def test_a_zip_stopped_on_the_way_goes_on_member_by_member(server, here, monkeypatch):
    monkeypatch.setattr(streaming, "BATCH", 7_000)  # two members
    monkeypatch.setattr(streaming, "TELL", 0)
    control, packed = Control(), a_zip()
    url = server.put("pets.zip", packed)
    monkeypatch.setattr(streaming, "TAIL", 8000)
    server.slow(20_000, skip=2)

    def heard(event):
        if isinstance(event, FetchProgress) and set(tree(".pets.part")) & set(FILES):
            control.stop()

    with pytest.raises(Stopped):
        get(url, callbacks=[heard], quiet=True, control=control)
    assert left(here) == [".pets.part"]
    server.clear()
    before, asked = len(tree(".pets.part")), server.count()
    get(url)
    assert tree("pets") == FILES and left(here) == ["pets"]
    directory = 2  # its end, and the rest
    assert before and server.count() - asked - directory < len(FILES) / 2


def test_a_zip_that_changed_since_a_stop_is_not_mixed(server, here, monkeypatch):
    monkeypatch.setattr(streaming, "BATCH", 10_000)
    monkeypatch.setattr(streaming, "TELL", 0)
    control = Control()
    url = server.put("pets.zip", a_zip())
    server.slow(200_000, skip=2)
    with pytest.raises(Stopped):
        get(
            url,
            callbacks=[
                lambda e: control.stop() if isinstance(e, FetchProgress) and e.done else None
            ],
            quiet=True,
            control=control,
        )
    server.clear()
    other = {name: os.urandom(3000) for name in list(FILES)[:50]}
    server.put("pets.zip", a_zip(other))
    get(url)
    assert tree("pets") == other


@pytest.mark.parametrize("name", ["x.bin", "pets.zip", "pets.tar.gz"])
def test_killed_anywhere_the_next_call_gives_the_right_thing(server, here, forks, name):
    content = {"x.bin": os.urandom(1 << 20), "pets.zip": a_zip(), "pets.tar.gz": a_tar()}[name]
    url = server.put(name, content)
    server.slow(20 << 20)
    for share in (0.1, 0.6):
        status = forks.run("whole", url=url, to=str(here) + "/", kill_at=int(len(content) * share))
        assert status in (-signal.SIGKILL, 0)
    server.clear()
    get(url, f"{here}/")
    assert Path("x.bin").read_bytes() == content if name == "x.bin" else tree("pets") == FILES
    assert left(here) == ["x.bin" if name == "x.bin" else "pets"]


@pytest.mark.parametrize("name", ["x.bin", "pets.zip"])
def test_two_processes_fetch_one_link_once(server, here, name):
    content = {"x.bin": os.urandom(2 << 20), "pets.zip": a_zip()}[name]
    url = server.put(name, content)
    server.slow(4 << 20)
    code = f"from colab_kit.fetching.fetch import fetch; f = fetch({url!r}, {str(here)!r} + '/', quiet=True); print(f.path, f.cached)"
    env = {**os.environ, "PYTHONPATH": str(Path(room.__file__).parents[2])}
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env)
        for _ in range(2)
    ]
    said = sorted(process.communicate(timeout=60)[0].split()[-1] for process in both)
    assert said == ["False", "True"] and [process.returncode for process in both] == [0, 0]
    assert Path("x.bin").read_bytes() == content if name == "x.bin" else tree("pets") == FILES
    sent = sum(request.sent for request in server.requests)
    assert sent < 1.3 * len(content) + 2 * streaming.TAIL
