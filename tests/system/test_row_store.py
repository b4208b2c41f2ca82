"""The row store: a row is the one that was put there, under this number, with this note, or none."""

import shutil

import numpy as np
import pytest

from colab_kit.system.row_store import RowStore, open_store

SHAPE = (4, 3)


def values(row: int) -> np.ndarray:
    return np.arange(3, dtype=np.uint8) + 10 * row


def filled(folder, rows=range(4)):
    store = RowStore(folder, SHAPE)
    for row in rows:
        store.put(row, values(row), row + 0.5)


def held(folder):
    """The rows that a new process would believe."""
    store = RowStore(folder, SHAPE)
    found = {row: store.get(row) for row in range(4)}
    return {row: (entry[0].tolist(), entry[1]) for row, entry in found.items() if entry}


ALL = {row: (values(row).tolist(), row + 0.5) for row in range(4)}


def test_rows_are_found_again_with_their_notes(tmp_path):
    filled(tmp_path / "s")
    assert held(tmp_path / "s") == ALL


@pytest.mark.parametrize("name", ["rows", "marks"])
def test_every_changed_bit_costs_its_row_and_no_other(tmp_path, name):
    filled(tmp_path / "s")
    path = tmp_path / "s" / name
    content = path.read_bytes()
    for place in range(8 * len(content)):
        harmed = bytearray(content)
        harmed[place // 8] ^= 1 << place % 8
        path.write_bytes(harmed)
        row = place // 8 // (len(content) // 4)
        assert held(tmp_path / "s") == {k: v for k, v in ALL.items() if k != row}, place


def test_rows_of_another_store_or_in_another_order_are_none(tmp_path):
    filled(tmp_path / "s")
    shutil.copytree(tmp_path / "s", tmp_path / "other")
    assert held(tmp_path / "other") == {}
    for name in ("rows", "marks"):
        path = tmp_path / "s" / name
        content = path.read_bytes()
        size = len(content) // 4
        path.write_bytes(content[size : 2 * size] + content[:size] + content[2 * size :])
    assert held(tmp_path / "s") == {row: ALL[row] for row in (2, 3)}


@pytest.mark.parametrize("name", ["rows", "marks", ".lock"])
def test_a_link_or_a_folder_in_the_place_of_a_file_is_a_reason_and_nothing_is_written_there(
    tmp_path, name
):
    filled(tmp_path / "kind" / "key")
    path, target = tmp_path / "kind" / "key" / name, tmp_path / "target"
    path.unlink()
    path.symlink_to(target)
    found = open_store(tmp_path, "kind", "key", SHAPE, kept=3)
    assert isinstance(found, str) and "takes no store" in found and not target.exists()
    path.unlink()
    path.mkdir()
    assert isinstance(open_store(tmp_path, "kind", "key", SHAPE, kept=3), str)


def test_a_shortened_file_costs_the_rows_that_are_gone(tmp_path):
    filled(tmp_path / "s")
    with open(tmp_path / "s" / "rows", "r+b") as file:
        file.truncate(7)
    assert held(tmp_path / "s") == {row: ALL[row] for row in (0, 1)}
