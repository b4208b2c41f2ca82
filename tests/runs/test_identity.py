"""Sameness: keys, differences in words, and which promise holds where a run goes on."""

import json

from colab_kit.recipe import Recipe
from colab_kit.runs import identity

IDENTITY = {
    "verb": "train",
    "recipe": Recipe().identity(),
    "data": "f00",
    "model": {"class": "Net", "code": {"Net": "ab" * 32}},
    "init": None,
}


def test_the_key_is_the_same_after_a_trip_through_json_and_in_any_order():
    key = identity.key_of(IDENTITY)
    assert len(key) == 8 and int(key, 16) >= 0
    assert identity.key_of(json.loads(json.dumps(IDENTITY))) == key
    assert identity.key_of(dict(reversed(IDENTITY.items()))) == key
    assert identity.key_of({**IDENTITY, "data": "f01"}) != key


def test_only_the_horizon_leaves_the_key_alone():
    def key(**fields: object) -> str:
        return identity.key_of({**IDENTITY, "recipe": Recipe(**fields).identity()})

    assert {
        key(epochs=50),
        key(patience=3),
        key(monitor="valid/top1"),
        key(num_workers=2),
        key(save_every_steps=9),
        key(validate_every_steps=4),
    } == {key()}
    others = [
        key(lr=0.1),
        key(seed=1),
        key(batch_size=8),
        key(ema_decay=0.9),
        key(lr_schedule="step"),
        key(mixup=0.1),
        key(lr={"*": 0.1}),
    ]
    assert len({key(), *others}) == 1 + len(others)


def test_differences_name_the_field_with_both_values_and_hide_long_ones():
    new = {
        **IDENTITY,
        "recipe": Recipe(lr=0.01, class_weights=(1.0, 2.0)).identity(),
        "model": {"class": "Net", "code": {"Net": "cd" * 32}},
    }
    found = identity.differences(IDENTITY, new)
    assert found == [
        "recipe.lr: null → 0.01",
        "recipe.class_weights: null → [1.0, 2.0]",
        "model.code.Net changed",
    ]
    assert identity.differences(json.loads(json.dumps(new)), new) == []
