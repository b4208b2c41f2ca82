"""What mount() is asked for: arguments that cannot be meant are refused before anything is done, on Colab and off it."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import DriveError

MOUNTPOINT = "/content/drive"


def check(
    retries: int, timeout: float, *, mock: bool | None, required: bool, readonly: bool
) -> None:
    """Refuse what cannot be meant."""
    switches = {"required": required, "readonly": readonly} | (
        {} if mock is None else {"mock": mock}
    )
    for name, value in switches.items():
        if not isinstance(value, bool):
            fix = f"write {name}=True or {name}=False, or leave it out"
            raise DriveError(
                f"{name}={value!r} cannot be.", f"{name} is a switch, True or False", fix
            )
    numbers = all(
        isinstance(value, (int, float)) and not isinstance(value, bool)
        for value in (retries, timeout)
    )
    if not numbers or not retries >= 0 or not timeout > 0:
        raise DriveError(
            f"retries={retries!r}, timeout={timeout!r} cannot be.",
            "0 tries again at least, in more than 0 seconds",
            "leave them out",
        )


def the_point(mountpoint: str | os.PathLike[str]) -> Path:
    """The mountpoint, absolute; an error where Colab would have none there."""
    name = os.fspath(mountpoint) if isinstance(mountpoint, (str, os.PathLike)) else None
    point = Path(name).expanduser().absolute() if name else None
    if name is None or not name.strip() or point is None:
        why = "it is the name of a folder, and not empty"
    elif " " in name:
        why = "Colab takes no mountpoint with a space in it"
    elif point == Path(point.anchor):
        why = "that is the whole disk"
    else:
        return point
    fix = f"leave it out: Drive is then mounted at {MOUNTPOINT}"
    raise DriveError(f"mountpoint={mountpoint if name is None else name!r} cannot be.", why, fix)
