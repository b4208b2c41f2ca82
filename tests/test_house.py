"""The laws of the house: how large a file may be, where it may stand, and what code may not do.

Each law is a function that gives what breaks it, has a test of its own, and a test that a broken
law is noticed.
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "colab_kit"
SMALL_FILES = (  # where a file may be short: each is one item of a list, or another package's shape
    "testing/google_colab/",
    "data/formats/",
    "fetching/links/",
    "data/catalog/",
)
MOST_FILES, MOST_ENTRIES, MOST_LINES, FEWEST_LINES, WIDTH, MOST_SKIPS = 238, 17, 400, 60, 100, 10
SPEECH = {"why", "what", "fix"}  # parts of a sentence, whoever holds them
SPEAKERS = re.compile(r"note|error|err|event|warning|finding|problem|choice|message", re.I)


@functools.cache
def texts() -> dict[str, str]:
    """Every .py of the package."""
    return {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@functools.cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(text) for name, text in texts().items()}


def only_a_docstring(tree: ast.Module) -> bool:
    return all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body
    )


def rooms() -> list[str]:
    """The files that hold code: a folder's __init__ with nothing but its docstring is none."""
    return [
        n for n, t in trees().items() if not n.endswith("__init__.py") or not only_a_docstring(t)
    ]


# --- size and place ---


def test_the_package_has_at_most_238_files():
    assert len(rooms()) <= MOST_FILES


def test_at_most_17_entries_stand_directly_in_the_package():
    entries = [p.name for p in PACKAGE.iterdir() if not p.name.startswith(("__pycache__", "."))]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_no_file_is_longer_than_400_lines():
    long = {name: len(text.splitlines()) for name, text in texts().items()}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_a_file_below_60_lines_stands_with_a_neighbour():
    found = {name: len(texts()[name].splitlines()) for name in rooms() if "/" in name}
    short = {name: lines for name, lines in found.items() if lines < FEWEST_LINES}
    assert {n: lines for n, lines in short.items() if not n.startswith(SMALL_FILES)} == {}


def test_no_line_is_wider_than_100_columns():
    wide = [
        f"{name}:{number}"
        for name, text in texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > WIDTH
    ]
    assert not wide, f"{len(wide)} lines: {wide[:20]}"


def test_the_formatter_is_switched_off_at_most_ten_times():
    skips = {
        name: text.count("# fmt: skip") + text.count("# fmt: off") for name, text in texts().items()
    }
    assert sum(skips.values()) <= MOST_SKIPS, {name: n for name, n in skips.items() if n}


def test_the_init_of_a_folder_is_its_docstring_and_names_its_files_in_order_of_reading():
    wrong = []
    for name, tree in trees().items():
        if not name.endswith("/__init__.py") or "google_colab" in name:
            continue
        text = ast.get_docstring(tree) or ""
        files = {path.stem for path in (PACKAGE / name).parent.glob("[!_]*.py")}
        missing = sorted(stem for stem in files if not re.search(rf"\b{stem}\b", text))
        if not text or not only_a_docstring(tree) or missing:
            wrong.append(f"{name}: {missing or 'more or less than a docstring'}")
    assert not wrong, "\n".join(wrong)


# --- classes ---


def parents(trees: dict[str, ast.Module]) -> dict[str, list[str]]:
    """Each class, and the names of those it inherits from."""
    classes = [n for tree in trees.values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    return {c.name: [ast.unparse(base).partition("[")[0] for base in c.bases] for c in classes}


def deep(trees: dict[str, ast.Module]) -> list[str]:
    """The chains of three classes of ours that inherit from each other; errors and torch modules
    may.
    """
    bases = parents(trees)

    def chain(name: str) -> list[str]:
        ours = [chain(base) for base in bases.get(name, ()) if base in bases and base != name]
        return [name, *max(ours, key=len, default=[])]

    def may(names: list[str]) -> bool:
        top = bases[names[-1]]
        return any(base.endswith(("Exception", "Error", "Module", "Warning")) for base in top)

    chains = [chain(name) for name in bases]
    return [" < ".join(names) for names in chains if len(names) > 2 and not may(names)]


def test_no_class_stands_more_than_one_step_below_another_of_ours():
    assert deep(trees()) == []


def test_three_steps_are_noticed_and_errors_may_take_them():
    text = "class A: ...\nclass B(A): ...\nclass C(B): ...\n"
    assert deep({"x": ast.parse(text)}) == ["C < B < A"]
    assert deep({"x": ast.parse(text.replace("class A", "class A(Exception)"))}) == []


# --- decisions ---


def speech(node: ast.expr) -> bool:
    """Whether an expression is a sentence for people: `choice.why`, `note.text`, `error.what`."""
    if isinstance(node, ast.Subscript | ast.Call):  # note.text[:3], note.text.lower()
        return speech(node.func if isinstance(node, ast.Call) else node.value)
    if not isinstance(node, ast.Attribute):
        return False
    if node.attr in SPEECH:
        return True
    if node.attr in ("text", "message", "reason"):
        return bool(SPEAKERS.search(ast.unparse(node.value)))
    return speech(node.value)


def decides(node: ast.Compare) -> bool:
    """Whether a comparison is about a sentence's words; "was it said before?" (!=, in a list) is
    not.
    """
    sides = [node.left, *node.comparators]
    if not any(map(speech, sides)):
        return False
    constants = [
        part.value for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)
    ]
    words = any(isinstance(constant, str) for constant in constants)
    return words or (None not in constants and isinstance(node.ops[0], ast.Eq))


def listens(tree: ast.AST) -> Iterator[int]:
    """The lines that decide by the words of a sentence."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and decides(node):
            yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            asks = node.func.attr in ("startswith", "endswith", "find", "index", "count")
            matches = ast.unparse(node.func.value) == "re" and any(map(speech, node.args))
            if (asks and speech(node.func.value)) or matches:
                yield node.lineno


def test_no_decision_reads_the_words_of_a_sentence():
    found = [f"{name}:{line}" for name, tree in trees().items() for line in listens(tree)]
    assert not found, f"let a value carry the decision: {found}"


def test_a_decision_by_words_is_noticed_and_one_by_a_value_is_not():
    by_words = (
        'if c.why.startswith("usual"): pass',
        'if "memory" in note.text: pass',
        'x = err.what == "no"',
        're.match("as", error.fix)',
        'if "a" in e.why.lower(): pass',
    )
    for line in by_words:
        assert list(listens(ast.parse(line))) == [1], line
    by_value = (
        'if c.by == "user": pass\nif c.why is None: pass\nif "a" in page.text: pass\n'
        "if note.text != last: say(note)\nif note.what not in heard: say(note)\n"
    )
    assert not list(listens(ast.parse(by_value)))


# --- names of files in texts ---

ROOT = PACKAGE.parent
READERS = (
    "tests/**/*.py",
    "benchmarks/*.py",
    "docs/*.py",
    "docs/*.md",
    "launchers/*.py",
    "notebooks/*.ipynb",
    "*.md",
    ".ci/*",
)


def there(parts: list[str]) -> bool:
    """Whether a dotted name of the package leads somewhere: a folder, a file, or a name in a
    file.
    """
    place = PACKAGE
    for number, part in enumerate(parts):
        if (place / part).is_dir():
            place /= part
        elif (place / f"{part}.py").is_file():
            inner = parts[number + 1 :]
            text = (place / f"{part}.py").read_text(encoding="utf-8")
            return not inner or bool(re.search(rf"\b{inner[0]}\b", text))
        else:
            return number == 0 and part in (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    return True


def lost(text: str) -> list[str]:
    """The imports of ours in a text, in its strings too, that would fail."""
    found = re.finditer(r"from colab_kit((?:\.\w+)*) import (\w+)", text)
    return [
        m.group()
        for m in found
        if not there([*m[1].strip(".").split("."), m[2]] if m[1] else [m[2]])
    ]


def test_what_a_text_imports_from_the_package_is_there():
    paths = [path for pattern in READERS for path in sorted(ROOT.glob(pattern)) if path.is_file()]
    paths += [PACKAGE / name for name in texts()]
    mine = Path(__file__)
    wrong = {
        str(p.relative_to(ROOT)): lost(p.read_text(encoding="utf-8")) for p in paths if p != mine
    }
    assert {name: what for name, what in wrong.items() if what} == {}


def test_an_import_that_leads_nowhere_is_noticed():
    text = 'call = "from colab_kit.cellar import wine"; from colab_kit.events import Wine'
    assert len(lost(text)) == 2
    assert not lost("from colab_kit.events import Note\nfrom colab_kit import nets, Recipe")


# --- texts are UTF-8, whatever the machine's locale is ---

OF_LOCALE = re.compile(r"\.(?:read_text\(\)|write_text\([^,]*\)$|open\(\"r\"\))", re.M)


def read_by_locale(text: str) -> list[str]:
    """The calls of a text that read or write in the encoding of the locale; docstrings apart."""
    code = "\n".join(
        line for line in text.splitlines() if not line.lstrip().startswith((">>>", "..."))
    )
    return [m.group() for m in OF_LOCALE.finditer(code)]


def test_text_files_are_read_and_written_as_utf_8():
    wrong = {name: read_by_locale(text) for name, text in texts().items()}
    allowed = {"data/tables/name_patterns.py"}  # lines that a user pastes
    assert {name: what for name, what in wrong.items() if what and name not in allowed} == {}


def test_a_file_that_is_read_by_the_locale_is_noticed():
    assert read_by_locale("x = path.read_text()\npath.write_text(text)") != []
