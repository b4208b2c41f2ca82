"""A plan: made without a run, frozen, printable, and the same for the same request."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from colab_kit.training.plan import Hardware, Plan
from colab_kit.training.preparing import prepare
from colab_kit.training.request import Request
from tests.support.tasks import Small, small_data


def planned(**fields: Any) -> Plan:
    data, request = small_data("arrays"), Request.to_train(Small, None, fields)
    return prepare(request, request.network(data), data, Hardware.here("cpu"))


def test_a_plan_is_made_without_a_run_and_cannot_be_changed(tmp_path):
    plan = planned(batch_size=4, epochs=2)
    assert (plan.epochs, plan.recipe.batch_size, plan.mode) == (2, 4, "")
    assert plan.steps_per_epoch * plan.epochs == plan.batches == 12
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.recipe = None  # type: ignore[misc,assignment]


def test_a_printed_plan_lists_what_was_chosen_and_not_what_was_asked_for():
    plan = planned(batch_size=4, lr=0.1)
    names = [line.split()[0] for line in str(plan).splitlines()]
    assert "augment" in names and not {"lr", "batch_size", "output"} & set(names)
    assert {plan.choices[name].by for name in ("lr", "batch_size")} == {"user"}
    assert plan.choices["output"].by == "machine" and plan.choices["augment"].by == "default"


def test_choices_that_were_made_before_stay():
    first = planned(batch_size=4)
    data, request = small_data("arrays"), Request.to_train(Small, None, {"batch_size": 4})
    made = {**first.choices, "lr": first.choices["lr"]._replace(value=0.5)}
    again = prepare(request, request.network(data), data, Hardware.here("cpu"), made)
    assert again.choices["lr"].value == 0.5 and not again.findings
