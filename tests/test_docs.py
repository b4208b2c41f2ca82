"""The documentation says what the code does: references are the docstrings, links lead somewhere,
code compiles, sentences occur.
"""

import importlib.util
import re
from pathlib import Path

import pytest

import colab_kit
from colab_kit import events

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "findings" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
]
README = (ROOT / "README.md").read_text(encoding="utf-8")
spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def dead(page: Path) -> list[str]:
    """The links of a page that lead nowhere in this repository."""
    found = re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8"))
    wrong = []
    for link in found:
        name, _, anchor = link.partition("#")
        aim = (page.parent / name).resolve() if name else page
        if not aim.exists() or (anchor and anchor not in anchors(aim)):
            wrong.append(link)
    return wrong


def test_each_verb_of_the_face_has_its_page_and_the_page_its_docstring():
    assert [name for name in colab_kit.__all__ if name in reference.VERBS] and set(
        reference.VERBS
    ) <= set(colab_kit.__all__)
    verbs = {
        name for name in colab_kit.__all__ if name.islower() and callable(getattr(colab_kit, name))
    }
    assert verbs == set(reference.VERBS)
    stale = [
        name
        for name in [*reference.VERBS, "events", "coming_from"]
        if (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") != reference.written(name)
    ]
    assert stale == [], "run: python docs/reference.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page):
    assert dead(page) == []


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "a.md").write_text(
        "# One thing\n[x](b.md) [y](#one-thing) [z](#two) [w](a.md#one-thing)"
    )
    assert dead(tmp_path / "a.md") == ["b.md", "#two"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_of_python_compiles(page):
    for block in re.findall(
        r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S
    ):
        compile(re.sub(r"(?m)^%.*$", "pass", block), str(page), "exec")


def test_the_readme_has_a_badge_for_each_notebook_and_a_link_to_each_page():
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"/blob/main/notebooks/{notebook.name})" in README
    linked = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for page in (ROOT / "docs").glob("*.*"):
        assert f"{page.name})" in linked or page.suffix == ".py", f"nothing leads to {page.name}"


def test_every_sentence_of_the_troubleshooting_is_one_that_the_code_says():
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "colab_kit").rglob("*.py")
    )
    rows = re.findall(r"^\| `([^`]+)` \|", README.partition("## When it says")[2], re.M)
    assert len(rows) >= 10
    for row in rows:
        for words in filter(None, (part.strip() for part in row.split("…"))):
            assert words in code, row


def test_the_ratios_of_the_readme_are_those_that_were_measured():
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")

    def measured(title: str, *rows: str) -> list[str]:
        part = results.partition(f"## {title}")[2].partition("\n## ")[0]
        found = [
            float(re.search(rf"^\| {re.escape(row)} \| ([\d.]+)x", part, re.M)[1]) for row in rows
        ]
        return [f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.1f}" for ratio in found]

    peers = measured(
        "transfer:",
        "fastai's seconds / kit's",
        "lightning's seconds / kit's",
        "keras's seconds / kit's",
    )
    epochs = measured(
        "mlp:", *(f"{name}'s epoch / kit's" for name in ("fastai", "lightning", "keras", "skorch"))
    )
    again = measured("transfer:", "tutorial's seconds / kit's second call")
    tuned = measured("finetune:", "tutorial's seconds / kit's", "tutorial's under bf16 / kit's")
    pixels = measured("pixels:", "uint8, first epoch", "uint8, later epochs")
    assert f"| {', '.join(peers)} times as fast |" in README and f"| {again[0]} times |" in README
    assert (
        f"| {', '.join(epochs)} times |" in README and f"| {' and '.join(tuned)} times |" in README
    )
    assert f"| {' and '.join(pixels)} times |" in README


def test_the_page_of_events_names_each_event_with_a_sentence_and_each_field_with_a_comment():
    text = reference.written("events")
    kinds = [kind for kind in events.Event.__subclasses__() if kind.__module__ == events.__name__]
    assert set(re.findall(r"^### (\w+)$", text, re.M)) == {kind.__name__ for kind in kinds}
    for part in text.split("\n### ")[1:]:
        assert not part.partition("\n\n")[2].startswith("| field"), part
    assert not re.search(r"\|\s*\|$", text, re.M), "a field without a comment"


def test_the_examples_of_the_page_of_events_work(tmp_path, monkeypatch, colab_kit_home):
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    sent = []
    monkeypatch.setattr("requests.post", lambda url, json, timeout: sent.append((url, json)))
    monkeypatch.chdir(tmp_path)
    data = colab_kit.load("fashion-mini", max_per_class=20, quiet=True)
    runs = []
    for number, example in enumerate(examples):
        names = {"kit": colab_kit, "net": colab_kit.nets.mlp, "data": data, "URL": "http://there"}
        exec(
            "from colab_kit import events\n" + example.replace("data,", f"data, seed={number},"),
            names,
        )
        runs.append(names["run"])
    assert [len(run.history) for run in runs[:2]] == [3, 3]
    assert len(sent) == 3 and sent[0][1]["text"].startswith("epoch 1: ")
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        f"losses-{epoch}.png" for epoch in (1, 2, 3)
    ]
    assert (runs[2].status, runs[2].reason) == ("stopped", "half of them are right")
