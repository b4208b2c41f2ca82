"""The stand-in on a folder behaves as google.colab's drive does: every check of the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from colab_kit.testing.fake_colab import StandIn
from colab_kit.testing.folder_drive import FolderBody

from ..support.drive_contract import CHECKS, Place


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    waits: list[float] = []
    with StandIn(FolderBody(tmp_path / "store"), content=tmp_path, sleep=waits.append) as stand_in:
        yield Place(stand_in, tmp_path, lambda: capsys.readouterr().out, waits)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_folder_keeps_the_contract(check, place):
    check(place)


def test_every_check_names_the_behaviour_it_follows():
    assert all((check.__doc__ or "").startswith("§1.") for check in CHECKS) and len(CHECKS) >= 30
