"""What the machine chooses: a value and its reason, and what was chosen before stays."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from colab_kit.data.dataset import Data, Split
from colab_kit.data.preprocess import Preprocess
from colab_kit.data.sources import Arrays, Items, Pictures
from colab_kit.recipe import Recipe
from colab_kit.training.choices import (
    Choice,
    as_asked,
    as_facts,
    choices_from,
    choose,
    preprocess_for,
    workers_for,
)


def data(kind="arrays", n=10, shape=(1, 28, 28), batch_size=None):
    labels = np.zeros(n, np.int64)
    source = {
        "arrays": lambda: Arrays(torch.zeros(n, *shape, dtype=torch.uint8), labels), "pictures": lambda: Pictures([None] * n, labels, None),
        "items": lambda: Items([(torch.zeros(shape, dtype=torch.uint8), 0)], labels),
        "pil": lambda: Items([(Image.new("L", (9, 7)), 0)], labels), "collated": lambda: Items([(torch.zeros(3), 0)], labels, list),
    }[kind]()  # fmt: skip
    return Data(
        Split(source, np.arange(n)), None, None, ("a", "b"), "x", "f", batch_size=batch_size
    )


def chosen(recipe, given=None, made=None, own=None):
    return choose(recipe, given or data(), made or {}, own)


def test_every_choice_has_a_reason_and_goes_into_a_file():
    for value, why, by in chosen(Recipe()).values():
        assert json.loads(json.dumps(value)) == value and why and by == "default"


@pytest.mark.parametrize(("kind", "size"), [("arrays", 64), ("pictures", 32), ("items", 32)])
def test_the_batch_size_goes_by_the_kind_of_data_unless_said(kind, size):
    assert chosen(Recipe(), data(kind))["batch_size"][0] == size
    assert chosen(Recipe(batch_size=7), data(kind))["batch_size"] == (7, "as asked", "user")
    assert chosen(Recipe(), data(kind, batch_size=5))["batch_size"][:2] == (
        5,
        "the DataLoader's own",
    )
    assert chosen(Recipe(batch_size=7), data(kind, batch_size=5))["batch_size"][0] == 7


@pytest.mark.parametrize(
    ("name", "lr", "decay"),
    [("adamw", 1e-3, 0.01), ("adam", 1e-3, 0.0), ("sgd", 1e-2, 0.0), ("radam", 1e-3, 0.0)],
)
def test_rate_and_decay_go_by_the_optimizer_unless_said(name, lr, decay):
    found = chosen(Recipe(optimizer=name))
    assert (found["lr"][0], found["weight_decay"][0]) == (lr, decay)
    found = chosen(Recipe(optimizer=name, lr={"*": 0.5}, weight_decay=0.0))
    assert found["lr"] == as_asked({"*": 0.5}) and found["weight_decay"] == as_asked(0.0)


def test_an_optimizer_of_the_users_own_has_its_own_rate():
    sgd = torch.optim.SGD(torch.nn.Linear(1, 1).parameters())
    assert chosen(Recipe(), own=sgd)["lr"].value is None


def test_a_class_the_recipe_has_no_name_for_is_not_taken_for_adamw():
    found = choose(Recipe(), data(), {}, torch.optim.Rprop)
    assert found["lr"] == Choice(1e-3, "usual for Rprop", "default")
    assert found["weight_decay"] == Choice(0.0, "usual for Rprop", "default")


def test_what_was_chosen_before_stays_whatever_the_machine_is_now():
    before = {"batch_size": Choice(48, "it was so"), "image_size": Choice(96, "x", "default")}
    found = chosen(Recipe(), made=choices_from(json.loads(json.dumps(as_facts(before)))))
    assert {name: found[name] for name in before} == before and "lr" in found


@pytest.mark.parametrize(
    ("kind", "shape", "recipe", "base", "size", "channels"),
    [
        ("arrays", (1, 28, 28), {}, {}, 28, 1), ("arrays", (3, 20, 30), {}, {}, None, 3), ("arrays", (784,), {}, {}, None, None),
        ("arrays", (1, 28, 28), {"image_size": 96}, {}, 96, 1), ("arrays", (1, 28, 28), {}, {"size": 224, "channels": 3}, 224, 3),
        ("pictures", None, {}, {}, 224, None), ("pictures", None, {"image_size": 96}, {"size": 224, "channels": 3}, 96, 3),
        ("items", (3, 20, 20), {}, {}, 20, 3), ("items", (3, 20, 30), {}, {}, None, 3), ("items", (7,), {}, {}, None, None),
        ("items", (1, 9, 9), {"image_size": 96}, {}, 96, 1),
        ("items", (1, 9, 9), {}, {"size": 224, "channels": 3}, 224, 3),
        ("pil", None, {}, {}, 224, None), ("collated", None, {}, {}, None, None),
    ],
)  # fmt: skip
def test_the_size_is_the_askers_then_the_weights_then_the_datas(
    kind, shape, recipe, base, size, channels
):
    made, why = preprocess_for(Recipe(**recipe), data(kind, shape=shape), Preprocess(**base))
    assert (made.size, made.channels) == (size, channels) and why
    assert made.crop == (0.875 if kind in ("pictures", "pil") else 1.0)


def test_what_the_weights_ask_for_is_kept():
    base = Preprocess(224, 3, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), "bicubic", 0.9)
    made, _ = preprocess_for(Recipe(image_size=96), data("pictures"), base)
    assert made == Preprocess(96, 3, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), "bicubic", 0.9)


@pytest.mark.parametrize(
    ("kind", "n", "said", "num_workers"),
    [
        ("items", 2000, None, 2),
        ("items", 1999, None, 0),
        ("arrays", 9000, None, 0),
        ("items", 10, 3, 3),
        ("items", 9000, 0, 0),
    ],
)
def test_processes_are_started_only_where_they_pay(kind, n, said, num_workers):
    assert workers_for(Recipe(num_workers=said), data(kind, n, shape=(1,)), cores=4) == num_workers
    assert workers_for(Recipe(num_workers=said), data(kind, n, shape=(1,)), cores=1) == min(
        num_workers, 1 if said is None else num_workers
    )


def files(tmp_path, sizes, classes=("a", "b")):
    """Give data of picture files of these sizes, width and height."""
    paths = [tmp_path / f"{n}.png" for n in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        Image.new("L", size).save(path)
    labels = np.zeros(len(paths), np.int64)
    split = Split(Pictures(paths, labels, tmp_path), np.arange(len(paths)))
    return Data(split, None, None, classes, "x", "f")


@pytest.mark.parametrize(
    ("sizes", "value"),
    [
        ([(40, 30)] * 4, "crop"),
        ([(90, 30)] * 4, "squash"),
        ([(30, 90)] * 4, "squash"),
        ([(90, 30)] + [(40, 30)] * 4, "crop"),
        ([(54, 30)] * 4, "crop"),
        ([(56, 30)] * 4, "squash"),
    ],
)
def test_long_pictures_are_shown_whole_and_the_choice_says_how_much_a_square_shows(
    tmp_path, sizes, value
):
    given = files(tmp_path, sizes)
    found = chosen(Recipe(), given)["resize"]
    assert found.value == value and " % of a usual picture" in found.why
    for asked in ("crop", "squash"):
        assert chosen(Recipe(resize=asked), given)["resize"] == as_asked(asked)


def test_a_run_that_began_without_these_choices_goes_on_as_it_was(tmp_path):
    given = files(tmp_path, [(90, 30)] * 4, ("left", "right"))
    found = chosen(Recipe(), given, made={"augment": Choice("light", "so")})
    assert (found["resize"].value, found["flip"].value) == ("crop", True)


@pytest.mark.parametrize(
    ("classes", "asked", "value"),
    [
        (("left", "right"), None, False),
        (("cat", "dog"), None, True),
        (("left", "right"), True, True),
        (("cat", "dog"), False, False),
        (("3", "7"), None, False),
    ],
)
def test_what_a_mirror_harms_is_not_mirrored_unless_asked(tmp_path, classes, asked, value):
    choices = chosen(Recipe(flip=asked), files(tmp_path, [(9, 9)], classes))
    found = choices["flip"]
    assert found.value is value and (found.by == "user") is (asked is not None)
    assert ("half of the views mirrored" in choices["augment"].why) is value


def test_where_no_view_is_drawn_nothing_is_said_of_mirroring():
    assert "flip" not in chosen(Recipe()) and "resize" not in chosen(Recipe())
