"""The verbs that train, and those that only try. Each gives its request to a room below."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .colab.mounting import mounted
from .errors import new_words
from .events import Callback, Control
from .recipe import Recipe
from .runs.plots import LrCurve
from .runs.run import Run
from .runs.running import carry_out
from .system.files import in_working_folder
from .training.request import Request, right_way_round
from .training.trials import Preflight, find_rate, look


@in_working_folder
@new_words
def train(
    model: Any,
    data: Any,
    *extra: Any,
    loss: Any = None,
    optimizer: Any = None,
    init: str | Path | None = None,
    recipe: Recipe | None = None,
    run_dir: str | Path | None = None,
    name: str | None = None,
    restart: bool = False,
    device: str | None = None,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    control: Control | None = None,
    **fields: Any,
) -> Run:
    """Train any network; run the same cell again and it goes on, or gives the finished run back.

    Parameters
    ----------
    model : Module, or a class or callable that makes one
        A Module is trained in place; what a class makes gets weights keyed by `seed`.
    data : Data, or anything `load` takes
    loss : name, class, instance or f(output, y), optional
        By what the network puts out, if None: cross_entropy for logits, nll for log-probabilities.
    optimizer : name, class, or instance over the model's parameters, optional
    init : path, optional
        A .pth or .safetensors file to start from; what matches is taken, the rest listed.
    recipe, **fields
        How to train: see `Recipe`. Fields replace those of `recipe`. augment= may also be a
        transform of your own (of torchvision v2, say). It takes a PIL picture, or uint8 (C, H, W)
        of an array, and returns one; its random numbers get a key of the sample.
    run_dir, name : optional
        The run's folder; or the first half of its name under the usual place.
    restart : bool
        Start anew; what was there is moved to `<folder>.before`.
    device : "cuda", "cuda:1", "mps" or "cpu", optional
    callbacks : list of callables, optional
        They are given each event, as the console is.
    quiet : bool
        Whether the console says nothing.
    control : Control, optional
        To stop or pause from another thread.

    Returns
    -------
    Run
        With status "finished" or "stopped"; an interrupt, SIGTERM, SIGHUP and early stopping
        return it too.

    Raises
    ------
    ColabKitError
        DataError, ModelError, RecipeError, RunError or TrainError: what happened, why, and the fix.

    Examples
    --------
    >>> run = train(nets.mlp(), "fashion-mini", epochs=3)  # doctest: +SKIP
    """
    right_way_round("train", model, data, extra)
    objects = {"loss": loss, "optimizer": optimizer}
    request = Request.to_train(model, recipe, objects | fields)
    where: Any = {
        "init": init,
        "run_dir": run_dir,
        "name": name,
        "restart": restart,
        "device": device,
    }
    heard: Any = {"callbacks": callbacks, "quiet": quiet, "control": control}
    return carry_out("train", request, data, **where, **heard)


@in_working_folder
@new_words
def transfer(
    data: Any,
    backbone: Any = "resnet18",
    *extra: Any,
    mode: str = "auto",
    head: Any = "linear",
    weights: str | Path | None = "default",
    loss: str | None = None,
    optimizer: Any = None,
    init: str | Path | None = None,
    recipe: Recipe | None = None,
    run_dir: str | Path | None = None,
    name: str | None = None,
    restart: bool = False,
    device: str | None = None,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    control: Control | None = None,
    **fields: Any,
) -> Run:
    """Put a new head on a trained backbone.

    A frozen backbone runs once: its features are kept, and the head is solved for them.

    Parameters
    ----------
    data : Data, or anything `load` takes
    backbone : str, Module or Run
        A name of torchvision, "timm/…", or "efficientnet_lite0", 1, 2 (they need no download); or
        what a Run learned. Its BatchNorm stays in eval while it is frozen.
    mode : "auto", "frozen", "finetune" or "frozen_then_finetune"
        frozen trains the head alone; finetune trains everything from the start;
        frozen_then_finetune first trains the head, for `freeze_epochs=` (1), then everything. auto
        takes frozen on a CPU and below 2,000 pictures, else frozen_then_finetune.
    head : "linear", hidden widths like (500, 250), or a Module
    weights : "default", None, or a path
        ImageNet weights, fresh ones, or a .pth or .safetensors file of this architecture.
    recipe, **fields
        See `Recipe`. `epochs` is 3 by default and counts all epochs, `freeze_epochs` the first of
        them. A backbone that stays frozen has no epochs: `views=` (1) counts the views of each
        picture: as it is, mirrored, then random ones, 8 at most.
    loss, optimizer, init, run_dir, name, restart, device, callbacks, quiet, control
        As for `train`; loss by name only.

    Raises
    ------
    ColabKitError
        FetchError where weights cannot be downloaded; else as `train`.

    Examples
    --------
    >>> run = transfer("photos", "efficientnet_lite0", epochs=3)  # doctest: +SKIP
    """
    right_way_round("transfer", backbone, data, extra)
    objects = {"loss": loss, "optimizer": optimizer}
    options = {"mode": mode, "head": head, "weights": weights}
    request = Request.to_transfer(backbone, recipe, objects | fields, **options)
    where: Any = {
        "init": init,
        "run_dir": run_dir,
        "name": name,
        "restart": restart,
        "device": device,
    }
    heard: Any = {"callbacks": callbacks, "quiet": quiet, "control": control}
    return carry_out("transfer", request, data, **where, **heard)


@in_working_folder
def preflight(
    model: Any,
    data: Any,
    *,
    loss: Any = None,
    optimizer: Any = None,
    recipe: Recipe | None = None,
    device: str | None = None,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    **fields: Any,
) -> Preflight:
    """Look at network, data, loss and machine as `train` would, and say all that is wrong.

    Parameters
    ----------
    model : Module, a class or callable that makes one, or a backbone's name as `transfer` takes it
    data : Data, or anything `load` takes
    loss, optimizer, recipe, device, callbacks, quiet, **fields : as for `train`

    Returns
    -------
    Preflight
        `.findings` (errors first), `.ok`, `.summary` (the layers) and `.seconds` (of a step). What
        would be an error is a finding here.

    Examples
    --------
    >>> print(preflight(net, "pets/", loss=nn.NLLLoss()))  # doctest: +SKIP
    """
    right_way_round("preflight", model, data)
    objects = {"loss": loss, "optimizer": optimizer}
    return look(
        lambda: Request.to_try(model, recipe, objects | fields),
        data,
        device,
        drive=mounted() is not None,
    )


@in_working_folder
@new_words
def find_lr(
    model: Any,
    data: Any,
    *,
    loss: Any = None,
    optimizer: Any = None,
    recipe: Recipe | None = None,
    device: str | None = None,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    **fields: Any,
) -> LrCurve:
    """Sweep the learning rate from 1e-7 to 10 in at most 100 steps (Smith 2017), and suggest one.

    Afterwards the network, its gradients and all random streams are as before. The same call gives
    the same curve.

    Parameters
    ----------
    model : Module, a class or callable that makes one, or a backbone's name as `transfer` takes it
    data : Data, or anything `load` takes
    loss, optimizer, recipe, device, callbacks, quiet, **fields
        As for `train`; an optimizer by name or class.

    Raises
    ------
    ColabKitError
        What `train` would raise before its first step.

    Examples
    --------
    >>> find_lr(nets.mlp(), "fashion-mini").suggestion  # doctest: +SKIP
    """
    right_way_round("find_lr", model, data)
    objects = {"loss": loss, "optimizer": optimizer}
    request = Request.to_try(model, recipe, objects | fields)
    drive = mounted() is not None
    return LrCurve(*find_rate(request, data, device, drive=drive, callbacks=callbacks, quiet=quiet))
