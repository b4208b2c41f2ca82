"""The door to google.colab: each way it fails becomes three sentences, and what it is called with is what it takes."""

import pytest

from colab_kit import colab
from colab_kit.errors import DriveError


class MessageError(Exception):
    """google.colab._message's."""


class TIMEOUT(Exception):
    """pexpect.exceptions'."""


class FakeDrive:
    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.calls = error, []

    def mount(self, mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
        self.calls.append((mountpoint, force_remount, timeout_ms, readonly))
        assert " " not in mountpoint  # a Path fails here, as at google.colab
        if self.error:
            raise self.error


def test_mount_is_called_once_with_a_str_and_milliseconds():
    fake = FakeDrive()
    colab.mount("/content/drive", 90, True, import_drive=lambda: fake)
    assert fake.calls == [("/content/drive", False, 90_000, True)]


@pytest.mark.parametrize(
    ("error", "why", "fix"),
    [
        (MessageError("Error: credential propagation was unsuccessful"), "consent was refused", "tick every box"),
        (ValueError("Mountpoint must not contain a space."), "a space", "/content/drive"),
        (ValueError("Mountpoint must not be a symlink"), "is a link", "does not exist yet"),
        (ValueError("Mountpoint must not already contain files"), "wrote into /mp", "!mv /mp /mp-before"),
        (ValueError("Mountpoint must either be a directory or not exist"), "/mp is a file", "!mv /mp"),
        (ValueError("Mountpoint must be in a directory that exists"), "above /mp", "does not exist yet"),
        (ValueError("/root/.config/Google must be a directory if present"), "/root/.config/Google", "delete that file"),
        (
            ValueError("The domain policy has disabled Drive File Stream: https://support.google.com/a"),
            "switched Drive off",
            "administrator",
        ),
        (ValueError("mount failed: timeout during initial read of root folder; for more info: x"), "top level", "what was read is kept"),
        (ValueError("mount failed"), "no answer", "run the cell again"),
        (NotImplementedError("google.colab.drive.mount is not supported in Colab Enterprise."), "Enterprise", "Cloud Storage"),
        (NotImplementedError("Mounting drive is unsupported in this environment. Use PyDrive2 instead."), "hosted", "hosted runtime"),
        (KeyError("TBE_EPHEM_CREDS_ADDR"), "TBE_EPHEM_CREDS_ADDR", "notebook cell"),
        (TIMEOUT("<pexpect.popen_spawn.PopenSpawn object at 0x7f>\nsearcher: searcher_re:"), "did not answer", "Disconnect"),
        (AttributeError("'NoneType' object has no attribute 'kernel'"), "no page", "notebook cell"),
        (ModuleNotFoundError("No module named 'google.colab'"), "cannot be imported", "mock="),
        (AttributeError("something else"), "AttributeError: something else", "run the cell again"),
        (ZeroDivisionError("new"), "ZeroDivisionError: new", "run the cell again"),
    ],
)
def test_each_failure_of_google_colab_is_said_in_three_sentences(error, why, fix):
    with pytest.raises(DriveError) as raised:
        colab.mount("/mp", import_drive=lambda: FakeDrive(error))
    said = raised.value
    assert "/mp" in said.what and why in said.why and fix in said.fix and said.__cause__ is error


def test_a_braced_message_from_google_colab_is_quoted_as_it_is():
    error = ValueError("/x/{a} must be a directory if present")
    with pytest.raises(DriveError, match="a file stands"):
        colab.mount("/mp", import_drive=lambda: FakeDrive(error))


def test_without_google_colab_the_import_is_translated_too():
    with pytest.raises(DriveError) as raised:
        colab.mount("/no/such/place/drive")  # off Colab: cannot be imported, or says it is no hosted machine
    assert raised.value.fix


def test_an_interrupt_passes_through():
    with pytest.raises(KeyboardInterrupt):
        colab.mount("/mp", import_drive=lambda: FakeDrive(KeyboardInterrupt()))
