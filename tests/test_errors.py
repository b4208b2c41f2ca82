"""Errors: three sentences, one base, and each also the built-in that a plain except would name."""

import inspect
import pickle

import pytest

from colab_kit import errors
from colab_kit.errors import (
    ColabKitError,
    DataError,
    MissingExtra,
    RecipeChanged,
    RecipeError,
    RunError,
)

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ColabKitError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_why_and_fix_a_line_each(kind):
    assert (
        str(kind("It broke.", "it was old", "buy a new one"))
        == "It broke.\nWhy: it was old\nFix: buy a new one"
    )
    assert (
        str(kind("It broke.")) == "It broke."
        and str(kind("It broke.", fix="mend it")) == "It broke.\nFix: mend it"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_keeps_its_sentences_on_the_way_between_processes(kind):
    again = pickle.loads(pickle.dumps(kind("a", "b", "c")))
    assert (
        type(again) is kind
        and str(again) == str(kind("a", "b", "c"))
        and (again.what, again.why, again.fix) == ("a", "b", "c")
    )


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not ColabKitError])
def test_every_kind_is_also_the_builtin_that_the_tree_names(kind):
    tree = errors.__doc__ or ""
    bases = {b.__name__ for b in kind.__mro__ if b.__module__ == "builtins"}
    assert (
        any(f"{kind.__name__}({base})" in tree for base in bases) or f"── {kind.__name__} " in tree
    )


def test_plain_excepts_catch_what_they_should():
    for kind, builtin in (
        (DataError, ValueError),
        (RecipeChanged, RecipeError),
        (RunError, OSError),
        (MissingExtra, ImportError),
    ):
        with pytest.raises(builtin):
            raise kind("x")


def test_an_os_error_of_ours_has_no_number_that_is_a_sentence():
    assert RunError("what", "why", "fix").errno is None
