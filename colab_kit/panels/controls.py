"""Knobs: a widget for each field of the Recipe, made from the field itself, so that a panel cannot drift from it."""

from __future__ import annotations

import ast
import dataclasses
import html
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from ..recipe import Recipe

CHOOSE = "choose for me"
WIDE = {"description_width": "12em"}  # of the longest field's name


def button(text: str, tip: str, pressed: Callable[[Any], Any]) -> w.Button:
    """Never disabled: a pressed button that is disabled throws the keyboard's focus away."""
    button = w.Button(description=text, tooltip=tip)
    button.on_click(pressed)
    return button


def advanced(given: dict[str, Any]) -> tuple[w.VBox, dict[str, Any]]:
    """A closed part with a knob for each field of the Recipe but the epochs, so that it cannot drift from it.

    A button opens it: the headings of an Accordion are out of the keyboard's reach (ipywidgets 7 and 8).
    """
    Recipe.of(None, given)
    knobs = {
        field.name: _knob(field, given.get(field.name, field.default))
        for field in dataclasses.fields(Recipe)
        if field.name != "epochs"
    }
    wide = w.Layout(width="100%")
    rows = [
        w.HBox([knob, w.HTML(f"<span>{html.escape(field.metadata['help'])}</span>")])
        for field in dataclasses.fields(Recipe)
        if (knob := knobs.get(field.name)) is not None
    ]
    part = w.VBox(rows, layout=wide)
    part.layout.display = "none"

    def turn(opener: w.Button) -> None:
        closed = part.layout.display == "none"
        part.layout.display, opener.description = (
            ("", "Hide advanced") if closed else ("none", "Advanced")
        )

    return w.VBox(
        [button("Advanced", "show or hide all other fields of a recipe", turn), part]
    ), knobs


def _knob(field: Any, value: Any) -> Any:
    if isinstance(field.default, bool):
        return w.Checkbox(value=bool(value), description=field.name, indent=True, style=WIDE)
    choices = field.metadata["choices"]
    if choices and str(field.type).replace(" | None", "") == "str":
        options = [(CHOOSE, None)] * (field.default is None) + [
            (choice, choice) for choice in choices
        ]
        knob = w.Dropdown(options=options, description=field.name, style=WIDE)
        knob.index = [choice for _, choice in options].index(
            value
        )  # value=None would mean that nothing is chosen
        return knob
    text = "" if value is None else str(value)
    return w.Text(
        value=text, placeholder=CHOOSE, description=field.name, continuous_update=False, style=WIDE
    )


def value_of(knob: Any, default: Any) -> Any:
    """What a knob says, as the Recipe takes it; the Recipe says what is wrong with it. One that was cleared says the default."""
    if not isinstance(knob, w.Text):
        return knob.value
    text = knob.value.strip()
    try:
        return ast.literal_eval(text) if text else default
    except (ValueError, SyntaxError):
        return text
