"""colab_kit: train image classifiers on Colab; what was computed is never lost.

>>> import colab_kit as kit                                       # doctest: +SKIP
>>> run = kit.train(kit.nets.mlp(), kit.load("fashion-mini"))     # doctest: +SKIP

The package holds names only. Each comes from its module when it is first used, so the import takes
milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import find_lr as find_lr
    from .api import preflight as preflight
    from .api import train as train
    from .api import transfer as transfer
    from .colab.bridge import secret as secret
    from .colab.drive import Drive as Drive
    from .colab.mounting import mount as mount
    from .colab.mounting import upload as upload
    from .data.dataset import Data as Data
    from .data.loading import load as load
    from .errors import ColabKitError as ColabKitError
    from .events import Control as Control
    from .fetching.clone import clone as clone
    from .fetching.fetch import fetch as fetch
    from .fetching.fetched import Fetched as Fetched
    from .models import nets as nets
    from .panels.cleaner import cleaner as cleaner
    from .panels.panel import panel as panel
    from .recipe import Recipe as Recipe
    from .runs.compare import compare as compare
    from .runs.opening import open_run as open_run
    from .runs.prediction import Prediction as Prediction
    from .runs.run import Run as Run
    from .system.runtime import Runtime as Runtime
    from .system.runtime import runtime as runtime

__version__ = "0.1.0"

_NAMES = """
    system.runtime   runtime Runtime
    colab.bridge     secret
    colab.mounting   mount upload
    colab.drive      Drive
    fetching.fetch   fetch
    fetching.clone   clone
    fetching.fetched Fetched
    data.loading     load
    data.dataset     Data
    models.nets      nets
    api              train transfer preflight find_lr
    runs.opening     open_run
    runs.compare     compare
    runs.run         Run
    runs.prediction  Prediction
    panels.panel     panel
    panels.cleaner   cleaner
    events           Control
    recipe           Recipe
    errors           ColabKitError
"""
_ROOMS = {  # name: the module it lives in
    name: room for room, *names in map(str.split, _NAMES.strip().splitlines()) for name in names
}
_LIGHT = ("system", "colab", "fetching", "events", "recipe", "errors")  # no torch in them
__all__ = [*_ROOMS, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        import difflib

        near = difflib.get_close_matches(name, _ROOMS, 1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(_ROOMS)}"
        raise AttributeError(f"colab_kit has no {name!r}: {hint}", name=name)
    import importlib

    if not _ROOMS[name].startswith(_LIGHT):
        from .system.files import working_folder

        working_folder()  # where it is gone, the import of torch ends the process
    room = importlib.import_module(f".{_ROOMS[name]}", __name__)
    value = room if name == "nets" else getattr(room, name)
    globals()[name] = value  # the next use finds it without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
