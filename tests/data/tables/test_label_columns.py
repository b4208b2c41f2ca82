"""Which column of a table is the label, and which lines a question shows."""

import pytest

from colab_kit.errors import DataError

from .listings import every_pasted, lay, read, rows, said

LEAVES = [f"leaf{n}.png" for n in range(12)]
KINDS = ("ash", "elm", "oak")
TRUE = {name: KINDS[n % 3] for n, name in enumerate(LEAVES)}


def leaves(root, head, row):
    """Twelve leaves and t.csv with a row for each: row(n) gives its cells behind the name."""
    text = rows(f"file,{head}", *(f"{name},{row(n)}" for n, name in enumerate(LEAVES)))
    return lay(root, {"t.csv": text}, train=LEAVES)


def question(listing, **words):
    with pytest.raises(DataError) as error:
        read(listing, "t.csv", **words)
    return every_pasted(error)


NO_CLASSES = {
    "dates": ("date", lambda n: f"2024-01-{n + 1:02d}"),
    "dates by another name": ("seen", lambda n: f"{n + 1}/3/2024"),
    "times": ("label", lambda n: f"{n}:30"),
    "stamps": ("ts", lambda n: 1_700_000_000 + 3 * n),
    "captions": ("caption", lambda n: f"a leaf number {n} in the sun"),
    "text": ("what", lambda n: f"seen {n} times"),
    "links": ("url", lambda n: f"https://leaves.example/{n}"),
    "words": ("label", lambda n: f"word{n}"),
    "hashes": ("md5", lambda n: f"{n * 2654435761:016x}"),
    "ages": ("age", lambda n: 1 + 7 * n),
}


@pytest.mark.parametrize("kind", NO_CLASSES)
@pytest.mark.parametrize("named", [False, True])
def test_a_column_that_differs_for_each_picture_gives_no_classes(tmp_path, kind, named):
    head, row = NO_CLASSES[kind]
    listing = leaves(tmp_path, head, row)
    for words in question(listing, **({"label_column": head} if named else {})):
        if words.get("task") == "classification":  # said in so many words
            continue
        try:
            labels = set(said(read(listing, **words)).values())
        except DataError:
            continue
        assert all(isinstance(label, float) for label in labels)


def test_few_pictures_may_each_have_a_class_of_their_own(tmp_path):
    listing = lay(
        tmp_path, {"t.csv": "file,label\na.png,ash\nb.png,elm\n"}, train=["a.png", "b.png"]
    )
    assert said(read(listing, "t.csv")) == {"a.png": "ash", "b.png": "elm"}


FRACTIONS = lambda n: ",".join("0.8" if n % 3 == k else "0.1" for k in range(3))
VOTES = lambda n: ",".join("8" if n % 3 == k else "1" for k in range(3))


@pytest.mark.parametrize("row", [FRACTIONS, VOTES], ids=["shares of one", "votes"])
def test_shares_of_each_class_are_asked_about_and_the_first_line_gives_the_largest(tmp_path, row):
    listing = leaves(tmp_path, "ash,elm,oak", row)
    first, numbers = question(listing)
    assert said(read(listing, **first)) == TRUE
    assert said(read(listing, **numbers))["leaf1.png"] == pytest.approx(
        tuple(map(float, row(1).split(",")))
    )


def test_two_columns_with_the_largest_share_give_no_class_and_it_is_said(tmp_path):
    listing = leaves(tmp_path, "ash,elm", lambda n: "0.5,0.5" if n == 3 else "0.7,0.3")
    words = {"label_column": ["ash", "elm"], "task": "classification"}
    out = read(listing, "t.csv", **words)
    assert said(out)["leaf3.png"] is None
    assert any(note.level == "warn" for note in out.notes)


def test_several_numbers_are_asked_about_and_each_line_learns_numbers(tmp_path):
    listing = leaves(tmp_path, "a,b,c", lambda n: f"{n / 7:.3f},{n / 3:.3f},{9 - n * n / 11:.3f}")
    answers = question(listing)
    assert answers[-1]["label_column"] == ["a", "b", "c"]
    for words in answers:
        assert spoken_types(read(listing, **words)) <= {float, tuple}


def spoken_types(listing):
    return {type(label) for label in said(listing).values()}


def test_a_column_of_fractions_alone_is_learned_as_numbers(tmp_path):
    for head in ("score", "label", "anything"):
        out = read(leaves(tmp_path, head, lambda n: f"{n / 7:.3f}"), "t.csv")
        assert spoken_types(out) == {float}


def test_a_quantity_in_a_question_has_a_line_that_learns_it_as_numbers(tmp_path):
    listing = leaves(tmp_path, "age,sex", lambda n: f"{20 + 5 * (n % 6)},{'mf'[n % 2]}")
    answers = {words["label_column"]: words for words in question(listing)}
    assert spoken_types(read(listing, **answers["age"])) == {float}
    assert set(said(read(listing, **answers["sex"])).values()) == {"m", "f"}


def test_several_columns_of_names_are_refused_with_a_line_for_each(tmp_path):
    listing = leaves(tmp_path, "sex,kind", lambda n: f"{'mf'[n % 2]},{KINDS[n % 3]}")
    answers = question(listing, label_column=["sex", "kind"])
    assert [words["label_column"] for words in answers] == ["sex", "kind"]
    assert said(read(listing, **answers[1])) == TRUE


def test_what_was_taken_of_several_columns_is_said_once_with_the_others(tmp_path):
    out = read(leaves(tmp_path, "dx,sex", lambda n: f"{KINDS[n % 3]},{'mf'[n % 2]}"), "t.csv")
    heard = [*out.lines, *(note.text for note in out.notes)]
    assert len([text for text in heard if "dx is the label" in text and "sex" in text]) == 1


@pytest.mark.parametrize("cell", ["haze water", "haze;water", "haze/water"])
def test_several_labels_are_counted_as_they_are_learned(tmp_path, cell):
    listing = leaves(tmp_path, "tags", lambda n: cell if n % 2 else "haze")
    out = read(listing, "t.csv", task="multilabel")
    assert set(said(out).values()) == {("haze", "water"), ("haze",)}
    assert any("(2 classes: haze, water)" in line for line in out.lines)


def test_rows_of_one_picture_are_one_class_each_blanks_and_all(tmp_path):
    text = "file,label\na.png,living room\na.png,red sofa\nb.png,living room\n"
    listing = lay(tmp_path, {"t.csv": text}, train=["a.png", "b.png"])
    labels = said(read(listing, "t.csv", task="multilabel"))
    assert set(labels["a.png"]) == {"living room", "red sofa"}
