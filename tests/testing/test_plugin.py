"""The pytest plugin: what each fixture gives, that all is as before afterwards, and its start."""

import errno
import inspect
import json
import os
import pydoc
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import colab_kit as kit
from colab_kit.colab import drive as local
from colab_kit.colab import mounting as mount
from colab_kit.colab.mirror import Mirror
from colab_kit.errors import DriveError
from colab_kit.events import EpochDone, Note
from colab_kit.testing.fixtures import (
    failing,
    fuse_mounted,
    left_empty,
    no_drive_yet,
    only_a_stand_in,
)
from colab_kit.testing.fuse import cloud
from colab_kit.testing.fuse import mount as fuse
from tests.support.installed import readme_example, site
from tests.support.worlds import laid

ROOT = Path(__file__).resolve().parents[2]
needs_fuse = pytest.mark.skipif(bool(why := cloud.why_not()), reason=str(why))


def python(*arguments: str, cwd: Path, path: Path | str = ROOT) -> subprocess.CompletedProcess[str]:
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "COLAB_KIT"))
    } | {"PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=120
    )


def run_tests(folder: Path, code: str, *options: str) -> str:
    """Run pytest on a user's test file, with this tree installed as pip does; its output."""
    (folder / "test_mine.py").write_text(code)
    done = python(
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "--basetemp=basetemp",  # as it ends, pytest would delete what earlier suites left
        *options,
        "test_mine.py",
        cwd=folder,
        path=site(folder / "site"),
    )
    return done.stdout + done.stderr


# mock_drive


def test_kit_mount_gives_the_mock_drive_and_it_is_empty(mock_drive, colab_kit_home):
    drive = kit.mount(quiet=True)
    assert drive == mock_drive and (drive.kind, drive.mountpoint) == (
        "mock",
        colab_kit_home / "drive",
    )
    assert sorted(path.name for path in drive.mydrive.iterdir()) == [] and mount.mounted() == drive
    (drive / "notes.txt").write_text("kept")
    assert (mock_drive / "notes.txt").read_text() == "kept"


def test_the_real_drive_of_a_colab_machine_is_never_given(tmp_path, monkeypatch):
    (tmp_path / "MyDrive").mkdir()
    colab = mount.Site("colab-subprocess", table=lambda: f"drive {tmp_path} fuse.drive rw 0 0\n")
    monkeypatch.setattr(mount.Site, "here", lambda: colab)
    assert kit.mount(quiet=True).mountpoint == tmp_path
    with only_a_stand_in():
        assert kit.mount(quiet=True).kind == kit.mount(tmp_path, quiet=True).kind == "mock"


def test_a_drive_mounted_before_comes_back_after_the_test(tmp_path, monkeypatch):
    mine = local.Drive(tmp_path / "MyDrive", "mock", tmp_path)
    monkeypatch.setattr(local.session, "current", mine)
    here = vars(mount.Site)["here"]
    with no_drive_yet(), only_a_stand_in():
        assert local.session.current is None and mount.Site.here().where == "a test"
        kit.mount(quiet=True)
    assert (
        local.session.current is mine
        and vars(mount.Site)["here"] is here
        and mount.Site.here().where != "a test"
    )


# drive_faults


def test_a_full_drive_reaches_the_users_own_open_and_counts(mock_drive, drive_faults):
    full = drive_faults.full(after_bytes=10)
    (mock_drive / "a.txt").write_text("0123456789")
    with pytest.raises(OSError) as caught:
        (mock_drive / "b.txt").write_text("x")
    assert (
        caught.value.errno == errno.ENOSPC and full.fired == drive_faults.fired >= 1
    )  # closing the file tries again


def test_a_notebook_may_make_the_stand_in_fail_but_never_a_real_drive(colab_kit_home):
    drive = kit.mount(quiet=True)
    with failing(drive) as faults:
        full = faults.full(after_bytes=3, on="a.txt")
        with pytest.raises(OSError):
            (drive / "a.txt").write_text("more than three")
    (drive / "a.txt").write_text("more than three")
    assert full.fired
    with (
        pytest.raises(DriveError, match="your own Drive"),
        failing(local.Drive(Path(drive), "reused", drive.mountpoint)),
    ):
        pass


def test_faults_end_with_the_test_and_keep_to_the_drive(mock_drive, drive_faults, tmp_path):
    drive_faults.drops()
    (tmp_path / "beside.txt").write_text("x")
    with pytest.raises(OSError, match="107|ransport"):
        os.listdir(mock_drive)


def test_the_drive_faults_are_gone_in_the_next_test(mock_drive):
    assert os.listdir(mock_drive) == [] and not mount.Site.here().hosted


def test_faults_alone_bring_the_mock_drive(drive_faults, colab_kit_home):
    drive = kit.mount(quiet=True)
    drive_faults.read_only()
    with pytest.raises(OSError):
        (drive / "a.txt").write_text("x")
    assert drive_faults.fired


def test_a_copier_that_never_gets_through_delays_neither_the_test_nor_what_comes_after(
    mock_drive, drive_faults, tmp_path, heard
):

    (tmp_path / "a.txt").write_text("x")
    broken = drive_faults.drops()
    with no_drive_yet():
        mirror = Mirror(mock_drive / "kept")
        mirror.push(tmp_path / "a.txt", "a.txt")
        assert (
            not mock_drive.wait(0.3, callbacks=[heard], quiet=True)
            and broken.fired > 2
            and "dropped away" in heard.text
        )
    assert mirror.idle and mirror not in local.session.shelves


# fake_colab


def test_colabs_idioms_work_and_leave_nothing_behind(fake_colab, drive_faults):
    from google.colab import drive, files, userdata

    drive.mount("/content/drive")
    Path("/content/drive/My Drive/foo.txt").write_text("hello")
    fake_colab.secrets["KEY"] = "1234"
    fake_colab.uploads.append(("a.csv", b"1,2"))
    assert userdata.get("KEY") == "1234" and files.upload() == {"a.csv": b"1,2"}
    assert (
        Path("/content/drive/MyDrive/foo.txt").read_text() == "hello"
        and not Path("/content/drive").is_symlink()
    )
    files.download("/content/drive/MyDrive/foo.txt")
    assert fake_colab.deliver()[0].read_text() == "hello"
    drive.flush_and_unmount()
    assert os.listdir("/content/drive") == []


def test_after_fake_colab_there_is_no_google_colab():
    with pytest.raises(ModuleNotFoundError):
        import google.colab  # noqa: F401
    assert kit.runtime().where == "python"


def test_without_the_disguise_the_runtime_does_not_say_colab(fake_colab):
    assert kit.runtime().where == "python"


@pytest.mark.colab(as_colab=True, secrets={"KEY": "5"})
def test_as_colab_it_says_colab_and_mounts_really(fake_colab, heard):
    assert kit.runtime().where == "colab" and kit.secret("KEY") == "5"
    drive = kit.mount(callbacks=[heard], quiet=True)
    assert (drive.kind, str(drive.mountpoint)) == ("real", "/content/drive")
    (drive / "x.txt").write_text("x")
    assert (fake_colab.content / "drive/MyDrive/x.txt").read_text() == "x"


def test_a_refused_consent_takes_no_time_and_is_counted(fake_colab, drive_faults):
    from google.colab import drive
    from google.colab._message import MessageError

    denied = drive_faults.consent_denied(times=1)
    with pytest.raises(MessageError):
        drive.mount("/content/drive")
    drive_faults.consent_unanswered(times=1)
    with pytest.raises(ValueError, match="mount failed"):
        drive.mount("/content/drive")
    assert denied.fired == 1 and drive_faults.fired == 2 and fake_colab.wait == [120]


@pytest.mark.colab(as_colab=True)
def test_the_pauses_between_two_tries_to_mount_are_counted_and_not_slept(fake_colab, drive_faults):
    assert mount.Site.here().sleep is fake_colab.wait
    late = drive_faults.root_timeout(times=2)
    assert kit.mount(quiet=True).kind == "real" and late.fired == 2 and fake_colab.wait == [2, 5]


def test_file_faults_reach_the_mounted_drive_of_fake_colab(fake_colab, drive_faults):
    from google.colab import drive

    drive.mount("/content/drive")
    broken = drive_faults.io_error("*.csv")
    with pytest.raises(OSError) as caught:
        Path("/content/drive/My Drive/a.csv").write_text("x")
    assert caught.value.errno == errno.EIO and broken.fired >= 1


@pytest.mark.parametrize(
    "fault", ["consent_denied", "consent_unanswered", "root_timeout", "mount_timeout", "policy"]
)
def test_a_failing_mount_cannot_be_planned_without_google_colab(mock_drive, drive_faults, fault):
    with pytest.raises(DriveError, match="fake_colab"):
        getattr(drive_faults, fault)()


def test_the_working_folder_is_its_content(fake_colab):
    assert os.getcwd() == os.path.realpath(fake_colab.content)
    Path("a.txt").write_text("x")
    assert os.path.exists("/content/a.txt")


def test_the_mock_drive_is_the_one_that_fake_colab_mounts(mock_drive, fake_colab):
    from google.colab import drive

    (mock_drive / "a.txt").write_text("x")
    assert kit.mount(quiet=True) == mock_drive == mount.mounted()
    drive.mount("/content/drive")
    assert (kit.mount(quiet=True) / "a.txt").read_text() == "x" and str(
        mount.mounted()
    ) == "/content/drive/MyDrive"
    assert (
        mount.stand_in_path("/content/drive/MyDrive/zz") is None
        and kit.mount(quiet=True).kind == "reused"
    )


def test_uploads_and_secrets_can_be_planned_by_assigning_them(fake_colab):
    fake_colab.uploads = [("a.csv", b"1,2")]
    fake_colab.secrets = {"KEY": "5"}
    assert [path.name for path in kit.upload()] == ["a.csv"] and kit.secret("KEY") == "5"
    with pytest.raises(kit.ColabKitError, match="could not be uploaded") as raised:
        kit.upload()
    assert "fake_colab.uploads = [" in raised.value.fix and str(raised.value).count("Fix:") == 1


@pytest.mark.parametrize(
    "as_colab", [False, pytest.param(True, marks=pytest.mark.colab(as_colab=True))]
)
def test_a_run_whose_out_lies_on_the_drive_that_a_cell_mounted_is_mirrored_there(
    fake_colab, as_colab, heard
):
    from google.colab import drive

    drive.mount("/content/drive")
    run = kit.train(
        kit.nets.mlp,
        kit.load("fashion-mini", max_per_class=20, quiet=True),
        epochs=1,
        run_dir="/content/drive/MyDrive/zz",
        callbacks=[heard],
        quiet=True,
    )
    assert run.status == "finished" and kit.mount(quiet=True).kind == "reused"
    assert (
        fake_colab.content / "drive/MyDrive/zz/run.json"
    ).is_file() and mount.mounted().kind == "reused"
    assert not run.folder.is_relative_to("/content/drive") and not run.folder.is_relative_to(
        fake_colab.content / "drive"
    )


@needs_fuse
@pytest.mark.colab(as_colab=True)
def test_the_disguise_does_not_take_another_process_mount(fake_colab, tmp_path):
    with fuse.FuseBody(tmp_path / "store") as other:
        other.mount(tmp_path / "drive")
        assert str(tmp_path / "drive") in Path("/proc/self/mounts").read_text()
        drive = kit.mount(quiet=True)
    assert (drive.kind, str(drive.mountpoint)) == ("real", "/content/drive")


@pytest.mark.colab(content="/content")
@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or os.path.exists("/content"),
    reason="needs root and no /content yet",
)
def test_the_real_content_is_seen_by_child_processes(fake_colab):
    from google.colab import drive

    drive.mount("/content/drive")
    subprocess.run(
        ["sh", "-c", "echo kept > '/content/drive/My Drive/a.txt'; echo x > /content/b.txt"],
        check=True,
    )
    assert (
        Path("/content/drive/MyDrive/a.txt").read_text() == "kept\n" and os.getcwd() == "/content"
    )


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="as the test before")
def test_after_it_there_is_no_content_folder(tmp_path):
    content = tmp_path / "content"
    with left_empty(content):
        laid(content, ["a.txt", "b/c.txt"])
    assert not content.exists() and not os.path.exists("/content/b.txt")
    laid(content, ["mine.txt"])
    with left_empty(content):
        laid(content, ["a.txt"])
    assert sorted(os.listdir(content)) == ["a.txt", "mine.txt"]


def test_faults_reach_both_the_mounted_and_the_plain_stand_in(fake_colab, mock_drive, drive_faults):
    from google.colab import drive

    drive_faults.io_error("*.csv")
    with pytest.raises(OSError):
        (mock_drive / "a.csv").write_text("x")
    drive.mount("/content/drive")
    with pytest.raises(OSError):
        Path("/content/drive/MyDrive/b.csv").write_text("x")


# fuse_drive


@needs_fuse
@pytest.mark.colab(as_colab=True)
def test_fake_colab_mounts_the_fuse_drive_where_there_is_one(fake_colab, fuse_drive):
    drive = kit.mount(quiet=True)
    (drive / "x.txt").write_text("x")
    assert drive.kind in ("real", "reused") and (fuse_drive / "x.txt").read_text() == "x"
    fuse_drive.kill()
    assert not drive.health()


@needs_fuse
def test_a_fuse_drive_is_mounted_without_kit_mount_and_missed_when_it_dies(fuse_drive):
    found = mount.mounted()
    assert (
        found is not None and found.mountpoint == fuse_drive.mountpoint and mount.missed() is None
    )
    fuse_drive.kill()
    assert mount.mounted() is None and mount.missed() == (
        found,
        "Transport endpoint is not connected",
    )
    fuse_drive.restart()
    assert mount.mounted() == found and mount.missed() is None


@needs_fuse
def test_a_killed_daemon_gives_errno_107_and_loses_what_was_not_sent(fuse_drive):
    assert kit.mount(quiet=True).mountpoint == fuse_drive.mountpoint
    (fuse_drive / "x.txt").write_text("x")
    fuse_drive.kill()
    with pytest.raises(OSError) as caught:
        os.stat(fuse_drive)
    assert caught.value.errno == errno.ENOTCONN
    fuse_drive.restart()
    assert os.listdir(fuse_drive) == [] and isinstance(fuse_drive, fuse.FuseBody)


@needs_fuse
@pytest.mark.fuse(delay=0.0)
def test_drive_faults_are_the_mounts_own(fuse_drive, drive_faults):
    assert drive_faults is fuse_drive.faults
    broken = drive_faults.io_error("*.csv")
    assert (
        subprocess.run(
            ["cp", "/etc/hostname", str(fuse_drive / "a.csv")], capture_output=True
        ).returncode
        != 0
    )  # another process
    assert broken.fired >= 1


@needs_fuse
def test_kit_mount_finds_a_place_even_while_the_daemon_is_dead(fuse_drive):
    fuse_drive.kill()
    (kit.mount(quiet=True) / "x.txt").write_text("x")


@needs_fuse
def test_no_mount_and_no_process_stay_behind(tmp_path, colab_kit_home):
    with pytest.raises(ZeroDivisionError), fuse_mounted(tmp_path) as drive:
        pid = drive._daemon.pid
        1 / 0  # noqa: B018
    assert (
        str(tmp_path) not in Path("/proc/self/mounts").read_text()
        and not Path(f"/proc/{pid}").exists()
    )


def test_where_fuse_is_missing_the_test_skips_with_the_reason(tmp_path):
    said = run_tests(
        tmp_path,
        "import colab_kit.testing.fuse.cloud as f\nf.why_not = lambda: 'no FUSE: ask'\n"
        "def test_x(fuse_drive): pass\n",
    )
    assert "1 skipped" in said and "no FUSE mount here: no FUSE: ask" in said


# the rest


def test_the_file_server_serves_and_fails_as_planned(file_server):
    url, busy = file_server.put("x.txt", b"hello"), file_server.status(503, times=1)
    with pytest.raises(OSError):
        urllib.request.urlopen(url)
    assert urllib.request.urlopen(url).read() == b"hello" and (
        busy.fired,
        file_server.count("x.txt"),
    ) == (1, 2)


def test_tiny_images_are_pictures_that_load_reads(tiny_images, heard):
    folder = tiny_images(["ant", "bee", "cow"], each=5, size=(16, 16))
    data = kit.load(folder, callbacks=[heard], quiet=True)
    assert list(data.classes) == ["ant", "bee", "cow"]
    assert tiny_images() != tiny_images()
    same = [(path / "cat/0.png").read_bytes() for path in (tiny_images(), tiny_images())]
    assert same[0] == same[1] != (tiny_images() / "dog/0.png").read_bytes()


@pytest.mark.parametrize(
    ("args", "options", "said"),
    [
        ((), {"every": 3}, "no option every=: there are classes, each"),
        ((), {"eech": 3}, "did you mean each="),
        ((3,), {}, "list of names"),
        (("cat",), {}, "list of names"),
        (([1],), {}, "list of names"),
    ],
)
def test_tiny_images_asked_for_wrongly_say_what_was_meant(tiny_images, args, options, said):
    with pytest.raises(TypeError, match=said):
        tiny_images(*args, **options)


def test_help_shows_the_arguments_of_tiny_images(tiny_images):
    assert list(inspect.signature(tiny_images).parameters) == ["classes", "each", "ending", "size"]
    assert "each" in pydoc.render_doc(tiny_images, renderer=pydoc.plaintext)


@pytest.mark.parametrize(
    ("mark", "fixture", "said"),
    [
        (
            "colab(as_colb=True)",
            "fake_colab",
            "there is no option as_colb=: did you mean as_colab=",
        ),
        ("colab('x')", "fake_colab", "options have names"),
        ("colab(xyz=1)", "fake_colab", "there are content"),
        ("fuse(dely=1)", "fuse_drive", "did you mean delay="),
        ("fuse(store=1)", "fuse_drive", "there is no option store="),
    ],
)
def test_a_misspelt_option_of_a_mark_is_told_in_plain_words(
    request, mark, fixture, said, monkeypatch
):
    request.node.add_marker(eval(f"pytest.mark.{mark}"))
    with pytest.raises(pytest.fail.Exception, match=re.escape(said)) as raised:
        request.getfixturevalue(fixture)
    assert not raised.value.pytrace


def test_heard_keeps_events_in_order(heard):
    heard(Note("one"))
    heard(EpochDone(1, 2, {"valid/top1": 0.5}))
    heard(Note("two", "warn"))
    assert (
        heard.text == "one\ntwo"
        and heard.notes[1].level == "warn"
        and heard.of(EpochDone)[0].epoch == 1
        and len(heard.events) == 3
    )


# the start


def test_loading_the_plugin_imports_pytest_and_nothing_heavy(tmp_path):
    code = """
import json, sys, pytest
before = set(sys.modules)
import colab_kit.testing.plugin
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    done = python("-c", code, cwd=tmp_path)
    assert json.loads(done.stdout) == [
        "colab_kit",
        "colab_kit.testing",
        "colab_kit.testing.plugin",
    ], done.stderr


def test_a_start_that_uses_no_fixture_loads_no_room_of_ours(tmp_path):
    said = run_tests(
        tmp_path,
        "import sys\ndef test_x():\n    ours = {n for n in sys.modules if n.startswith('colab_kit')}\n"
        "    assert ours == {'colab_kit', 'colab_kit.testing', 'colab_kit.testing.plugin'} and not {'torch', 'numpy', 'PIL'} & set(sys.modules)\n",
    )
    assert "1 passed" in said, said


def test_pytest_finds_the_installed_plugin_by_its_entry_point_once(tmp_path):
    (tmp_path / "test_mine.py").touch()
    done = python(
        "-m", "pytest", "--fixtures", "--markers", cwd=tmp_path, path=site(tmp_path / "site")
    )
    done = (
        done.stdout
        + python("-m", "pytest", "--fixtures", cwd=tmp_path, path=tmp_path / "site").stdout
    )
    for name in (
        "mock_drive",
        "drive_faults",
        "fake_colab",
        "fuse_drive",
        "file_server",
        "tiny_images",
        "heard",
    ):
        assert len(re.findall(rf"^{name} -- .*plugin.py", done, re.M)) == 1, name
    assert "@pytest.mark.colab(" in done and "@pytest.mark.fuse(" in done


def test_this_suite_uses_this_trees_plugin(pytestconfig):
    plugin = pytestconfig.pluginmanager.get_plugin("colab_kit.testing.plugin")
    assert Path(
        plugin.__file__
    ) == ROOT / "colab_kit/testing/plugin.py" and not pytestconfig.pluginmanager.has_plugin(
        "colab_kit"
    )
    assert Path(kit.__file__) == ROOT / "colab_kit/__init__.py"


def test_the_example_in_readme_passes(mock_drive, drive_faults, heard):
    names: dict = {}
    exec(readme_example(), names)
    names["test_a_full_drive_does_not_end_the_training"](
        mock_drive, drive_faults, heard
    )  # here, where torch is loaded already


def test_the_example_in_readme_runs_as_a_users_test_and_can_fail(tmp_path):
    good, mounting = readme_example(), '    drive.mount("/content/drive")\n'
    assert good.count(mounting) == 1
    (tmp_path / "test_careless.py").write_text(good.replace(mounting, ""))
    said = run_tests(tmp_path, good, "-k", "cell", "test_careless.py")
    assert "1 failed, 1 passed" in said and "test_careless.py:" in said, said
