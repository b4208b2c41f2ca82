"""A server and a working folder for tests of fetch()."""

import pytest

from colab_kit.fetching import http_download
from colab_kit.testing.server import FileServer

from ..support.forks import Forks


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(http_download, "TICK", 0.005)
    monkeypatch.delenv("COLAB_KIT_OFFLINE", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def waits():
    return []


@pytest.fixture(scope="module")
def forks():
    with Forks("tests.support.fetch_jobs") as forks:
        yield forks
