"""Where a file goes, and whether it is unpacked: decided before anything is asked or written. Pure but for a look at what is there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..system.archives.names import SINGLES, is_archive, stem


@dataclass(frozen=True)
class Aim:
    """The name of the file, and of what it is unpacked to: a folder, or for a single packed file another file; None: it stays as it is."""

    file: Path
    unpacked: Path | None
    single: bool = False

    @property
    def target(self) -> Path:
        """What the caller is given in the end."""
        return self.file if self.unpacked is None else self.unpacked


def is_folder(to: str | os.PathLike[str]) -> bool:
    """Whether `to` means the folder that takes the file: it is one, ends in a slash, or has no suffix."""
    text = os.fspath(to)
    return (
        text.endswith(("/", os.sep))
        or not Path(text).suffix
        or os.path.isdir(os.path.expanduser(text))
    )


def aim(
    name: str, to: str | os.PathLike[str] | None, extract: bool | None, *, named: bool | None = None
) -> Aim:
    """Decide for a file called `name`; `named`: whether `to` names the file, None: judged by is_folder().

    Examples
    --------
    >>> aim("pets.tar.gz", "data", None).target.as_posix(), aim("pets.zip", "data/p.zip", None).unpacked
    ('data/pets', None)
    """
    if to is None or (is_folder(to) if named is None else not named):
        file = (Path() if to is None else Path(os.path.expanduser(to))) / name
        wanted = is_archive(name) if extract is None else extract
    else:
        file, wanted = (
            Path(os.path.expanduser(to)),
            bool(extract),
        )  # who names the file wants the file
    if not wanted:
        return Aim(file, None)
    called = file.name if is_archive(file.name) or file.name.lower().endswith(SINGLES) else name
    if called.lower().endswith(SINGLES) and not is_archive(called):
        return Aim(file, file.with_name(called[: called.rindex(".")]), True)
    bare = stem(called)
    return Aim(file, file.with_name(bare if bare != file.name else f"{bare}-unpacked"))
