"""History: one table of what was measured."""

import csv
import io
from pathlib import Path

import pytest

from colab_kit.errors import MissingExtra
from colab_kit.events import EpochDone, RunStarted, StepDone
from colab_kit.training.history import CsvLog, History
from colab_kit.training.state import State

ROWS = [
    {"epoch": 1.0, "step": 60_000, "train/loss": 0.123456},
    {"epoch": 2.0, "step": 1_234_567, "train/loss": float("nan"), "valid/top1": 1.0},
]


def test_it_adds_the_row_of_every_epoch_and_of_nothing_else():
    history = History()
    history(EpochDone(1.0, 2, {"train/loss": 0.5}))
    history(StepDone(1, 2, 0.5, 0.1))
    assert history == [{"train/loss": 0.5}]


def test_rows_are_its_own():
    row = {"train/loss": 0.5}
    history = History([row])
    history(EpochDone(1.0, 2, row))
    row["train/loss"] = 9.0
    assert [r["train/loss"] for r in history] == [0.5, 0.5]


def test_columns_are_all_that_any_row_has_in_order_of_appearance():
    assert (
        History(ROWS).columns == ["epoch", "step", "train/loss", "valid/top1"]
        and History().columns == []
    )


def test_csv_holds_every_figure_exactly_and_gaps_stay_empty(tmp_path):
    text = History(ROWS).to_csv(tmp_path / "h.csv")
    assert (tmp_path / "h.csv").read_text() == text and [p.name for p in tmp_path.iterdir()] == [
        "h.csv"
    ]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert (
        rows[0] == {"epoch": "1.0", "step": "60000", "train/loss": "0.123456", "valid/top1": ""}
        and rows[1]["step"] == "1234567"
    )


def test_the_table_reads_well_and_steps_are_written_out():
    lines = repr(History(ROWS)).splitlines()
    assert len(set(map(len, lines))) == 1 and lines[0].split() == [
        "epoch",
        "step",
        "train/loss",
        "valid/top1",
    ]
    assert lines[1].split() == ["1", "60000", "0.1235"] and lines[2].split() == [
        "2",
        "1234567",
        "nan",
        "1",
    ]


def test_an_empty_table_has_all_its_shapes():
    assert (
        repr(History()) == ""
        and History().to_csv() == "\n"
        and "<table>" in History()._repr_html_()
    )


def test_html_escapes_names():
    page = History([{"<b>": 1.0}])._repr_html_()
    assert "&lt;b&gt;" in page and "<b>" not in page and "<td>1</td>" in page


def test_pandas_comes_if_it_is_there():
    try:
        assert list(History(ROWS).to_pandas().columns) == History(ROWS).columns
    except MissingExtra as err:
        assert "to_pandas()" in err.what


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 0.0, -1e-12, 1e30, 7])
def test_any_figure_has_a_cell(value):
    assert History([{"x": value}])._repr_html_()


# --- history.csv ---

START = RunStarted("x", Path("x"), 2, 20)


def test_each_validation_is_in_the_file_at_once(tmp_path):
    log = CsvLog(tmp_path / "h.csv", History())
    log(START)
    log(StepDone(1, 20, 0.5, 0.1))
    assert not (tmp_path / "h.csv").exists()
    for epoch in (1.0, 2.0):
        log(EpochDone(epoch, 2, {"epoch": epoch}))
        assert (tmp_path / "h.csv").read_text().splitlines()[-1] == str(epoch)


def test_a_continued_run_has_its_earlier_rows_from_the_start(tmp_path):
    before = History([{"epoch": 1.0}])
    log = CsvLog(tmp_path / "h.csv", before)
    log(START)
    assert (tmp_path / "h.csv").read_text() == "epoch\n1.0\n"
    log(EpochDone(2.0, 2, {"epoch": 2.0, "valid/loss": 0.5}))
    assert (tmp_path / "h.csv").read_text() == "epoch,valid/loss\n1.0,\n2.0,0.5\n" and len(
        before
    ) == 1


def test_the_best_row_of_some_epochs_is_found_by_any_metric():
    rows = History(
        {"epoch": e, "valid/loss": x, "valid/top1": x} for e, x in enumerate((3.0, 1.0, 2.0), 1)
    )
    assert rows.best("valid/loss")["epoch"] == 2 and rows.best("valid/top1")["epoch"] == 1
    assert rows.best("valid/loss", after=2)["epoch"] == 3
    assert rows.best("valid/loss", until=1)["epoch"] == 1
    assert rows.best("valid/loss", after=3) == {} and rows.best("valid/f1") == {}


@pytest.mark.parametrize(
    ("loss", "top1", "top5", "is_best"),
    [
        (0.5, 0.8, 1.0, True),  # in all as good or better
        (0.4, 0.7, 1.0, False),  # a better loss at fewer hits
        (0.6, 0.9, 1.0, False),  # by the metric itself
        (0.4, 0.8, 0.9, True),  # top-5 may fall
        (float("nan"), 0.9, 1.0, False),
    ],
)
def test_after_the_frozen_phase_a_row_is_best_only_where_no_figure_falls(loss, top1, top5, is_best):
    state = State()
    names = ("epoch", "valid/loss", "valid/top1", "valid/top5")
    for row in ((1, 0.7, 0.8, 1.0), (2, 0.6, 0.75, 1.0), (3, 0.65, 0.9, 1.0)):
        state.add_row(dict(zip(names, row, strict=True)) | {"step": row[0]}, "valid/loss", 2)
    assert state.best["epoch"] == 2, "of the frozen phase: by the metric alone"
    after = dict(zip(names, (4, loss, top1, top5), strict=True)) | {"step": 4}
    assert state.add_row(after, "valid/loss", 2) == is_best
