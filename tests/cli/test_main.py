"""The command line: its flags are the recipe's fields, and what fails says so by its exit status."""

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

import colab_kit
from colab_kit.cli import main
from colab_kit.cli.train import DATA_FLAGS, panel_code, take_data_words
from colab_kit.data.loading import load
from colab_kit.recipe import Recipe

FIELDS = {field.name for field in dataclasses.fields(Recipe)}
RUN_FLAGS = {"data", "name", "run_dir", "restart", "device", *DATA_FLAGS}
EATEN = set(
    "--gpu --tpu --timeout --keep -s --session --high-mem --env -h".split()
)  # by `colab run`, even behind the script's name


def options(command: str) -> dict[str, click.Parameter]:
    return {parameter.name: parameter for parameter in main.face.commands[command].params}


@pytest.mark.parametrize(
    ("command", "own"), [("train", {"model", "init"}), ("transfer", {"backbone", "mode"})]
)
def test_the_flags_are_the_fields_of_the_recipe(command, own):
    assert set(options(command)) == FIELDS | RUN_FLAGS | own
    for field in dataclasses.fields(Recipe):
        option = options(command)[field.name]
        assert option.default is None or not isinstance(option.default, (int, str)), (
            f"{field.name} would be given though nobody said so"
        )
        assert field.metadata["help"] in option.help
        if field.metadata["choices"] and "int" not in str(field.type):
            assert tuple(option.type.choices) == field.metadata["choices"]


def test_the_words_of_load_are_flags_and_reach_it():
    assert set(DATA_FLAGS) <= set(inspect.signature(load).parameters)
    words = ["pets", "--labels", "t.csv", "--label-column", "dx", "--explain"]
    params = main.face.commands["transfer"].make_context("transfer", words).params
    assert take_data_words(params) == {"labels": "t.csv", "label_column": "dx", "explain": True}
    assert not set(DATA_FLAGS) & set(params)


def test_the_words_of_load_stand_in_the_cell_of_a_panel():
    code = panel_code("pets", "resnet18", labels="t.csv", explain=None, lr=0.1)
    assert code.endswith("kit.panel(kit.load('pets', labels='t.csv'), 'resnet18', lr=0.1)")


@pytest.mark.parametrize("command", ["train", "transfer"])
def test_no_flag_is_one_that_colab_run_eats(command):
    assert not EATEN & {word for option in options(command).values() for word in option.opts}


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("--epochs 3 --lr 1e-3", {"epochs": 3, "lr": 1e-3}),
        ("--class-weights balanced", {"class_weights": "balanced"}),
        ("--class-weights 1,2.5", {"class_weights": (1.0, 2.5)}),
        (
            "--lr-schedule step --step-size 2 --max-grad-norm 1",
            {"lr_schedule": "step", "step_size": 2, "max_grad_norm": 1.0},
        ),
        ("", {}),
    ],
)
def test_flags_become_fields_of_the_right_type(words, fields):
    context = main.face.commands["train"].make_context("train", ["pets", *words.split()])
    given = {
        name: value
        for name, value in context.params.items()
        if name in FIELDS and value is not None
    }
    assert given == fields and Recipe(**given)


@pytest.mark.parametrize(
    "words",
    [
        "train",
        "train pets --epochs many",
        "train pets --lr-schedule cosin",
        "train pets --class-weights a,b",
        "trane",
    ],
)
def test_wrong_usage_is_status_2(words, capsys):
    assert main.main(words.split()) == 2
    assert "Usage:" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--help", "--version", "train --help"])
def test_asking_for_help_is_no_failure(words):
    assert main.main(words.split()) == 0


def test_an_error_of_ours_is_three_sentences_and_status_1(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main.main(["train", "no/such/folder", "--epochs", "1"]) == 1
    said = capsys.readouterr().err
    assert (
        "no/such/folder" in said and "Why: " in said and "Fix: " in said and "Traceback" not in said
    )


def test_help_comes_without_torch():
    code = "import sys; from colab_kit.cli.main import main; main(['train', '--help']); assert not {'torch', 'numpy'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(colab_kit.__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("ended", "status"), [("finished", 0), ("stopped", 130), ("failed", 1)])
def test_the_exit_status_says_how_the_run_ended(monkeypatch, ended, status):
    monkeypatch.setitem(
        main.face.commands,
        "made-up",
        click.Command("made-up", callback=lambda: SimpleNamespace(status=ended)),
    )
    assert main.main(["made-up"]) == status


def test_a_second_interrupt_is_status_130_without_a_traceback(monkeypatch, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(
        main.face.commands, "made-up", click.Command("made-up", callback=interrupted)
    )
    assert main.main(["made-up"]) == 130
    assert "Interrupted." in capsys.readouterr().err


def test_runtime_is_one_line(capsys):
    assert main.main(["runtime"]) == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_a_run_is_trained_found_again_listed_and_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    words = ["train", "fashion-mini", "--max-per-class", "8", "--epochs", "1", "--device", "cpu"]
    status, run = main.call(words)
    assert (
        status == 0
        and run.status == "finished"
        and (run.name, run.recipe.epochs) == ("fashion-mini-mlp", 1)
    )
    assert main.call(words)[1].folder == run.folder and len(list(run.folder.parent.iterdir())) == 1
    capsys.readouterr()

    assert main.main(["runs"]) == 0
    assert [line.split()[:4] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["fashion-mini-mlp", run.key, "finished", "1/1"]
    ]

    picture = str(Path(__file__).parents[1] / "data" / "espresso.jpg")
    assert (
        main.main(["predict", run.key, picture, picture, "--top", "2", "--csv", "answers.csv"]) == 0
    )
    said = capsys.readouterr().out.splitlines()
    assert [line.count("%") for line in said] == [2, 2, 0] and said[-1] == "answers.csv"
    assert len(Path("answers.csv").read_text().splitlines()) == 3
