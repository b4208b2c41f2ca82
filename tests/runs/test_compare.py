"""Compare: several runs in one table, by what differs between them."""

import pytest

import colab_kit as kit
from colab_kit.cli import main
from colab_kit.errors import RunError


@pytest.fixture
def two(colab_kit_home) -> tuple[kit.Run, kit.Run]:
    data = kit.load("fashion-mini", max_per_class=15, quiet=True)
    slow = kit.train(kit.nets.mlp, data, epochs=1, lr=1e-5, quiet=True)
    fast = kit.train(kit.nets.mlp, data, epochs=3, batch_size=8, metrics="kappa", quiet=True)
    return slow, fast


def test_a_row_holds_what_differs_and_what_came_of_it_and_the_best_is_first(two):
    slow, fast = two
    rows = kit.compare(slow, fast).rows
    assert [row["run"] for row in rows] == [f"{run.name}-{run.key}" for run in (fast, slow)]
    assert {key for key in rows[0] if "/" not in key} == {
        "run", "epochs", "batch_size", "lr", "seconds", "MB",
    }  # fmt: skip
    assert (rows[0]["batch_size"], rows[1]["batch_size"]) == (8, 64), "a chosen value counts too"
    assert (rows[1]["lr"], rows[1]["epochs"], rows[0]["epochs"]) == (1e-5, 1, 3)
    assert rows[0]["valid/top1"] == fast.best["metrics"]["valid/top1"]
    assert rows[1]["valid/kappa"] is None and rows[0]["seconds"] > 0 and rows[0]["MB"] > 0.1


@pytest.mark.parametrize("by", ["run", "folder", "key", "list", "nothing"])
def test_a_run_is_named_in_any_way_that_open_run_knows(two, by):
    asked = {
        "run": two,
        "folder": [run.folder for run in two],
        "key": [run.key for run in two],
        "list": [list(two)],
        "nothing": [],
    }[by]
    assert len(kit.compare(*asked).rows) == 2


def test_a_monitor_that_falls_puts_the_smallest_first(two):
    rows = kit.compare(*two).rows
    assert rows[0]["valid/loss"] < rows[1]["valid/loss"]


def test_the_table_is_text_and_html_and_the_picture_is_a_file(two, tmp_path):
    found = kit.compare(*two)
    assert all(run.key in repr(found) and run.key in found._repr_html_() for run in two)
    assert found.plot(tmp_path / "both.png").stat().st_size > 5000


def test_a_run_of_a_network_of_ones_own_is_compared_without_its_code(two, tmp_path):
    from torch import nn

    data = kit.load("fashion-mini", max_per_class=15, quiet=True)
    own = kit.train(
        nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), data, epochs=1, name="own", quiet=True
    )
    assert {row["class"] for row in kit.compare(two[0].key, own.key).rows} == {"Net", "Sequential"}


def test_a_run_that_nobody_knows_is_an_error(two):
    with pytest.raises(RunError):
        kit.compare(two[0], "no such run")


def test_without_runs_it_says_so(colab_kit_home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError):
        kit.compare()


def test_the_shell_lists_the_best_accuracy_and_compares(two, capsys):
    assert main.main(["runs"]) == 0
    assert f"top1 {two[1].best['metrics']['valid/top1']:.4g}" in capsys.readouterr().out
    assert main.main(["runs", "--compare"]) == 0
    assert "batch_size" in capsys.readouterr().out


def test_the_shell_evaluates_reports_and_exports_a_run(two, tmp_path, capsys):
    name = f"{two[1].name}-{two[1].key}"
    assert main.main(["evaluate", name, "fashion-mini", "--metrics", "macro_f1"]) == 0
    assert "macro_f1" in capsys.readouterr().out
    assert main.main(["report", name, "fashion-mini"]) == 0
    assert (two[1].folder / "report.html").is_file()
    assert main.main(["export", name, str(tmp_path / "net.safetensors")]) == 0
    assert kit.open_run(tmp_path / "net.safetensors").classes == two[1].classes
