"""How data looks: a sheet of pictures, and texts that no class name can break out of."""

import numpy as np
import torch

from colab_kit.data.dataset import CELL, Data, Split, as_html, as_text, sheet
from colab_kit.data.sources import Arrays, Pictures

from ..support.pictures import blank, picture


def some(x=None, classes=("cat", "dog", "emu"), n=9, **kw):
    x = torch.arange(n * 16, dtype=torch.uint8).reshape(n, 1, 4, 4) if x is None else x
    source = Arrays(x, np.arange(len(x)) % len(classes))
    return Data(Split(source, np.arange(len(x))), None, None, tuple(classes), "pets", "f", **kw)


def test_a_sheet_shows_so_many_pictures_each_time_the_same():
    data = some()
    assert data.show(3).size == sheet(data, 3).size == (3 * (CELL + 8) + 8, CELL + 36)
    assert sheet(data, 6).tobytes() == sheet(data, 6).tobytes() != sheet(data, 5).tobytes()
    assert sheet(data, 100).size == sheet(data, 9).size  # there are nine


def test_classes_take_turns_on_the_sheet():
    x = (
        torch.tensor([0] * 50 + [255] * 50, dtype=torch.uint8)
        .reshape(100, 1, 1, 1)
        .expand(100, 1, 4, 4)
    )
    data = Data(
        Split(Arrays(x, np.repeat([0, 1], 50)), np.arange(100)),
        None,
        None,
        ("dark", "light"),
        "x",
        "f",
    )
    row = np.asarray(sheet(data, 8).convert("L"))[8 + CELL // 2]
    assert [row[8 + CELL // 2 + n * (CELL + 8)] for n in range(8)] == [0, 255] * 4


def test_every_kind_of_array_can_be_shown():
    for shape in [(4, 1, 28, 28), (4, 3, 9, 30), (4, 4, 8, 8), (4, 2, 8, 8), (4, 7, 8, 8), (4, 20)]:
        sheet(some(torch.rand(shape)), 4)


def test_a_picture_that_cannot_be_read_leaves_a_grey_square(tmp_path):
    paths = [picture(tmp_path / "a.png"), blank(tmp_path / "b.png", b"no picture")]
    data = Data(
        Split(Pictures(paths, np.array([0, 1]), tmp_path), np.arange(2)),
        None,
        None,
        ("a", "b"),
        "x",
        "f",
    )
    assert sheet(data, 2).getpixel((8 + CELL + 8 + 5, 20)) == (211, 211, 211)


def test_the_text_says_counts_classes_and_notes():
    text = as_text(some(notes=("3 pictures were left out.",)))
    assert text.splitlines() == [
        "pets: 3 classes · train 9 pictures",
        "  train: cat 3, dog 3, emu 3",
        "  note: 3 pictures were left out.",
    ]
    assert repr(some()) == as_text(some())


def test_names_from_outside_are_escaped():
    bad = "<script>alert(1)</script>"
    shown = as_html(some(classes=(bad, "b&b", "c"), notes=(bad,)))
    assert "<script" not in shown and "&lt;script&gt;" in shown and "b&amp;b" in shown
    assert some()._repr_html_() == as_html(some())


def test_many_classes_are_not_all_listed_and_long_names_stay_in_their_cell():
    data = some(
        torch.zeros(50, 1, 2, 2, dtype=torch.uint8),
        classes=[f"the common {'w' * 40} number {n}" for n in range(50)],
    )
    assert "and 30 more classes" in as_text(data) and "and 30 more classes" in as_html(data)
    gap = np.asarray(sheet(data, 8).convert("L"))[-28:, CELL + 8 : CELL + 16]  # between two names
    assert gap.min() == 255


def test_names_of_any_script_are_drawn_or_the_sheet_says_what_to_install(monkeypatch):
    usual = sheet(some(classes=("cat", "dog", "emu")), 3).size
    for classes in (("собака", "кошка", "ёж"), ("كلب", "قط", "فيل"), ("café", "thé", "æ")):
        assert sheet(some(classes=classes), 3).size == usual  # DejaVu comes with matplotlib
    same = [sheet(some(classes=(name, "dog", "emu")), 1).tobytes() for name in ("ж", "щ")]
    assert same[0] != same[1]
    monkeypatch.setattr("colab_kit.data.dataset.fonts_for", lambda signs: ((), not signs))
    assert sheet(some(classes=("猫", "狗", "鸟")), 3).height > usual[1]
