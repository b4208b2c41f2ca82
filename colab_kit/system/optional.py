"""Optional packages, asked for where they are used: installed, or a sentence that says how."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import MissingExtra


def need(module: str, *, extra: str, why: str) -> Any:
    """Import `module`, or raise MissingExtra naming the extra that brings it.

    Examples
    --------
    >>> timm = need("timm", extra="timm", why="backbone timm/convnext_tiny")  # doctest: +SKIP
    """
    try:
        return importlib.import_module(module)
    except ImportError as err:
        package = module.partition(".")[0]
        absent = isinstance(err, ModuleNotFoundError) and err.name == package
        raise MissingExtra(
            f"{why} needs the package {package}, which {'is not installed' if absent else 'cannot be imported'}.",
            str(err),
            f'pip install {"" if absent else "-U "}"colab-kit[{extra}]"',
        ) from err
