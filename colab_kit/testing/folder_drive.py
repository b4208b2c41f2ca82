"""A Drive made of a folder: its content lies in the mountpoint while mounted, else in the store."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DriveError
from ..events import milestone
from ..system.files import sweep, write_whole
from .faults import FOLDERS, LINKS, Faults
from .intercept import exempt
from .page import free_name

STATE, LOCK = ".mounted", ".mounted.lock"
COPYING, GONE = ".copying", ".gone"  # a half-made copy; what was copied and is being deleted
_OURS = {STATE, LOCK, COPYING, GONE}


class FolderBody:
    """A Drive made of a folder. Mounting moves the content into the mountpoint, unmounting back.

    So the mountpoint holds true folders. A file in the store names the mountpoint: a mount outlives
    the process, and any process sees it. A kill at any point loses nothing: the next mount or
    unmount finishes the work. Where both sides hold a file, the newer one keeps its name and the
    other one gets " (1)". Whoever deletes the mountpoint deletes the files, as on Drive; the next
    mount says so and begins with an empty MyDrive.

    "My Drive" is a link to MyDrive, for programs that open files by themselves. `!ls` shows it;
    this Python's listings do not.

    Parameters
    ----------
    store : Path
        Made if it is missing.
    faults : Faults, optional
        Only kept here, as `readonly` is: a Reach over the mountpoint lets files meet them.
    tell : callable
        Gets the sentence about content that is gone.
    rename : callable
        os.rename, or what a test puts in its place.
    """

    def __init__(
        self,
        store: Path,
        *,
        faults: Faults | None = None,
        tell: Callable[[str], None] = warnings.warn,
        rename: Callable[[Path, Path], None] = os.rename,
    ) -> None:
        self.store, self.faults = Path(os.path.abspath(store)), faults or Faults()
        self.readonly = False
        self._tell, self._rename = tell, rename

    def mounted_at(self) -> Path | None:
        with exempt():
            place = self._place()
            if place is not None and os.path.isdir(place / "MyDrive"):
                return place  # Path.is_dir would raise on a dead mount
        return None

    def mount(self, mountpoint: Path, *, readonly: bool = False) -> None:
        """Move the content into `mountpoint`, which is made if it is missing.

        Raises
        ------
        DriveError
            Its parent is missing, it is not an empty folder, or the content could not be moved;
            nothing is lost then.
        """
        point = Path(os.path.abspath(mountpoint))
        with self._moving(point):
            place = self._place()
            if place == point:
                self._look_for_loss(place)
            else:
                self._check(point)
                if place is not None:
                    self._leave(place)
                    self._check(point)  # it may have lain in the former mountpoint
                self._make(self.store)
                write_whole(self.store / STATE, f"{point}\n")
                milestone("stated")
            point.mkdir(exist_ok=True)
            self._bring(self.store, point)
            self._make(point)
            for link, name in LINKS.items():
                if os.path.isdir(point / name) and not os.path.lexists(point / link):
                    os.symlink(name, point / link)
                    milestone("linked")
            self.readonly = readonly

    def unmount(self) -> None:
        """Move the content back into the store; without a mount nothing happens.

        Raises
        ------
        DriveError
            It could not be moved; nothing is lost.
        """
        if self._place() is None:
            return
        with self._moving(self.store):
            if place := self._place():
                self._leave(place)
            self.readonly = False

    drop = unmount  # a folder has sent everything as soon as it is written

    def _place(self) -> Path | None:
        """The mountpoint that the store names, whether the move to it is finished or not."""
        try:
            with exempt():
                text = (self.store / STATE).read_text(encoding="utf-8").strip()
        except OSError:
            return None
        return Path(text) if text else None

    @contextmanager
    def _moving(self, to: Path) -> Iterator[None]:
        """Let one process move at a time and no plan strike it; turn its errors into ours."""
        import filelock

        with exempt():
            try:
                self.store.mkdir(parents=True, exist_ok=True)
                with filelock.FileLock(self.store / LOCK):
                    sweep(self.store)
                    yield
            except DriveError:
                raise
            except OSError as err:
                raise DriveError(
                    f"The Drive folder could not be moved to {to}.",
                    getattr(err, "why", "") or str(err),
                    "remove the cause and mount again: nothing is lost",
                ) from err

    def _check(self, point: Path) -> None:
        """Refuse a mountpoint on which no Drive could be mounted."""
        why = None
        if point.is_relative_to(self.store) or self.store.is_relative_to(point):
            why = f"the stand-in keeps its files in {self.store}, and neither may lie in the other"
        elif point.is_symlink():
            why = "it is a link"
        elif not point.parent.is_dir():
            why = f"there is no folder {point.parent}"
        elif point.exists() and not point.is_dir():
            why = "it is a file"
        elif point.exists() and any(point.iterdir()):
            why = "it already holds files"
        if why is not None:
            raise DriveError(
                f"The Drive folder cannot be mounted at {point}.",
                why,
                "name an empty folder, or one that does not exist yet",
            )

    def _leave(self, place: Path) -> None:
        """Move everything from a mountpoint back into the store, and forget that mountpoint."""
        self._look_for_loss(place)
        if place.is_dir():
            self._bring(place, self.store)
        self._make(self.store)
        (self.store / STATE).unlink()
        milestone("left")

    def _look_for_loss(self, place: Path) -> None:
        if not any((side / "MyDrive").is_dir() for side in (place, self.store)):
            self._tell(
                f"{place} was deleted while the Drive folder was mounted there,"
                " and its files with it. MyDrive is empty now."
            )

    def _make(self, root: Path) -> None:
        for path in (root / name for name in FOLDERS):
            if os.path.lexists(path) and not path.is_dir():
                os.rename(path, _free(path, path))
            path.mkdir(parents=True, exist_ok=True)

    def _bring(self, source: Path, target: Path) -> None:
        """Move all content to the other side, MyDrive last: where it lies, the Drive is mounted."""
        for leftover in (side / name for side in (source, target) for name in (COPYING, GONE)):
            if leftover.is_dir():
                shutil.rmtree(leftover)
        names = sorted(set(os.listdir(source)) - _OURS)
        for name in sorted(names, key=lambda name: LINKS.get(name, name) == "MyDrive"):
            path = source / name
            if name in LINKS and path.is_symlink():
                path.unlink()
            else:
                self._move(path, target / LINKS.get(name, name), (source, target))
            milestone("moved")
        for side in (source / GONE, target / COPYING):
            if side.is_dir():
                side.rmdir()

    def _move(self, path: Path, to: Path, roots: tuple[Path, Path]) -> None:
        if not os.path.lexists(to):
            try:
                self._rename(path, to)
            except OSError as err:
                if err.errno != errno.EXDEV:
                    raise
                self._across(path, to, *roots)
        elif _is_folder(path) and _is_folder(to):
            for name in sorted(os.listdir(path)):
                self._move(path / name, to / name, roots)
                milestone("merged")
            path.rmdir()
        elif _same(path, to):
            path.unlink()
        elif _rank(path) > _rank(to):
            os.rename(to, _free(to, to))
            milestone("set aside")
            self._move(path, to, roots)
        else:
            self._move(path, _free(to, path), roots)

    def _across(self, path: Path, to: Path, source: Path, target: Path) -> None:
        """Move to another disk: copy beside, rename, and only then delete."""
        part, gone = target / COPYING / path.name, source / GONE / path.name
        part.parent.mkdir(exist_ok=True)
        gone.parent.mkdir(exist_ok=True)
        if _is_folder(path):
            shutil.copytree(path, part, symlinks=True)
        else:
            shutil.copy2(path, part, follow_symlinks=False)
        milestone("copied")
        os.rename(part, to)
        milestone("renamed")
        os.rename(path, gone)
        milestone("gone")
        if _is_folder(gone):
            shutil.rmtree(gone)
        else:
            gone.unlink()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _rank(path: Path) -> tuple[bool, int]:
    """Of two with one name the higher keeps it: a folder before a file, then the newer."""
    return _is_folder(path), path.lstat().st_mtime_ns


def _same(path: Path, other: Path) -> bool:
    if path.is_symlink() or other.is_symlink():
        return path.is_symlink() and other.is_symlink() and os.readlink(path) == os.readlink(other)
    return path.is_file() and other.is_file() and filecmp.cmp(path, other, shallow=False)


def _free(name: Path, path: Path) -> Path:
    """`name (1).txt`, also where that is `path` already: a kill has left it."""
    return free_name(name, lambda free: free != name and _same(path, free))
