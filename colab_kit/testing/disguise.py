"""The disguise: for a while this process looks like a Colab kernel's to those who ask its environment and its shell."""

from __future__ import annotations

import builtins
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENVIRONMENT = {  # of a CPU machine, as dumped from one
    "CLOUDSDK_CONFIG": "/content/.config",
    "TBE_CREDS_ADDR": "172.28.0.1:8008",
    "TBE_EPHEM_CREDS_ADDR": "172.28.0.1:8009",
    "TBE_RUNTIME_ADDR": "172.28.0.1:8011",
    "USE_AUTH_EPHEM": "1",
    "COLAB_RELEASE_TAG": "release-colab_20250902-060114_RC00",
    "COLAB_BACKEND_VERSION": "next",
    "COLAB_GPU": "",
    "COLAB_TPU_1VM": "",
    "COLAB_NOTEBOOK_ID": "colab-kit-stand-in",
    "PYTHONUTF8": "1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "DEBIAN_FRONTEND": "noninteractive",
}


@contextmanager
def environment(more: Mapping[str, str]) -> Iterator[None]:
    """Colab's variables, and these; `!python` is this Python, as on Colab."""
    before = dict(os.environ)
    here = os.path.dirname(sys.executable)
    os.environ.update(
        ENVIRONMENT, PATH=os.pathsep.join([here, os.environ.get("PATH", os.defpath)]), **more
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def folder(path: str) -> Iterator[None]:
    """Work in this folder."""
    before = os.getcwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


def running() -> Any:
    """IPython's shell, if one runs here; IPython is never imported for it."""
    ipython = sys.modules.get("IPython")
    return (
        ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    )


@contextmanager
def magics(shell: Any, register: Callable[[Any], None]) -> Iterator[None]:
    """Colab's own % and %% commands; the others are left alone, since IPython brings some when they are first used."""
    tables = shell.magics_manager.magics
    before = {kind: dict(table) for kind, table in tables.items()}
    register(shell)
    ours = [
        (kind, name)
        for kind, table in tables.items()
        for name in table
        if table[name] is not before[kind].get(name)
    ]
    try:
        yield
    finally:
        for kind, name in ours:
            tables[kind].pop(name, None)
            if name in before[kind]:
                tables[kind][name] = before[kind][name]


@contextmanager
def shell(over: Callable[[type], type]) -> Iterator[Any]:
    """The shell made one of Colab's class, in place; a plain one where none runs."""
    found = running()
    if found is None:
        with _plain_shell() as made, shell(over):
            yield made
        return
    before = type(found)
    found.__class__ = over(before)
    try:
        yield found
    finally:
        found.__class__ = before


@contextmanager
def _plain_shell() -> Iterator[Any]:
    """A shell of IPython's without terminal, history or files, and the builtins as before once it ends."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    names = ("__IPYTHON__", "display", "get_ipython")
    before = {name: vars(builtins)[name] for name in names if name in vars(builtins)}
    hooks = sys.displayhook, sys.excepthook
    with tempfile.TemporaryDirectory() as place:
        config = Config({"HistoryManager": {"enabled": False}})
        try:
            yield InteractiveShell.instance(
                config=config, ipython_dir=place, user_module=sys.modules["__main__"]
            )
        finally:
            InteractiveShell.clear_instance()
            sys.displayhook, sys.excepthook = hooks
            for name in names:
                vars(builtins).pop(name, None)
            vars(builtins).update(before)


@contextmanager
def made(path: Path) -> Iterator[bool]:
    """The folder, made if it can be and taken away at the end if it is empty; gives whether it is there."""
    fresh = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        fresh = False
    try:
        yield path.is_dir()
    finally:
        if fresh:
            remove_empty(path)


def remove_empty(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:  # not empty, or gone
        pass
