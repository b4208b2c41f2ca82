"""Flags made of the recipe's fields, and those of a run that are no recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import click

from ..errors import new_word
from ..recipe import Recipe


def weights(text: str) -> str | tuple[float, ...]:
    """'balanced', 'auto', or a number for each class: 1,2.5,1. A ValueError becomes click's usage error."""
    return (
        text if text in ("balanced", "auto") else tuple(float(number) for number in text.split(","))
    )


def word_or_number(text: str) -> str | float:
    """max_time's and batch_size's: a number where it is one; the recipe judges what is left."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def kind(field: dataclasses.Field[Any]) -> Any:
    """What a flag takes, read from the field's type."""
    words = str(field.type)
    if "tuple" in words:
        return weights
    if "str" in words and ("int" in words or "float" in words):
        return word_or_number
    if field.metadata["choices"]:
        return click.Choice(field.metadata["choices"])
    if words == "bool":
        return click.BOOL
    for word, taken in (("float", click.FLOAT), ("int", click.INT), ("str", click.STRING)):
        if word in words:
            return taken
    raise TypeError(f"the flag of {field.name}: {words} is not decided")


class Mode(click.Choice):  # type: ignore[type-arg]
    """The modes of a transfer; an old word is answered with the new one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if fix := new_word("mode", value):
            self.fail(fix, param, ctx)
        return super().convert(value, param, ctx)


Command = Callable[..., Any]


def recipe_flags(command: Command) -> Command:
    """A flag for each field of the recipe; one that is not given leaves the choice to the verb."""
    own = (
        {"epochs": 3} if command.__name__ in ("transfer", "panel") else {}
    )  # the verb's own default
    for field in reversed(dataclasses.fields(Recipe)):
        value = own.get(field.name, field.default)
        default = "" if value is None else f" [{value}]"
        flag = f"--{field.name.replace('_', '-')}"
        command = click.option(
            flag, field.name, type=kind(field), help=field.metadata["help"] + default
        )(command)
    return command


def run_flags(command: Command) -> Command:
    """The flags of a run that are no recipe: what to train on, from where, and where it is kept."""
    for option in (
        click.option("--device", help="cpu, cuda, cuda:1, mps [the best there is]"),
        click.option(
            "--restart", is_flag=True, help="start anew where the same command would go on"
        ),
        click.option(
            "--run-dir",
            type=click.Path(),
            help="the run's folder [a name and a key under ./colab-kit/runs]",
        ),
        click.option("--name", help="first half of the run's name"),
        click.option(
            "--max-per-class", type=int, help="take at most so many pictures of each class"
        ),
        click.argument("data"),
    ):
        command = option(command)
    return command


def said(given: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given: the others are the verb's to choose."""
    return {name: value for name, value in given.items() if value is not None}
