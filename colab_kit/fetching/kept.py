"""Archives kept on Drive, so that the next session need not download them again: copied in the background, read back as one file.

MyDrive/colab-kit/fetched/pets-1a2b3c4d/pets.zip
MyDrive/colab-kit/fetched/pets-1a2b3c4d/fetched.json    its record, copied after it
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..colab.drive import Drive
from ..colab.mirror import Mirror
from ..colab.mounting import mounted
from ..colab.reading import bring, patiently, size_of
from ..errors import ColabKitError, DriveError
from ..events import Control, Event, Note
from ..system.archives.names import stem
from ..system.files import home, sha256, write_json
from .records import Record

MOST = 2 << 30  # bytes: a larger archive is not kept unless it is asked for
SHARE = 3  # and it may take one part in so many of what is free on Drive
RECORD = "fetched.json"


def room(size: int | None, asked: bool | None, drive: Drive | None) -> bool:
    """Whether an archive of so many bytes (None: not known) is to be kept on Drive: asked for, or small enough."""
    if asked is False or drive is None or drive.kind == "folder":
        return False
    if asked:
        return True
    with suppress(DriveError):
        return size is not None and size <= MOST and size <= drive.free() / SHARE
    return False


def drive_there() -> Drive | None:
    """The Drive that archives may be kept on."""
    found = mounted()
    return None if found is None or found.kind == "folder" else found


class Shelf:
    """Where one link's archive is kept on a Drive."""

    def __init__(self, drive: Drive, name: str, identity: str) -> None:
        self.root = drive.mydrive / "colab-kit" / "fetched"
        self.folder = f"{stem(name)[:60]}-{hashlib.sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
        self.name, self.identity = name, identity
        self.path = self.root / self.folder / name

    def record(self) -> Record | None:
        """What is kept, if it is all there."""
        try:
            said = patiently(lambda: (self.path.parent / RECORD).read_text(), self.path)
            record = Record(**json.loads(said))
            size = size_of(self.path)
        except (OSError, ValueError, TypeError):
            return None
        return (
            record
            if (record.identity, record.size) == (self.identity, size) and record.sha256
            else None
        )

    def fetch(
        self, record: Record, to: Path, emit: Callable[[Event], None], control: Control | None
    ) -> bool:
        """Bring it to the fast disk, under `to`, and compare its hash; False (and a Note) if it is not what was kept."""
        try:
            with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as box:
                bring(
                    self.path.parent,
                    {self.name: record.size},
                    Path(box),
                    name=self.name,
                    emit=emit,
                    control=control,
                )
                came = Path(box) / self.name
                if sha256(came) == record.sha256:
                    came.replace(to)
                    return True
            why = "it is not what was put there"
        except (ColabKitError, OSError) as err:
            if control is not None and control.stopped:
                raise
            why = err.what if isinstance(err, ColabKitError) else str(err)
        emit(
            Note(
                f"The copy on Drive, {self.path}, cannot be used ({why}); it is downloaded again.",
                "warn",
            )
        )
        return False

    def keep(self, archive: Path, record: Record) -> None:
        """Copy an archive there in the background. The file may be deleted here at once: it stays open until it is copied."""
        mirror = Mirror.at(self.root)
        mirror.push(archive, f"{self.folder}/{self.name}")
        beside = home() / "fetched" / f"{self.folder}.json"
        write_json(beside, dataclasses.asdict(record))
        mirror.push(beside, f"{self.folder}/{RECORD}")
        beside.unlink(missing_ok=True)
