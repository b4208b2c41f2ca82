"""Optional packages: there, or a sentence that says how to get them."""

import json

import pytest

from colab_kit.errors import MissingExtra
from colab_kit.system.optional import need


def test_what_is_installed_is_given_even_a_submodule():
    assert need("json", extra="all", why="a test") is json
    assert need("json.decoder", extra="all", why="a test").JSONDecoder is json.JSONDecoder


def test_what_is_missing_names_the_package_the_reason_and_the_command():
    with pytest.raises(MissingExtra) as caught:
        need("no_such_package.part", extra="timm", why="backbone timm/x")
    assert (
        caught.value.what
        == "backbone timm/x needs the package no_such_package, which is not installed."
    )
    assert caught.value.fix == 'pip install "colab-kit[timm]"' and isinstance(
        caught.value.__cause__, ModuleNotFoundError
    )


def test_a_package_that_is_there_but_broken_keeps_its_own_reason(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match="libGL.so.1") as caught:
        need("broken_package", extra="all", why="a test")
    assert "cannot be imported" in str(caught.value)
