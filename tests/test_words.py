"""Words: an old or foreign word is refused by a sentence that names ours, and stands in no
document.
"""

import ast
import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colab_kit as kit
from colab_kit.cli import main
from colab_kit.colab.drive import Drive
from colab_kit.data.targets import TASKS
from colab_kit.errors import FOREIGN, RENAMED, DataError, RecipeError, RunError, habits
from colab_kit.events import Control, EpochDone, StepDone
from colab_kit.fetching.fetched import Fetched
from colab_kit.recipe import Recipe
from colab_kit.runs import record as records
from colab_kit.runs.evaluation import Evaluation
from colab_kit.runs.run import Run
from colab_kit.training.request import MODES

ROOT = Path(__file__).resolve().parent.parent
FIELDS = [field.name for field in dataclasses.fields(Recipe)]
SPEAKING: dict[str, Any] = {  # those that the console speaks for
    "fetch": kit.fetch, "load": kit.load, "mount": kit.mount, "clone": kit.clone, "train": kit.train, "transfer": kit.transfer,
    "find_lr": kit.find_lr, "preflight": kit.preflight, "Drive.wait": Drive.wait, "Drive.unmount": Drive.unmount,
    "Fetched.as_module": Fetched.as_module, "Fetched.run": Fetched.run, "Run.evaluate": Run.evaluate,
}  # fmt: skip
VERBS: dict[str, Any] = {**SPEAKING, "panel": kit.panel, "Run.predict": Run.predict}


def options(verb: Any) -> set[str]:
    """What may be given by name: the parameters, and where they take fields, those of the recipe."""
    named = inspect.signature(verb).parameters
    return set(named) | set(FIELDS if "fields" in named else ())


def words(verb: Any) -> dict[str, str]:
    """The old words of a verb, and ours."""
    table = {**RENAMED["option"], **RENAMED.get(verb.__name__, {})}
    return {old: new for old, new in table.items() if new in options(verb)}


PAIRS = [
    (name, old, new)
    for name, verb in VERBS.items()
    for old, new in words(verb).items()
    if name not in ("preflight", "Run.evaluate")
]


@pytest.mark.parametrize(("name", "old", "new"), PAIRS)
def test_an_old_option_is_refused_by_a_sentence_with_the_new_one(name, old, new):
    verb = VERBS[name]
    given: list[Any] = [None] * sum(
        p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
        for p in inspect.signature(verb).parameters.values()
    )
    with pytest.raises(RecipeError) as caught:
        verb(*given, **{old: 1})
    assert f"{old}=" in caught.value.what and f"{new}=" in f"{caught.value.why} {caught.value.fix}"


@pytest.mark.parametrize(
    ("old", "new"), [(old, new) for old, new in RENAMED["option"].items() if new in FIELDS]
)
def test_an_old_field_is_refused_and_preflight_finds_it(old, new):
    with pytest.raises(RecipeError, match=f"write {new}=1"):
        Recipe.of(None, {old: 1})
    found = kit.preflight(kit.nets.mlp, "fashion-mini", **{old: 1})
    assert not found.ok and f"{new}=" in str(found.findings[0])


@pytest.mark.parametrize("name", VERBS)
def test_a_signature_holds_the_new_words_and_no_old_one(name):
    here = options(VERBS[name])
    assert not here & set(words(VERBS[name]))
    if name in SPEAKING:
        assert {"callbacks", "quiet"} <= here


def test_each_new_word_is_an_option_somewhere():
    everywhere = set().union(*(options(verb) for verb in VERBS.values()))
    assert set(RENAMED["option"].values()) | set(RENAMED["predict"].values()) <= everywhere
    assert not set(RENAMED["option"]) & set(FIELDS)


FLAGS = [
    (command, old, new)
    for command in ("train", "transfer", "panel")
    for old, new in RENAMED["option"].items()
    if any(
        f"--{new.replace('_', '-')}" in option.opts for option in main.face.commands[command].params
    )
]


@pytest.mark.parametrize(("command", "old", "new"), FLAGS)
def test_an_old_flag_is_refused_by_a_line_with_the_new_one(command, old, new, capsys):
    status = main.main([command, "fashion-mini", f"--{old.replace('_', '-')}", "1"])
    assert status == main.USAGE and f"--{new.replace('_', '-')}" in capsys.readouterr().err


def test_old_values_are_refused_by_a_sentence_with_the_new_ones(capsys):
    x = np.zeros((4, 8, 8), np.uint8)
    for old, new in RENAMED["task"].items():
        assert new in TASKS and old not in TASKS
        with pytest.raises(DataError) as caught:
            kit.load((x, [0, 1, 0, 1]), task=old, quiet=True)
        assert f"task={new!r}" in caught.value.fix
    for old, new in RENAMED["mode"].items():
        assert new in MODES and old not in MODES
        with pytest.raises(RecipeError) as refused:
            kit.transfer((x, [0, 1, 0, 1]), "efficientnet_lite0", mode=old, quiet=True)
        assert f"mode={new!r}" in refused.value.fix
        assert (
            main.main(["transfer", "fashion-mini", "--mode", old]) == main.USAGE
            and new in capsys.readouterr().err
        )


THINGS = {
    "Run": Run.__new__(Run),
    "Control": Control(),
    "Evaluation": Evaluation(0.5, 1.0, None, 3, "valid", ("a", "b")),
    "StepDone": StepDone(1, 2, 0.5, 0.1),
    "EpochDone": EpochDone(1.0, 2),
}


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [(kind, old, new) for kind in THINGS for old, new in RENAMED[kind].items()],
)
def test_an_old_attribute_is_refused_by_a_sentence_with_the_new_one(kind, old, new):
    with pytest.raises(AttributeError, match=f"'{old}': it is called '{new}' now"):
        getattr(THINGS[kind], old)
    names = {*dir(type(THINGS[kind])), *getattr(type(THINGS[kind]), "__dataclass_fields__", ())}
    assert new in names and old not in names


def test_a_run_of_the_former_format_says_so_in_one_sentence(tmp_path):
    record = {
        "identity": {},
        "created": 1.0,
        "start": "s",
        "name": "n",
        "status": "done",
        "format": records.FORMAT - 1,
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="was written by an older colab_kit"):
        records.find(records.Place(tmp_path, None, "run", None))


def test_accuracy_is_top1_and_val_is_valid():
    for said in ("valid/accuracy", "val/accuracy", "val/top1", "validation/top1"):
        assert Recipe(monitor=said).monitor == "valid/top1"
    assert Recipe(monitor="val/loss") == Recipe() and THINGS["Evaluation"].accuracy == 1.0
    run = kit.train(
        kit.nets.mlp,
        kit.load("fashion-mini", max_per_class=20, quiet=True),
        epochs=1,
        quiet=True,
        monitor="val/accuracy",
    )
    assert (
        run.evaluate("val").split == "valid"
        and run.best["metrics"]["val/accuracy"] == run.best["metrics"]["valid/top1"]
    )
    assert run.evaluate("val").metrics["val/accuracy"] == run.evaluate("valid").top1


# --- epochs and views ---


def test_epochs_do_not_go_with_a_frozen_backbone_nor_views_with_another():
    x = np.zeros((4, 16, 16, 3), np.uint8), [0, 1, 0, 1]
    for given in ({"epochs": 4}, {"recipe": Recipe(epochs=4)}):
        with pytest.raises(RecipeError, match="views=4"):
            kit.transfer(x, "efficientnet_lite0", mode="frozen", quiet=True, **given)
    for mode in ("finetune", "frozen_then_finetune"):
        with pytest.raises(RecipeError, match="views= does not go with"):
            kit.transfer(x, "efficientnet_lite0", mode=mode, views=2, quiet=True)
    with pytest.raises(RecipeError, match="views= is for transfer"):
        kit.train(kit.nets.mlp, x, views=2, quiet=True)


def test_epochs_where_frozen_was_chosen_get_a_warning_with_both_lines(heard, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    x = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    data = kit.load((x, np.arange(40) % 2), quiet=True)
    how = {"image_size": 32, "device": "cpu", "quiet": True, "callbacks": [heard]}
    kit.transfer(data, "efficientnet_lite0", epochs=4, **how)
    [said] = [note.text for note in heard.notes if "epochs=4" in note.text]
    assert "views=4" in said and 'mode="finetune"' in said
    heard.events.clear()
    run = kit.transfer(data, "efficientnet_lite0", seed=1, **how)
    assert run.choices["views"][0] == 1 and not [
        note for note in heard.notes if "epochs=" in note.text and note.level == "warn"
    ]


# --- documents ---

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
]
GONE = [  # what no page may say in any other sense
    r"\bhead_epochs\b", r"\bfresh=", r"--fresh\b", r"\blisten=", r"\blisteners?\b", r"\bgo_on\(", r"\brun\.wait\(", r"\bsave_every\b",
    r"\bvalidate_every\b", r"\bbudget=", r"--budget\b", r"\bclip=", r"--clip\b", r"\baccumulate=", r"\bema=", r"\bwarmup=", r"\bschedule=",
    r"\bedits=", r"\blimit=", r"--limit\b", r"--out\b", r"\bnames=", r"['\"]both['\"]", r"['\"]classify['\"]", r"['\"]regress['\"]",
    r"status == ['\"]done['\"]",
]  # fmt: skip


def code(page: Path) -> list[str]:
    """The blocks of Python of a page."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        blocks = ["".join(cell["source"]) for cell in cells]
    else:
        blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    return [re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", block) for block in blocks]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_says_an_old_word(page):
    text = page.read_text(encoding="utf-8")
    if page.name == "coming_from.md":  # its table holds the words of others
        text = text.partition("## Reference")[0]
    assert [found.group() for gone in GONE for found in re.finditer(gone, text)] == []
    verbs = {verb.__name__: verb for verb in VERBS.values()}
    for block in code(page):
        for call in (
            node
            for node in ast.walk(ast.parse(block))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ):
            if call.func.attr in verbs:
                assert not {keyword.arg for keyword in call.keywords} & set(
                    words(verbs[call.func.attr])
                ), ast.unparse(call)


@pytest.mark.parametrize(("old", "line"), FOREIGN.items())
def test_the_line_for_a_foreign_option_is_python_with_options_that_exist(old, line):
    call = line if "(" in line.split("=")[0] else f"kit.train(net, data, {line})"
    tree = ast.parse(call.replace("{}", "given"), mode="eval").body
    verb: Any = {"kit.train": kit.train, "kit.load": kit.load, "kit.transfer": kit.transfer}.get(
        ast.unparse(tree.func)
    )
    given = {word.arg: word.value for word in tree.keywords}
    everywhere = options(kit.train) | options(kit.transfer) | options(kit.load)
    assert set(given) <= (everywhere if verb is kit.train else options(verb) if verb else set())
    literals = {
        name: ast.literal_eval(value)
        for name, value in given.items()
        if name in FIELDS and not isinstance(value, ast.Name)
    }
    Recipe(**literals)  # a value that the recipe takes


@pytest.mark.parametrize(("old", "line"), FOREIGN.items())
def test_training_with_a_foreign_option_shows_its_line(old, line):
    with pytest.raises(RecipeError) as caught:
        kit.train(kit.nets.mlp, "fashion-mini", **{old: 7})
    assert line.replace("{}", "7") in caught.value.fix


def test_sixty_names_of_five_libraries_are_known_and_none_is_ours():
    assert {"Keras", "Lightning", "fastai", "Hugging Face", "Ultralytics"} <= set(habits())
    assert len(FOREIGN) >= 60 and not set(FOREIGN) & options(kit.train) & options(kit.transfer)
    page = (Path(__file__).parent.parent / "docs" / "coming_from.md").read_text(encoding="utf-8")
    assert [old for old in FOREIGN if f"| `{old}` |" not in page] == []
