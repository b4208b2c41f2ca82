"""The recipe: plain frozen data that names its mistakes."""

import dataclasses
import json

import pytest

from colab_kit.errors import RecipeError
from colab_kit.recipe import HORIZON, Recipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0), ("epochs", 2.5), ("epochs", "5"), ("epochs", True), ("epochs", None), ("batch_size", 0), ("grad_accum_steps", 0),
        ("lr", -1e-3),
        ("lr", float("nan")), ("lr", float("inf")), ("lr", "fast"), ("lr", {"*": -1.0}), ("lr", {"*": "x"}), ("optimizer", "adamx"),
        ("optimizer", 3),
        ("lr_schedule", "cosinus"), ("lr_schedule", 1), ("loss", "hinge"), ("loss", 3), ("loss", 0.5), ("label_smoothing", 1.1),
        ("class_weights", 0.5),
        ("class_weights", [1.0, -1.0]), ("class_weights", [1.0, "x"]), ("mixup", -0.1), ("ema_decay", 1.5), ("max_grad_norm", -1),
        ("patience", 0),
        ("monitor", 1),
        ("monitor", ["valid/loss"]), ("validate_every_steps", 0), ("save_every_steps", 0), ("freeze_epochs", -1), ("num_workers", -1),
        ("seed", -1),
        ("seed", 1.5), ("gamma", 2),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_refused_in_three_sentences(field, value):
    with pytest.raises(RecipeError) as caught:
        Recipe(**{field: value})
    assert caught.value.what.startswith(f"{field}=") and caught.value.why and caught.value.fix


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": 1}, {"lr": 0.1}, {"lr": 1}, {"lr": {"fc*": 1e-3, "*": 1e-4}}, {"class_weights": "balanced"},
        {"class_weights": [1, 2.0]}, {"loss": "nll"},
        {"freeze_epochs": 0}, {"max_grad_norm": None}, {"warmup_epochs": 0.5}, {"warmup_epochs": 5}, {"monitor": "valid/top1"},
        {"lr_schedule": "onecycle"},
        {"image_size": 96},
    ],
)  # fmt: skip
def test_what_can_work_is_taken(fields):
    assert all(getattr(Recipe(**fields), name) == value for name, value in fields.items())


def test_a_name_that_is_nearly_right_is_named():
    with pytest.raises(RecipeError, match="did you mean 'adamw'"):
        Recipe(optimizer="AdamW")
    with pytest.raises(RecipeError, match="choose one of cosine, step"):
        Recipe(lr_schedule="zzz")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("epoch", "epochs"),
        ("warm_up", "warmup_epochs"),
    ],
)
def test_an_unknown_field_names_the_nearest_one(said, meant):
    with pytest.raises(RecipeError, match=f"did you mean {meant}=") as caught:
        Recipe.of(None, {said: 1})
    assert caught.value.what == f"There is no training option {said}=."


def test_a_field_like_no_other_lists_them_all():
    with pytest.raises(RecipeError, match="the fields are: epochs, views, batch_size"):
        Recipe.of(None, {"zzzzzz": 1})


def test_fields_are_laid_over_a_recipe_and_leave_it_alone():
    base = Recipe(epochs=3, lr=0.1)
    assert Recipe.of(base, {"lr": 0.2}) == Recipe(epochs=3, lr=0.2) and base.lr == 0.1
    with pytest.raises(dataclasses.FrozenInstanceError):
        base.lr = 1  # type: ignore[misc]


def test_what_is_no_recipe_says_so():
    with pytest.raises(RecipeError, match="recipe= is a dict"):
        Recipe.of({"epochs": 3}, {})  # type: ignore[arg-type]


def test_warming_up_longer_than_the_run_is_refused():
    with pytest.raises(RecipeError, match="would never reach"):
        Recipe(epochs=2, warmup_epochs=2.5)


def test_a_warm_up_before_one_cycle_is_refused_since_it_has_its_own():
    with pytest.raises(RecipeError, match="rise of its own"):
        Recipe(lr_schedule="onecycle", warmup_epochs=1)


def test_the_identity_is_all_but_the_horizon_and_plain_data():
    given = Recipe(
        epochs=9, patience=2, num_workers=1, monitor="train/loss", lr={"fc*": 1, "*": 0.1}, seed=1
    )
    identity = given.identity()
    assert (
        json.loads(json.dumps(identity))
        == identity
        == {"lr": [["fc*", 1.0], ["*", 0.1]], "seed": 1}
        and not HORIZON & identity.keys()
    )
    assert (
        Recipe(epochs=9, patience=2, num_workers=1).identity()
        == Recipe().identity()
        != Recipe(seed=1).identity()
    )


def test_a_field_that_a_later_version_adds_leaves_every_run_what_it_was():
    later = dataclasses.make_dataclass(
        "Later", [("blur", float, 0.0)], bases=(Recipe,), frozen=True, kw_only=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("colab_kit.recipe._check", lambda field, value: None)
        assert (
            later(lr=0.1).identity() == Recipe(lr=0.1).identity()
            and later(blur=0.5).identity() != Recipe().identity()
        )


def test_every_field_has_a_sentence_for_its_flag():
    for field in dataclasses.fields(Recipe):
        assert field.metadata["help"], field.name


def test_defaults_are_a_good_recipe():
    assert Recipe() == Recipe(
        epochs=5, optimizer="adamw", lr_schedule="cosine", monitor="valid/loss", seed=0
    )
