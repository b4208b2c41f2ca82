"""A line: what stands for a panel where nobody could press its buttons. No widget is made, whose state a notebook would keep."""

from __future__ import annotations

import os
from typing import Any

from ..recipe import Recipe
from . import views


def code_of(
    source: Any, backbone: str, given: dict[str, Any], run_dir: Any, name: str | None
) -> str:
    """The call that does the same as a panel on this source."""
    told = {
        **given,
        **({"run_dir": str(run_dir)} if run_dir else {}),
        **({"name": name} if name else {}),
    }
    more = "".join(f", {field}={value!r}" for field, value in told.items())
    text = (
        repr(os.fspath(source) or "your-photos")
        if isinstance(source, (str, os.PathLike))
        else "data"
    )
    return f"run = kit.transfer({text}, {backbone!r}{more})"


class Line:
    """A panel's line of code. run : the Run, once it was started"""

    def __init__(
        self, data: Any, backbone: str, *, run_dir: Any, name: str | None, **fields: Any
    ) -> None:
        Recipe.of(None, fields)
        self.data, self.backbone, self.run_dir, self.name, self.given = (
            data,
            backbone,
            run_dir,
            name,
            fields,
        )
        self.run: Any = None

    def as_code(self) -> str:
        """The call that does the same."""
        return code_of(
            "" if self.data is None else self.data,
            self.backbone,
            self.given,
            self.run_dir,
            self.name,
        )

    def start(self) -> None:
        """Do it, in lines of text."""
        from ..api import transfer

        self.run = transfer(
            self.data, self.backbone, run_dir=self.run_dir, name=self.name, **self.given
        )

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(views.plain(self.as_code()))  # type: ignore[no-untyped-call]
