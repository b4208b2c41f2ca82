"""The door to google.colab: each way it fails becomes three sentences, and what it is called with is what it takes."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from colab_kit.colab import bridge
from colab_kit.errors import ColabError, DriveError
from colab_kit.system.hardware import Host

from ..support.worlds import dies


class MessageError(Exception):
    """google.colab._message's."""


class TIMEOUT(Exception):
    """pexpect.exceptions'."""


class SecretNotFoundError(Exception):
    """google.colab.userdata's, as the next two."""


class NotebookAccessError(Exception):
    pass


class TimeoutException(Exception):
    pass


NO_KERNEL = AttributeError("'NoneType' object has no attribute 'kernel'")


class Fake:
    """google.colab on paper: every function records its call, then gives the answer or raises it."""

    def __init__(self, answer: object = None) -> None:
        self.answer, self.calls = answer, []

    def __call__(self, room: str) -> "Fake":
        self.room = room
        return self

    def _said(self, *call: object) -> object:
        self.calls.append((self.room, *call))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def mount(self, mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
        assert " " not in mountpoint  # a Path fails here, as at google.colab
        self._said(mountpoint, force_remount, timeout_ms, readonly)

    def flush_and_unmount(self, timeout_ms=24 * 60 * 60 * 1000):
        self._said(timeout_ms)

    def eval_js(self, script, ignore_result=False, timeout_sec=None):
        return self._said(script, timeout_sec)

    def get(self, key):
        return self._said(key)

    def upload(self, target_dir=""):
        return self._said(target_dir)


# --- mounting ---


def test_mount_is_called_once_with_a_str_and_milliseconds():
    fake = Fake()
    bridge.mount(Path("/content/drive"), 90, readonly=True, room=fake)
    bridge.mount("/content/drive", force=True, room=fake)
    assert fake.calls == [
        ("drive", "/content/drive", False, 90_000, True),
        ("drive", "/content/drive", True, 120_000, False),
    ]


@pytest.mark.parametrize(
    ("error", "why", "fix", "again"),
    [
        (MessageError("Error: credential propagation was unsuccessful"), "consent was refused", "tick every box", 1),
        (ValueError("Mountpoint must not contain a space."), "a space", "/content/drive", 0),
        (ValueError("Mountpoint must not be a symlink"), "is a link", "does not exist yet", 0),
        (ValueError("Mountpoint must not already contain files"), "wrote into /mp", "!mv /mp /mp-before", 0),
        (ValueError("Mountpoint must either be a directory or not exist"), "/mp is a file", "!mv /mp", 0),
        (ValueError("Mountpoint must be in a directory that exists"), "above /mp", "does not exist yet", 0),
        (ValueError("/root/.config/Google must be a directory if present"), "/root/.config/Google", "delete that file", 0),
        (
            ValueError("The domain policy has disabled Drive File Stream: https://support.google.com/a"),
            "switched Drive off", "administrator", 0,
        ),
        (
            ValueError("mount failed: timeout during initial read of root folder; for more info: x"),
            "top level", "what was read is kept", 3,
        ),
        (ValueError("mount failed"), "no answer", "run the cell again", 2),
        (NotImplementedError("google.colab.drive.mount is not supported in Colab Enterprise."), "Enterprise", "Cloud Storage", 0),
        (NotImplementedError("Mounting drive is unsupported in this environment. Use PyDrive2 instead."), "hosted", "hosted runtime", 0),
        (KeyError("TBE_EPHEM_CREDS_ADDR"), "TBE_EPHEM_CREDS_ADDR", "notebook cell", 0),
        (TypeError("argument of type 'PosixPath' is not iterable"), "PosixPath", "as text", 0),
        (TIMEOUT("<pexpect.popen_spawn.PopenSpawn object at 0x7f>\nsearcher: searcher_re:"), "did not answer", "Disconnect", 3),
        (NO_KERNEL, "no page", "notebook cell", 0),
        (ModuleNotFoundError("No module named 'google.colab'"), "cannot be imported", "mock=", 0),
        (AttributeError("something else"), "AttributeError: something else", "run the cell again", 0),
        (ZeroDivisionError("new"), "ZeroDivisionError: new", "run the cell again", 0),
    ],
)  # fmt: skip
def test_each_failure_of_google_colab_is_said_in_three_sentences_and_whether_to_try_again(
    error, why, fix, again
):
    with pytest.raises(DriveError) as raised:
        bridge.mount("/mp", room=Fake(error))
    said = raised.value
    assert (
        "/mp" in said.what
        and why in said.why
        and fix in said.fix
        and said.__cause__ is error
        and said.again == again
    )


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ValueError("flush_and_unmount failed"), "did not send everything"),
        (NotImplementedError("google.colab.drive is unsupported in this environment."), "hosted"),
        (KeyError("CLOUDSDK_CONFIG"), "CLOUDSDK_CONFIG"),
        (TIMEOUT("x"), "did not answer"),
        (ModuleNotFoundError("No module named 'google.colab'"), "cannot be imported"),
    ],
)
def test_each_failure_to_unmount_is_said_too(error, why):
    with pytest.raises(DriveError, match="could not be flushed") as raised:
        bridge.unmount(room=Fake(error))
    assert why in raised.value.why and raised.value.fix and raised.value.__cause__ is error


def test_unmount_flushes_within_its_limit():
    fake = Fake()
    bridge.unmount(60, room=fake)
    bridge.unmount(room=fake)
    assert fake.calls == [("drive", 60_000), ("drive", 24 * 60 * 60 * 1000)]


def test_a_braced_message_from_google_colab_is_quoted_as_it_is():
    with pytest.raises(DriveError, match="a file stands"):
        bridge.mount("/mp", room=Fake(ValueError("/x/{a} must be a directory if present")))


def test_without_google_colab_the_import_is_translated_too():
    with pytest.raises(DriveError) as raised:
        bridge.mount(
            "/no/such/place/drive"
        )  # off Colab: cannot be imported, or says it is no hosted machine
    assert raised.value.fix


def test_an_interrupt_passes_through():
    for call in (
        lambda fake: bridge.mount("/mp", room=fake),
        lambda fake: bridge.unmount(room=fake),
    ):
        with pytest.raises(KeyboardInterrupt):
            call(Fake(KeyboardInterrupt()))


def test_a_mountpoint_is_judged_as_google_colab_would_judge_it(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, why in (
        ("my drive", "a space"),
        ("link", "is a link"),
        ("file", "is a file"),
        ("none/drive", "above"),
    ):
        error = bridge.bad_mountpoint(str(tmp_path / name))
        assert error is not None and why in error.why and error.fix and error.again == 0
    assert (
        bridge.bad_mountpoint(str(tmp_path / "folder")) is None
        and bridge.bad_mountpoint(str(tmp_path / "new")) is None
    )


def test_a_dead_mount_is_a_mountpoint_as_google_colab_ends_it_first(tmp_path, monkeypatch):
    (tmp_path / "drive").mkdir()
    dies(monkeypatch, tmp_path / "drive")
    assert bridge.bad_mountpoint(str(tmp_path / "drive")) is None


# --- the page ---


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (1, True), (None, False), (MessageError("Uncaught"), True), (NO_KERNEL, False),
        (TypeError("unexpected keyword argument 'timeout_sec'"), None), (ImportError("no"), None),
    ],
)  # fmt: skip
def test_whether_a_page_answers_is_asked_with_a_deadline(answer, found):
    fake = Fake(answer)
    assert bridge.page_answers(2, room=fake) is found and fake.calls == [("output", "1", 2)]


def test_a_page_is_looked_for_in_colabs_kernel_only_and_where_an_imitation_stands_in(monkeypatch):
    kernel = Host(shell="google.colab._shell.Shell")
    assert bridge.has_page(kernel) and not bridge.has_page(
        Host(shell="ipykernel.zmqshell.ZMQInteractiveShell")
    )
    assert (
        not bridge.has_page(Host(shell=kernel.shell, env={"COLAB_KIT_CLIENT": "cli"}))
        and not bridge.has_page()
    )
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace(__colab_kit_mock__=True))
    assert bridge.has_page(Host())


# --- secrets ---


def asked(name="HF_TOKEN", *, answer=None, environ=None, page=True):
    fake = Fake(answer)
    return bridge.find_secret(name, environ=environ or {}, page=lambda: page, room=fake), fake.calls


def test_the_environment_comes_first_then_colab_then_none():
    assert asked(environ={"HF_TOKEN": "env"}, answer="colab") == ("env", [])
    assert asked(answer="colab") == ("colab", [("userdata", "HF_TOKEN")])
    assert asked(environ={"HF_TOKEN": ""}, answer="colab")[0] == "colab"
    assert asked(answer="colab", page=False) == (None, []), (
        "where no page can answer, nothing waits for one"
    )
    assert asked(answer="")[0] is None


def test_it_reads_this_process_environment(monkeypatch, capsys):
    monkeypatch.setenv("COLAB_KIT_TEST_SECRET", "s3cret")
    assert (
        bridge.secret("COLAB_KIT_TEST_SECRET") == "s3cret"
        and bridge.secret("COLAB_KIT_NO_SUCH_SECRET") is None
    )
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "error",
    [
        SecretNotFoundError("no"),
        TimeoutException("timed out"),
        NO_KERNEL,
        ModuleNotFoundError("google.colab"),
    ],
)
def test_a_secret_that_is_not_there_or_cannot_be_asked_for_is_none(error):
    assert asked(answer=error)[0] is None


def test_a_secret_that_the_notebook_may_not_read_says_where_the_switch_is():
    with pytest.raises(ColabError, match="HF_TOKEN") as raised:
        asked(answer=NotebookAccessError("Notebook does not have access to secret HF_TOKEN"))
    assert "Notebook access" in raised.value.fix and raised.value.__cause__ is not None


def test_any_other_failure_is_an_error_without_what_colab_said():
    with pytest.raises(ColabError) as raised:
        asked(answer=MessageError("payload: s3cret"))
    assert "MessageError" in str(raised.value) and "s3cret" not in str(raised.value)


@pytest.mark.parametrize("name", ["", " ", "hf_abc def", "a\n", None, 3, b"HF"])
def test_what_cannot_be_a_name_is_refused_and_not_quoted(name):
    with pytest.raises(ColabError, match="cannot be a secret's name") as raised:
        asked(name)
    assert "hf_abc" not in str(raised.value)


# --- uploads ---


def test_uploads_are_given_as_paths_where_they_were_saved(tmp_path):
    fake = Fake({"pets/a.jpg": b"x", "pets/a (1).jpg": b"y"})
    assert bridge.upload("pets", page=lambda: True, room=fake) == [
        Path.cwd() / "pets/a.jpg",
        Path.cwd() / "pets/a (1).jpg",
    ]
    assert bridge.upload(page=lambda: True, room=Fake({})) == [] and fake.calls == [
        ("files", "pets")
    ]
    bridge.upload(page=lambda: True, room=fake)
    bridge.upload(tmp_path, page=lambda: True, room=fake)
    assert fake.calls[1:] == [("files", ""), ("files", str(tmp_path))], (
        "the working folder is google.colab's ''"
    )


def test_off_colab_an_upload_says_to_give_a_path():
    with pytest.raises(ColabError, match="give a path"):
        bridge.upload(page=lambda: False, room=pytest.fail)


@pytest.mark.parametrize(
    "error",
    [NO_KERNEL, MessageError("x"), NotADirectoryError("pets"), ModuleNotFoundError("google.colab")],
)
def test_a_failing_upload_is_our_error(error):
    with pytest.raises(ColabError, match="could not be uploaded") as raised:
        bridge.upload(page=lambda: True, room=Fake(error))
    assert raised.value.fix and raised.value.__cause__ is error
