"""history.csv: whole after every validation."""

from pathlib import Path

from colab_kit.events import EpochDone, RunStarted, StepDone
from colab_kit.training.csv_log import CsvLog
from colab_kit.training.history import History

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
