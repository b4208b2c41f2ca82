"""What can go wrong, in three sentences: what happened, why, and the fix.

    ColabKitError
    ├── FetchError(OSError)        the network or a download
    ├── DriveError(OSError)        Google Drive or its stand-in
    ├── DataError(ValueError)      pictures, arrays, labels, folders
    ├── RecipeError(ValueError)    how to train was said wrongly
    │   └── RecipeChanged          an existing run was made by another recipe
    ├── ModelError(ValueError)     the network, its loss or its optimizer
    ├── TrainError(RuntimeError)   training cannot go on
    ├── RunError(OSError)          a run's folder or checkpoint cannot be read or written
    │   └── RunInUse               another process or machine is writing that run
    ├── ColabError(RuntimeError)   Colab's secrets and uploads
    └── MissingExtra(ImportError)  an optional package is not installed

Each is also the built-in named in brackets, so a plain `except ValueError` catches what it should.
"""


class ColabKitError(Exception):
    """Say what happened, why, and the fix; `str()` gives all three, a line each.

    Parameters
    ----------
    what : str
        One sentence in the user's words.
    why : str, optional
        The cause, if it is known.
    fix : str, optional
        What to do or type next.
    """

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.fix = what, why, fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"Why: {self.why}")
        if self.fix:
            lines.append(f"Fix: {self.fix}")
        return "\n".join(lines)


class FetchError(ColabKitError, OSError):
    """A link could not be turned into the right file."""


class DriveError(ColabKitError, OSError):
    """Drive cannot be mounted, read or written. `again`: how often another try is worth it; 0 for what does not change by itself."""

    again: int = 0


class DataError(ColabKitError, ValueError):
    """The pictures, arrays or labels do not fit together."""


class RecipeError(ColabKitError, ValueError):
    """A training option is unknown or has a value that cannot work."""


class RecipeChanged(RecipeError):
    """The named output folder holds a run that another recipe, model or data made."""


class ModelError(ColabKitError, ValueError):
    """The network, its loss or its optimizer does not fit the data."""


class TrainError(ColabKitError, RuntimeError):
    """Training cannot go on."""


class RunError(ColabKitError, OSError):
    """A run's folder or checkpoint cannot be found, read or written."""


class RunInUse(RunError):
    """Another process, or a session on another machine, is writing the run."""


class ColabError(ColabKitError, RuntimeError):
    """Colab's page cannot give what was asked for: a secret, an upload."""


class MissingExtra(ColabKitError, ImportError):
    """An optional package is needed and not installed."""
