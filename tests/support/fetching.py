"""What the tests of fetch() share: archives, and fetch() without waits."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

from colab_kit.events import Note
from colab_kit.fetching.fetch import fetch_as
from colab_kit.fetching.records import MARK

BODY = os.urandom(300_000)
FILES = {f"pets/{'cat' if n % 2 else 'dog'}/{n}.bin": os.urandom(3000) for n in range(60)}
PAGE = b"<!DOCTYPE html><html><head><title>Sign in to see</title></head></html>"


def get(url, to=None, *, named=None, heard=None, **options):
    """fetch() that does not wait and finds no secret."""
    options = {
        "find": lambda name: None,
        "sleep": lambda seconds: None,
        "callbacks": None if heard is None else [heard.append],
        "quiet": True,
        **options,
    }
    return fetch_as(url, to, named, **options)


def a_zip(files=FILES, method=zipfile.ZIP_DEFLATED):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return held.getvalue()


def a_tar(files=FILES, mode="w:gz"):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return held.getvalue()


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in Path(folder).rglob("*")
        if p.is_file() and p.name != MARK
    }


def left(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def notes(heard):
    return " ".join(event.text for event in heard if isinstance(event, Note))
