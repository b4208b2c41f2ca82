"""Running sums of loss, accuracy and errors: kept where the network computes, read when asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class Sums:
    """Four sums over the pictures: the loss, their number, and two that the task needs.

    They are float64 on the device, so that adding never waits for it.

    ==============  ==========================================================================
    task            the two sums
    ==============  ==========================================================================
    classification  pictures whose likeliest class is true; whose five likeliest hold it
    multilabel      twice the rightly predicted classes; predicted classes plus true classes
    regression      absolute errors and squared errors, each the mean over the targets
    ==============  ==========================================================================

    Parameters
    ----------
    device : torch.device
    top5 : bool
        Whether to count the second sum of a classification.
    values : list of float, optional
        The sums to go on from.
    task : str
    output : str
        What the network gives (`losses.output_kind`).
    """

    def __init__(
        self,
        device: torch.device,
        *,
        top5: bool,
        values: list[float] | None = None,
        task: str = "classification",
        output: str = "logits",
    ) -> None:
        kind = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self.top5, self.on_cpu, self.task = top5, device.type == "cpu", task
        # from this value on, the network predicts a class
        self.border = 0.5 if output == "multilabel_probabilities" else 0.0
        self._sums = torch.tensor(values or [0.0] * 4, dtype=kind, device=device)

    def add(self, loss: torch.Tensor, output: torch.Tensor, y: torch.Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        loss : Tensor
            The mean over the batch.
        output : Tensor, (n, classes)
        y : Tensor
            Labels: (n,), or (n, classes) where they are several classes or numbers.
        """
        n, loss, output = len(y), loss.detach(), output.detach()
        how = self._hits if self.task == "classification" else self._errors
        one, two = how(output, y)
        if self.on_cpu:  # numpy: small torch operations would cost as much as a small network
            self._sums.numpy()[:] += (loss.item() * n, n, float(one), float(two))
            return
        for place, value in enumerate((loss * n, n, one, two)):
            self._sums[place] += value

    def _hits(self, output: torch.Tensor, y: torch.Tensor) -> tuple[Any, Any]:
        if output.ndim != 2:
            return 0, 0
        five = (output.topk(5, 1).indices == y[:, None]).any(1).sum() if self.top5 else 0
        if self.on_cpu:
            return np.count_nonzero(output.numpy().argmax(1) == y.numpy()), five
        return (output.argmax(1) == y).sum(), five

    def _errors(self, output: torch.Tensor, y: torch.Tensor) -> tuple[Any, Any]:
        output = output.float().reshape(y.shape)
        if self.task == "multilabel":
            predicted, true = output > self.border, y > 0.5
            return 2 * (predicted & true).sum(), predicted.sum() + true.sum()
        off = output - y
        return off.abs().mean(1).sum(), off.square().mean(1).sum()

    def read(self, split: str) -> dict[str, float]:
        """Give the means under their metric names, `valid/loss` and so on. The device waits here.

        Where no picture could be read each figure is NaN, which is never the best one.
        """
        loss, n, one, two = self.as_list()
        n = n or float("nan")
        means = {"loss": loss / n}
        match self.task:
            case "multilabel":
                means["f1"] = one / (two or n)  # no class predicted, none true: 0
            case "regression":
                means |= {"mae": one / n, "rmse": (two / n) ** 0.5}
            case _:
                means["top1"] = one / n
                if self.top5:
                    means["top5"] = two / n
        return {f"{split}/{name}": value for name, value in means.items()}

    @property
    def count(self) -> int:
        """The number of pictures so far."""
        return int(self.as_list()[1])

    def copy(self) -> torch.Tensor:
        """Copy the sums as they are; nobody waits for the device."""
        return self._sums.clone()

    def put_back(self, before: torch.Tensor) -> None:
        """Take back what was added since `copy`."""
        self._sums.copy_(before)

    def as_list(self) -> list[float]:
        """Give what a checkpoint keeps, so that an epoch in two halves has one mean."""
        return [float(value) for value in self._sums.tolist()]


def measured(task: str, *, top5: bool) -> tuple[str, ...]:
    """Name the figures of a task, besides the loss."""
    usual = ("top1", "top5") if top5 else ("top1",)
    return {"multilabel": ("f1",), "regression": ("mae", "rmse")}.get(task, usual)


def falls(metric: str) -> bool:
    """Whether this metric falls as a network gets better: losses and errors do."""
    return metric.rsplit("/", 1)[-1] in ("loss", "mae", "rmse")


def better(metric: str, new: float, best: float | None) -> bool:
    """Whether `new` beats `best`. NaN never does."""
    if new != new:
        return False
    return best is None or (new < best if falls(metric) else new > best)
