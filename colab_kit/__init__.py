"""colab_kit: train image classifiers on Colab; what was computed is never lost.

>>> import colab_kit as kit                                       # doctest: +SKIP
>>> run = kit.train(kit.nets.mlp(), kit.load("fashion-mini"))     # doctest: +SKIP

This is the face: names only, each brought from its room when first used, so that the import costs milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .colab import secret as secret
    from .control import Control as Control
    from .data.splits import Data as Data
    from .drive.local import Drive as Drive
    from .drive.mount import mount as mount
    from .drive.uploads import upload as upload
    from .errors import ColabKitError as ColabKitError
    from .fetching.fetch import fetch as fetch
    from .fetching.fetched import Fetched as Fetched
    from .fetching.repos import clone as clone
    from .loading import load as load
    from .machine import Runtime as Runtime
    from .machine import runtime as runtime
    from .models import nets as nets
    from .opening import open_run as open_run
    from .panels.cleaning import cleaner as cleaner
    from .panels.training import panel as panel
    from .recipe import Recipe as Recipe
    from .reporting.prediction import Prediction as Prediction
    from .runs import Run as Run
    from .trials import find_lr as find_lr
    from .trials import preflight as preflight
    from .verbs import train as train
    from .verbs import transfer as transfer

__version__ = "0.1.0"

_ROOMS = {  # name: the room it lives in; nets is a room itself
    "runtime": "machine", "secret": "colab", "mount": "drive.mount", "upload": "drive.uploads",
    "fetch": "fetching.fetch", "clone": "fetching.repos",
    "load": "loading", "train": "verbs", "transfer": "verbs", "open_run": "opening", "preflight": "trials", "find_lr": "trials",
    "panel": "panels.training", "cleaner": "panels.cleaning",
    "Runtime": "machine", "Drive": "drive.local", "Fetched": "fetching.fetched", "Data": "data.splits", "Recipe": "recipe",
    "Control": "control", "Run": "runs",
    "Prediction": "reporting.prediction", "ColabKitError": "errors", "nets": "models.nets",
}  # fmt: skip
__all__ = [*_ROOMS, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        import difflib

        near = difflib.get_close_matches(name, _ROOMS, 1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(_ROOMS)}"
        raise AttributeError(f"colab_kit has no {name!r}: {hint}", name=name)
    import importlib

    room = importlib.import_module(f".{_ROOMS[name]}", __name__)
    value = room if name == "nets" else getattr(room, name)
    globals()[name] = value  # the next use finds it without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
