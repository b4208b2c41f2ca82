"""Names from outside are shown as text in every output: a terminal, a page, a picture, a
spreadsheet. The walk gives hostile names to a small run, and looks at all that can be asked of it.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from contextlib import redirect_stderr, redirect_stdout
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

import colab_kit
from colab_kit import api, nets
from colab_kit.api import train
from colab_kit.cli.main import face
from colab_kit.data.loading import load
from colab_kit.data.tables.text import read_rows
from colab_kit.errors import ColabKitError, DataError, in_line, plain
from colab_kit.runs import plots
from colab_kit.runs.evaluation import evaluate
from colab_kit.runs.prediction import Predictions, prediction
from colab_kit.system.console import NO_FORMULAS, csv_field, from_csv_field
from colab_kit.training.state import History

NAMES = (
    "<img src=x onerror=alert(1)>", '=HYPERLINK("x")', "+1", "@SUM", "$\\frac$", "two\nlines",
    "\x1b[31mred", "a\rb", "\u202egpj", "'=x", "-2+3", "$5", "a;=1", 'the "best"', "dog",
)  # fmt: skip
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A run whose classes, pictures and name are hostile, and what was printed on the way."""
    root = tmp_path_factory.mktemp("names")
    rng, pictures = np.random.default_rng(0), root / "photos <b>x"
    for number, name in enumerate(NAMES):
        (pictures / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 40, (8, 8, 3)) + 14 * number
            Image.fromarray(pixels.astype("uint8")).save(pictures / name / f"={i}<b>.png")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.setenv("COLAB_KIT_HOME", str(root / "home"))
        patch.chdir(root)
        data = load(pictures)
        net = nets.mlp(inputs=3 * 64, classes=len(NAMES))
        run = train(net, data, image_size=8, epochs=1, name="<i>run\x1b[31m $\\frac$")
        yield SimpleNamespace(
            pictures=pictures,
            data=data,
            net=net,
            run=run,
            evaluation=run.evaluate(),
            answers=run.predict(data.train),
            report=run.report(),
            printed=printed,
        )


class Page(HTMLParser):
    """What a browser makes of HTML: its text, and the text in which formulas are drawn."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.text = self.drawn = ""
        self.open: list[tuple[str, bool]] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attrs):
        how = dict(attrs)
        assert tag not in ("script", "iframe", "b!", "i") and not [a for a in how if a[:2] == "on"]
        assert tag != "img" or how["src"].startswith("data:image/png;base64,")
        if tag not in ("img", "meta", "br"):
            is_text = any(flag for _, flag in self.open) or NO_FORMULAS in (how.get("class") or "")
            self.open.append((tag, is_text))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        self.text += data
        if not any(flag for _, flag in self.open):
            self.drawn += data


def check_text(text: str) -> None:
    assert STEERING.findall(text) == [], text
    text.encode()


def check_page(content: str, *, in_notebook: bool = True) -> Page:
    page = Page(content)
    check_text(content)
    assert "$" not in page.drawn or not in_notebook, page.drawn
    return page


TEXTS = {  # all that a terminal shows
    "what load, train, evaluate, predict and report print": lambda w: w.printed.getvalue(),
    "Data": lambda w: repr(w.data),
    "Split": lambda w: repr(w.data.train),
    "Run": lambda w: repr(w.run),
    "History": lambda w: repr(w.run.history),
    "Evaluation": lambda w: repr(w.evaluation),
    "Predictions": lambda w: repr(w.answers),
    "Prediction": lambda w: "".join(map(repr, w.answers)),
    "a Prediction of numbers": lambda w: repr(
        prediction(np.ones(len(NAMES)), NAMES, task="regression")
    ),
    "Preflight": lambda w: repr(colab_kit.preflight(w.net, w.data, quiet=True)),
    "a metric's name": lambda w: repr(History([{"\x1b[31m": 1.0, "a\nb": 2.0}])),
    "an error": lambda w: str(ColabKitError(*NAMES[6:9])),
    "an error about classes": lambda w: said(lambda: w.answers.to_csv(columns={"a": "\x1b"})),
    "colab-kit runs": lambda w: shell("runs"),
    "colab-kit predict": lambda w: shell("predict", str(w.run.folder), str(w.pictures)),
}


def said(call) -> str:
    with pytest.raises(DataError) as caught:
        call()
    return str(caught.value)


def shell(*arguments: str) -> str:
    from click.testing import CliRunner

    return CliRunner().invoke(face, arguments, color=True).output


@pytest.mark.parametrize("output", TEXTS)
def test_a_terminal_is_not_steered_by_a_name(world, output):
    check_text(TEXTS[output](world))


def test_a_table_in_a_terminal_has_a_line_for_each_name(world):
    lines = repr(world.evaluation).splitlines()
    rows = [line for line in lines if any(line.startswith(in_line(name)) for name in NAMES)]
    assert len(rows) == len(NAMES) and len({len(row) for row in rows}) == 1


PAGES = {  # all HTML that a notebook shows, and whether it names classes
    "Data": (lambda w: w.data._repr_html_(), True),
    "Evaluation": (lambda w: w.evaluation._repr_html_(), True),
    "History": (lambda w: History([dict.fromkeys(NAMES, 1.0)])._repr_html_(), True),
    "Preflight": (lambda w: colab_kit.preflight(w.net, w.data, quiet=True)._repr_html_(), False),
}


@pytest.mark.parametrize("output", PAGES)
def test_a_notebook_shows_names_as_text(world, output):
    make, names_classes = PAGES[output]
    page = check_page(make(world))
    assert [name for name in NAMES if names_classes and plain(name) not in page.text] == []


def test_the_report_shows_names_as_text(world):
    page = check_page(Path(world.report).read_text(encoding="utf-8"), in_notebook=False)
    assert [name for name in (*NAMES, world.run.name) if plain(name) not in page.text] == []


@pytest.mark.parametrize("is_old", [False, True])
def test_panel_and_cleaner_show_names_as_text(world, monkeypatch, is_old):
    """On ipywidgets 7, which Colab has, the description of a widget is HTML."""
    widgets = pytest.importorskip("ipywidgets")
    from colab_kit.panels import panel as panels
    from colab_kit.panels import views
    from colab_kit.panels.cleaner import Cleaner

    def all_in(widget):
        return [widget, *(w for child in getattr(widget, "children", ()) for w in all_in(child))]

    monkeypatch.setenv("COLAB_KIT_UI", "background")
    monkeypatch.setattr(views, "descriptions_are_html", lambda: is_old)
    monkeypatch.setattr(api, "transfer", lambda *asked, **how: world.run)
    panels.working.clear()
    made = panels.panel(world.data)
    made.start()
    assert made.wait(60)
    made._look()
    cleaner = Cleaner(world.run, world.data.train, 60)
    parts = [*all_in(made.box), *all_in(cleaner.box)]
    for content in [part.value for part in parts if isinstance(part, widgets.HTML)]:
        check_page(content)
        for svg in re.findall(r"<svg.*?</svg>", content, re.S):
            ElementTree.fromstring(svg)
    assert plain(NAMES[0]) in Page(made.result.answer.value).text
    descriptions = {part.description for part in cleaner.choices.values()}
    assert len(descriptions) > 10
    for text in descriptions:
        check_text(text)
        if is_old:
            check_page(f"<label class='{NO_FORMULAS}'>{text}</label>")


def of_task(task: str):
    classes, n = NAMES[4:7], 30
    rng = np.random.default_rng(1)
    outputs = rng.random((n, len(classes))).astype(np.float32)
    labels = (rng.random(outputs.shape) > 0.5).astype(np.float32)
    if task == "classification":
        outputs, labels = outputs / outputs.sum(1, keepdims=True), rng.integers(0, 3, n)
    return evaluate(outputs, labels, classes, "test <b>$x$", task)


PICTURE = np.zeros((8, 8, 3), np.uint8)
DRAWINGS = {  # every function of plots that draws names
    "comparison": lambda path: plots.comparison(of_task("classification"), path, "classification"),
    "per_class": lambda path: plots.comparison(of_task("multilabel"), path, "multilabel"),
    "agreement": lambda path: plots.comparison(of_task("regression"), path, "regression"),
    "confusion": lambda path: plots.confusion(many(), path),
    "view_classify": lambda path: plots.view_classify(
        PICTURE, prediction(np.linspace(0, 1, len(NAMES)), NAMES, top=20), path
    ),
    "sheet": lambda path: plots.sheet([PICTURE] * 4, NAMES[3:7], path),
    "curves": lambda path: plots.curves(
        [{"epoch": n, "train/loss": 1 / n, "valid/$\\frac$": n} for n in (1, 2, 3)],
        path,
        monitor="valid/$\\frac$",
    ),
    "several": lambda path: plots.several(
        {name: [{"epoch": 1, "valid/loss": 1.0, "valid/$\\frac$": 1.0}] for name in NAMES[3:7]},
        path,
        "valid/$\\frac$",
    ),
}
WITHOUT_NAMES = {"overfits", "display"}  # they draw nothing


def many():
    """More classes than a confusion matrix numbers."""
    classes = [f"{name}{n}" for n in (1, 2) for name in NAMES]
    outputs = np.eye(len(classes), dtype=np.float32)
    return evaluate(outputs, np.arange(len(classes)), classes, "test")


@pytest.mark.parametrize(
    ("drawing", "style"),
    [*((drawing, {}) for drawing in DRAWINGS), ("comparison", {"text.usetex": True})],
)
def test_a_picture_draws_names_as_text(tmp_path, monkeypatch, drawing, style):
    import matplotlib

    figures, save = [], plots._save
    monkeypatch.setattr(
        plots, "_save", lambda figure, path: figures.append(figure) or save(figure, path)
    )
    with matplotlib.rc_context(style):
        DRAWINGS[drawing](tmp_path / "x.png")
    texts = [text for text in figures[0].findobj(Text) if text.get_text() and text.get_visible()]
    assert [text for text in texts if text.get_usetex()] == []
    names = [t for t in texts if "$" in t.get_text() and "mathdefault" not in t.get_text()]
    assert names and [text for text in names if text.get_parse_math()] == []


def test_every_drawing_of_plots_is_walked():
    functions = {
        node.name
        for node in ast.parse(Path(plots.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert functions - WITHOUT_NAMES == DRAWINGS.keys()


def test_numbers_of_an_axis_stay_formulas(tmp_path, monkeypatch):
    figures, save = [], plots._save
    monkeypatch.setattr(
        plots, "_save", lambda figure, path: figures.append(figure) or save(figure, path)
    )
    plots.LrCurve((1e-4, 1e-3, 1e-2), (3.0, 2.0, 1.0), None, "").plot(tmp_path / "lr.png")
    ticks = [label for label in figures[0].axes[0].get_xticklabels() if "$" in label.get_text()]
    assert ticks and all(label.get_parse_math() for label in ticks)


@pytest.mark.parametrize("names", [NAMES[:8], NAMES[8:], ("two\nlines", "a\r\nb")])
def test_a_sheet_of_pictures_is_drawn_under_any_name(names):
    pixels = np.zeros((len(names) * 2, 8, 8, 3), np.uint8)
    labels = np.arange(len(names)).repeat(2)
    data = load((pixels, labels), class_names=list(names), quiet=True)
    assert data.show().size[0] > 100


TABLES = {
    "predictions": lambda w: w.answers.to_csv(),
    "predictions, in a form": lambda w: w.answers.to_csv(
        columns={"id": "file", "label": "label", "stem": "stem"}
    ),
    "faults": lambda w: faulty().to_csv(),
    "history": lambda w: History([dict.fromkeys(NAMES, 1.0)]).to_csv(),
}


def faulty() -> Predictions:
    from colab_kit.runs.prediction import unread

    answers = [prediction(np.eye(len(NAMES))[n], NAMES, path=Path(f"={n}")) for n in range(5)]
    return Predictions([*answers, unread(NAMES, Path("+1.png"), "classification", "=1+1")], NAMES)


@pytest.mark.parametrize("table", TABLES)
def test_no_cell_of_a_table_is_a_formula(world, table):
    text = TABLES[table](world)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len({len(row) for row in rows}) == 1 and len(rows) > 1
    cells = [cell for row in rows for cell in row]
    assert [cell for cell in cells if re.match(r"[=+@\t\r]|-(?!\d+(\.\d+)?(e-\d+)?$)", cell)] == []


def test_a_table_of_predictions_is_read_as_it_was_meant():
    answers = faulty()
    rows, _ = read_rows(answers.to_csv(columns={"file": "file", "label": "label", "why": "fault"}))
    assert rows[0] == ["file", "label", "why"]
    assert [row[1] for row in rows[1:6]] == list(NAMES[:5])
    assert rows[6] == ["+1.png", "", "=1+1"]
    heads, _ = read_rows(answers.to_csv())
    assert [cell.strip() for cell in heads[0][3:-1]] == [name.strip() for name in NAMES]


def test_exact_names_are_written_as_they_are():
    form = {"file": "file", "label": "label"}
    text = faulty().to_csv(columns=form, exact=True)
    assert list(csv.reader(io.StringIO(text)))[2] == ["=1", '=HYPERLINK("x")']
    assert faulty().to_csv(columns={"=id": "file"}).splitlines()[0] == "=id", "a heading of yours"


@pytest.mark.parametrize(
    "name", [*NAMES, "", "'", "''+1", "-1", "-1e-5", "- a", "1", "\t=1", "a'b"]
)
def test_a_field_gives_its_name_back(name):
    ((field,),) = csv.reader(io.StringIO(f"{csv_field(name) or chr(34) * 2}\n", newline=""))
    assert from_csv_field(field) == name
    ((exact,),) = csv.reader(
        io.StringIO(f"{csv_field(name, exact=True) or chr(34) * 2}\n", newline="")
    )
    assert exact == name


def test_a_file_name_that_is_no_utf8_is_written(tmp_path):
    answers = Predictions([prediction(np.ones(2) / 2, ["a", "b"], path=Path("\udce9.png"))], "ab")
    path = answers.to_csv(tmp_path / "x.csv", columns={"file": "file"})
    assert path.read_text(encoding="utf-8") == "file\n\\udce9.png\n"


def test_html_is_escaped_at_one_place():
    """A page of its own would escape <, and forget what steers."""
    package = Path(colab_kit.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"html\.escape|from html import", path.read_text(encoding="utf-8"))
    }
    assert found == {"system/console.py"}
