"""What can go wrong, in three sentences: what happened, why, and the fix.

    ColabKitError
    ├── FetchError(OSError)        the network or a download
    │   ├── LinkError(ValueError)  the link, or an option of the call, cannot mean a file
    │   ├── Offline                no server answers
    │   ├── NotFound               the file does not exist, or no longer exists
    │   ├── Private                the file exists, but not for everyone
    │   ├── QuotaExceeded          too many people fetched the file today
    │   ├── RateLimited            the server is busy, or had too many requests
    │   ├── GotHtml                a web page came instead of the file
    │   ├── GotLfsPointer          a Git LFS pointer came instead of the file
    │   ├── Truncated              the server sent less than it announced, or other bytes
    │   ├── HashMismatch           the file has another hash than the expected one
    │   ├── Stopped                a Control said stop; the next call goes on from here
    │   ├── NoSpace(ValueError)    the disk has no room for the file
    │   └── BadArchive(ValueError) an archive is damaged, locked, or of a kind we cannot read
    │       └── UnsafeArchive      an archive would write outside its folder, or fill the disk
    ├── DriveError(OSError)        Google Drive, or the mock of it
    ├── DataError(ValueError)      pictures, arrays, labels, folders
    ├── RecipeError(ValueError)    a training option is unknown or has a wrong value
    │   └── RecipeChanged          the folder holds a run that another recipe made
    ├── ModelError(ValueError)     the network, its loss or its optimizer
    ├── TrainError(RuntimeError)   training cannot go on
    ├── RunError(OSError)          a run's folder or checkpoint cannot be read or written
    │   └── RunInUse               another process or machine writes that run
    ├── ColabError(RuntimeError)   Colab's secrets and uploads
    └── MissingExtra(ImportError)  an optional package is not installed

Each is also the built-in named in brackets, so a plain `except ValueError` catches what it should.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


HABITS = {  # library: its option, and the line that says it here; {} is the value that was given
    "Keras": """
        learning_rate lr={} | class_weight class_weights={} | clipnorm max_grad_norm={}
        global_clipnorm max_grad_norm={} | jit_compile compile={} | ema_momentum ema_decay={}
        use_ema ema_decay=0.999 | workers num_workers={} | use_multiprocessing num_workers=2
        verbose quiet=True | validation_split kit.load(source, valid={})
        validation_data kit.load({"train": train, "valid": valid})
        validation_freq validate_every_steps=100 | label_mode kit.load(source, task="multilabel")
        steps_per_epoch kit.load(source, max_per_class=100)
        restore_best_weights monitor="valid/loss" | include_top head="linear"
        input_shape image_size=224 | shuffle seed=1
    """,
    "Lightning": """
        max_epochs epochs={} | gradient_clip_val max_grad_norm={} | default_root_dir run_dir={}
        accumulate_grad_batches grad_accum_steps={} | val_check_interval validate_every_steps={}
        check_val_every_n_epoch validate_every_steps=100 | accelerator device="cuda"
        enable_progress_bar quiet=True | enable_checkpointing save_every_steps=100
        limit_train_batches kit.load(source, max_per_class=100)
        overfit_batches kit.load(source, max_per_class=10) | fast_dev_run kit.preflight(net, data)
        num_sanity_val_steps kit.preflight(net, data) | max_steps epochs=5
        logger callbacks=[print] | ckpt_path init={}
    """,
    "fastai": """
        n_epoch epochs={} | bs batch_size={} | wd weight_decay={} | lr_max lr={} | base_lr lr={}
        loss_func loss={} | opt_func optimizer="adamw" | cbs callbacks={} | moms momentum=0.9
        valid_pct kit.load(source, valid={}) | item_tfms image_size=224
        batch_tfms augment="standard" | pct_start lr_schedule="onecycle" | path run_dir={}
        splitter lr={"fc*": 1e-3, "*": 1e-4} | arch kit.transfer(data, "resnet18")
        vocab kit.load(source, class_names={}) | dls kit.train(net, data)
    """,
    "Hugging Face": """
        num_train_epochs epochs={} | num_epochs epochs={}
        per_device_train_batch_size batch_size={} | per_device_eval_batch_size batch_size={}
        gradient_accumulation_steps grad_accum_steps={}
        warmup_ratio warmup_epochs=0.5 | warmup_steps warmup_epochs=0.5 | output_dir run_dir={}
        lr_scheduler_type lr_schedule={} | label_smoothing_factor label_smoothing={}
        fp16 precision="fp16" | bf16 precision="bf16" | eval_steps validate_every_steps={}
        eval_strategy validate_every_steps=100 | evaluation_strategy validate_every_steps=100
        save_steps save_every_steps={} | save_strategy save_every_steps=100
        dataloader_num_workers num_workers={} | optim optimizer={} | run_name name={}
        metric_for_best_model monitor={} | load_best_model_at_end monitor="valid/loss"
        greater_is_better monitor="valid/top1" | early_stopping_patience patience={}
        disable_tqdm quiet=True | no_cuda device="cpu" | use_cpu device="cpu"
        torch_compile compile={} | overwrite_output_dir restart=True | data_seed seed={}
        full_determinism deterministic={}
        train_dataset kit.load({"train": train, "valid": valid})
        eval_dataset kit.load({"train": train, "valid": valid}) | max_grad_value max_grad_norm=1.0
        resume_from_checkpoint kit.open_run({}).resume()
    """,
    "Ultralytics": """
        imgsz image_size={} | batch batch_size={} | lr0 lr={} | lrf lr_schedule="cosine"
        cos_lr lr_schedule="cosine" | project run_dir={} | amp precision="bf16"
        freeze freeze_epochs=2 | fliplr flip=True | degrees augment="standard"
        hsv_h augment="standard" | hsv_s augment="standard" | hsv_v augment="standard"
        auto_augment augment="strong" | erasing augment="strong" | time max_time="3h"
        save_period save_every_steps=100 | val kit.load(source, valid=0.2)
        fraction kit.load(source, max_per_class=100) | nbs grad_accum_steps=2
        pretrained weights="default" | plots run.plot()
    """,
    "many": """
        n_epochs epochs={} | num_classes kit.load(source) | criterion loss={}
        scheduler lr_schedule={} | lr_scheduler lr_schedule={}
        schedule lr_schedule={} | warmup warmup_epochs={}
        clip max_grad_norm={} | clip_norm max_grad_norm={} | clip_grad max_grad_norm={}
        accumulate grad_accum_steps={} | ema ema_decay={} | model_ema_decay ema_decay={}
        size image_size={} | img_size image_size={} | input_size image_size={} | budget max_time={}
        early_stopping patience={} | smoothing label_smoothing={} | opt optimizer={}
        sched lr_schedule={} | aa augment={} | save_every save_every_steps={}
        validate_every validate_every_steps={} | head_epochs freeze_epochs={} | out run_dir={}
        fresh restart={} | listen callbacks={} | listener callbacks={} | listeners callbacks={}
        limit max_per_class={} | names class_names={} | classes class_names={}
        edits label_edits={} | groups group={}
    """,
}


def habits() -> dict[str, dict[str, str]]:
    """Give the table by library: {its option: the line that says it here}."""
    return {
        library: {
            entry.split()[0]: entry.strip().partition(" ")[2]
            for line in table.strip().splitlines()
            for entry in line.split(" | ")
        }
        for library, table in HABITS.items()
    }


FOREIGN = {old: line for names in habits().values() for old, line in names.items()}
RENAMED: dict[str, dict[str, str]] = {  # where a word stands: {old or foreign word: our word}
    "option": {old: line[:-3] for old, line in FOREIGN.items() if line.endswith("={}")},
    "predict": {"views": "tta"},
    "task": {"classify": "classification", "regress": "regression"},
    "mode": {"both": "frozen_then_finetune"},
    "status": {"done": "finished"},
    "kind": {"local": "folder", "stand-in": "mock"},
    "metric": {"accuracy": "top1"},
    "split": {"val": "valid", "validation": "valid"},
    "Run": {"go_on": "resume", "wait": "wait_for_copies"},
    "Control": {"go_on": "resume"},
    "Evaluation": {"n": "count"},
    "StepDone": {"of": "total"},
    "EpochDone": {"of": "total"},
}


# signs that steer a terminal, or turn the direction of writing, and what UTF-8 cannot write
_STEERING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def plain(text: object) -> str:
    """A text with names from outside as it is shown: what steers a terminal stands as `\\x1b`."""
    return _STEERING.sub(lambda sign: ascii(sign[0])[1:-1], str(text))


def in_line(name: object) -> str:
    """A name as it is shown in one line: the end of a line in it stands as `\\n`."""
    return plain(name).replace("\n", r"\n")


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
        return plain("\n".join(lines))


class FetchError(ColabKitError, OSError):
    """The link did not give the right file."""

    tries: int = 1  # how many tries make sense in all; 1: the next one would fail in the same way
    wait: float | None = None  # seconds the server asked for before the next one
    code: str = ""  # the server's own word for it, as in the header X-Error-Code


class LinkError(FetchError, ValueError):
    """The link, or an option of the call, cannot mean a file."""


class Offline(FetchError):
    """No server answers."""


class NotFound(FetchError):
    """The file does not exist, or no longer exists."""


class Private(FetchError):
    """The file exists, but not for everyone."""


class QuotaExceeded(FetchError):
    """Too many people fetched the file today."""


class RateLimited(FetchError):
    """The server is busy, or had too many requests."""


class GotHtml(FetchError):
    """A web page, or a server's message, came instead of the file."""


class GotLfsPointer(FetchError):
    """A Git LFS pointer came instead of the file."""


class Truncated(FetchError):
    """The server sent less than it announced, or other bytes."""


class HashMismatch(FetchError):
    """The file has another hash than the expected one."""


class Stopped(FetchError):
    """A Control said stop. The received bytes stay; the next call goes on from them."""


class DriveError(ColabKitError, OSError):
    """Drive cannot be mounted, read or written."""

    again: int = 0  # how many more tries make sense; 0: the next one would fail in the same way


class DataError(ColabKitError, ValueError):
    """The pictures, arrays or labels do not fit together."""


class NoSpace(FetchError, DataError):
    """The disk has no room for the file."""


class BadArchive(FetchError, DataError):
    """An archive is damaged, locked, or of a kind we cannot read."""


class UnsafeArchive(BadArchive):
    """An archive would write outside its folder, or fill the disk."""


class RecipeError(ColabKitError, ValueError):
    """A training option is unknown or has a value that cannot work."""


class RecipeChanged(RecipeError):
    """The folder holds a run that another recipe, model or data set made."""


class ModelError(ColabKitError, ValueError):
    """The network, its loss or its optimizer does not fit the data."""


class TrainError(ColabKitError, RuntimeError):
    """Training cannot go on."""


class RunError(ColabKitError, OSError):
    """A run's folder or checkpoint cannot be found, read or written."""


class RunInUse(RunError):
    """Another process, or a session on another machine, writes the run."""


class ColabError(ColabKitError, RuntimeError):
    """Colab's page cannot give the secret or the upload."""


class MissingExtra(ColabKitError, ImportError):
    """The call needs an optional package that is not installed."""


def new_word(place: str, value: Any) -> str:
    """Return the fix for a renamed value: the new word; "" for any other value."""
    word = RENAMED[place].get(value) if isinstance(value, str) else None
    return "" if word is None else f"{value!r} is called {word!r} now: write {place}={word!r}"


def no_attribute(thing: Any, name: str) -> AttributeError:
    """Return the error for a missing attribute; for a renamed one it says the new name."""
    kind = type(thing).__name__
    word = RENAMED.get(kind, {}).get(name)
    hint = f": it is called {word!r} now" if word else ""
    return AttributeError(f"{kind} has no {name!r}{hint}", name=name, obj=thing)


def foreign_option(name: str, value: Any, line: str) -> RecipeError:
    """Return the error for an option that others call so; `line` is ours, {} its value."""
    line = line.replace("{}", repr(value))
    return RecipeError(f"There is no option {name}=.", "others call it so", f"write {line}")


def new_words(verb: Callable[P, R]) -> Callable[P, R]:
    """Make the verb refuse an option as other libraries call it, and show the line that fits."""
    code: Any = verb.__code__
    options = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    own = {old: f"{new}={{}}" for old, new in RENAMED.get(verb.__name__, {}).items()}
    lines = {
        name: line
        for name, line in (FOREIGN | own).items()
        if name not in options and (not line.endswith("={}") or line[:-3] in options)
    }

    @wraps(verb)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name in lines:
                raise foreign_option(name, kwargs[name], lines[name])
        return verb(*args, **kwargs)

    return checked
