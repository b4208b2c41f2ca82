"""What a test of fetching has done in a process that may be killed. Run by tests.support.forks."""

import os
import signal
from pathlib import Path

from colab_kit.events import FetchProgress
from colab_kit.fetching import http_download
from colab_kit.fetching.http_download import Download
from colab_kit.fetching.partial import Part
from colab_kit.fetching.remote import Call, Source
from colab_kit.system.http import Web

http_download.TICK = 0.002


def _deadly(at):
    def told(event):
        if isinstance(event, FetchProgress) and event.done >= at:
            os.kill(os.getpid(), signal.SIGKILL)

    return told


def download(url, to, kill_at):
    """Bring a file, and be killed when so many bytes have come."""
    http_download.TELL = http_download.SAVE = 0
    Download(
        Source(url, connections=2), Part(Path(to), "id"), Call(Web(), _deadly(kill_at))
    ).run().finish()


def whole(url, to, kill_at=1 << 60, **options):
    """fetch(), perhaps killed."""
    from colab_kit.fetching.fetch import fetch

    fetch(url, to, callbacks=[_deadly(kill_at)], quiet=True, **options)
