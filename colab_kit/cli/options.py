"""Flags made of the recipe's fields, and those of a run that are no recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import click

from ..errors import new_word
from ..recipe import Recipe

Command = Callable[..., Any]

name_flag = click.option("--name", help="first half of the run's name")
run_dir_flag = click.option(
    "--run-dir",
    type=click.Path(),
    help="the run's folder [a name and a key under ./colab-kit/runs]",
)
max_per_class_flag = click.option(
    "--max-per-class", type=int, help="take at most so many pictures of each class"
)
backbone_flag = click.option(
    "--backbone",
    default="resnet18",
    help="a torchvision name, timm/…, or efficientnet_lite0 [resnet18]",
)
device_flag = click.option("--device", help="cpu, cuda, cuda:1, mps [the best there is]")
restart_flag = click.option(
    "--restart", is_flag=True, help="start anew where the same command would go on"
)


def weights(text: str) -> str | tuple[float, ...]:
    """'balanced', 'auto', or a number for each class: 1,2.5,1.

    A ValueError becomes click's usage error.
    """
    if text in ("balanced", "auto"):
        return text
    return tuple(float(number) for number in text.split(","))


def word_or_number(text: str) -> str | float:
    """A number where it is one, for max_time and batch_size. The recipe checks any other word."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def flag_type(field: dataclasses.Field[Any]) -> Any:
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
    for word, kind in (("float", click.FLOAT), ("int", click.INT), ("str", click.STRING)):
        if word in words:
            return kind
    raise TypeError(f"the flag of {field.name}: {words} is not decided")


class Mode(click.Choice):  # type: ignore[type-arg]
    """The modes of a transfer. An old word is answered with the new one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if fix := new_word("mode", value):
            self.fail(fix, param, ctx)
        return super().convert(value, param, ctx)


def recipe_flags(command: Command) -> Command:
    """Add a flag for each field of the recipe. A flag that is not given leaves the choice open."""
    for field in reversed(dataclasses.fields(Recipe)):
        value = field.default
        if field.name == "epochs" and command.__name__ in ("transfer", "panel"):
            value = 3  # transfer()'s own default
        default = "" if value is None else f" [{value}]"
        flag, words = f"--{field.name.replace('_', '-')}", field.metadata["help"] + default
        command = click.option(flag, field.name, type=flag_type(field), help=words)(command)
    return command


def run_flags(command: Command) -> Command:
    """Add the flags of a run that are no recipe: its data, its device, and where it is kept."""
    for flag in (device_flag, restart_flag, run_dir_flag, name_flag, max_per_class_flag):
        command = flag(command)
    return click.argument("data")(command)


def given_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given. The verb chooses the others."""
    return {name: value for name, value in flags.items() if value is not None}
