"""The Drive as others see it, and the folder that stands in for it where there is none."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import DriveError
from ..files import home

MYDRIVE = "MyDrive"


@dataclass(frozen=True)
class Drive(os.PathLike[str]):
    """A mounted Drive, usable wherever a path is: `drive / "pictures"` is a path in My Drive.

    mydrive : its My Drive
    kind : "real" (mounted just now), "reused" (was mounted already), "stand-in" (a folder, no Drive here),
        "local" (a folder, because mounting failed: on Colab it dies with the machine)
    mountpoint : the folder that holds MyDrive
    """

    mydrive: Path
    kind: str
    mountpoint: Path

    @property
    def real(self) -> bool:
        return self.kind in ("real", "reused")

    def __fspath__(self) -> str:
        return str(self.mydrive)

    def __str__(self) -> str:
        return str(self.mydrive)

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return self.mydrive / name

    def free(self) -> int:
        """Bytes that still fit.

        Raises
        ------
        DriveError
            The Drive is no longer there.
        """
        try:
            return shutil.disk_usage(self.mydrive).free
        except OSError as err:
            raise DriveError(f"{self.mydrive} cannot be read.", str(err), "run the cell with kit.mount() again") from err


def stand_in_root() -> Path:
    """The folder that stands for the mountpoint; it need not exist yet."""
    return home().absolute() / "drive"


def stand_in(mountpoint: Path, kind: str) -> Drive:
    """Make the folder that takes Drive's place; what an earlier session wrote there is still there."""
    root = stand_in_root()
    if root.is_relative_to(mountpoint):  # files there would keep the real Drive from being mounted
        raise DriveError(
            f"The folder for Drive's stand-in, {root}, would lie under {mountpoint}.",
            "COLAB_KIT_HOME points to a Drive that is not mounted",
            "unset COLAB_KIT_HOME, or point it to a local folder",
        )
    try:
        (root / MYDRIVE).mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise DriveError(f"{root} could not be made.", str(err), "set COLAB_KIT_HOME to a folder that can be written") from err
    return Drive(root / MYDRIVE, kind, root)
