"""A line: what stands for a panel where nobody could press its buttons. No widget is made, whose state a notebook would keep."""

from __future__ import annotations

import os
from typing import Any

from ..recipe import Recipe
from . import sights


def code_of(source: Any, backbone: str, given: dict[str, Any], out: Any, name: str | None) -> str:
    """The call that does the same as a panel on this source."""
    told = {**given, **({"out": str(out)} if out else {}), **({"name": name} if name else {})}
    more = "".join(f", {field}={value!r}" for field, value in told.items())
    text = repr(os.fspath(source) or "your-photos") if isinstance(source, (str, os.PathLike)) else "data"
    return f"run = kit.transfer({text}, {backbone!r}{more})"


class Line:
    """A panel's line of code. run : the Run, once it was started"""

    def __init__(self, data: Any, backbone: str, *, out: Any, name: str | None, **fields: Any) -> None:
        Recipe.of(None, fields)
        self.data, self.backbone, self.out, self.name, self.given = data, backbone, out, name, {"epochs": 3, **fields}
        self.run: Any = None

    def as_code(self) -> str:
        """The call that does the same."""
        return code_of("" if self.data is None else self.data, self.backbone, self.given, self.out, self.name)

    def start(self) -> None:
        """Do it, in lines of text."""
        from ..verbs import transfer

        self.run = transfer(self.data, self.backbone, out=self.out, name=self.name, **self.given)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(sights.plain(self.as_code()))  # type: ignore[no-untyped-call]
