"""The curve of a learning-rate sweep, and what it suggests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runs import plots


@dataclass(frozen=True, repr=False)
class LrCurve:
    """What `find_lr` gives.

    lrs, losses : the sweep, one step each; losses are smoothed
    suggestion : learning rate, or None where nothing is learned at any; why : the reason
    """

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None
    why: str

    def plot(self, path: str | Path = "lr_curve.png") -> Any:
        """Draw the curve with the suggestion marked; shown in a notebook, saved as a PNG, whose path is given back."""
        return plots.display(plots.sweep(self.lrs, self.losses, self.suggestion, Path(path)))

    def __repr__(self) -> str:
        said = "no suggestion" if self.suggestion is None else f"suggestion {self.suggestion:.1e}"
        return (
            f"LrCurve({said}: {self.why}; {len(self.lrs)} steps from {self.lrs[0]:.0e} to {self.lrs[-1]:.0e})"
            if self.lrs
            else "LrCurve()"
        )
