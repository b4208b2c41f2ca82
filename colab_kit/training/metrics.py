"""Running sums of loss and accuracy or errors, kept where the network computes, read only when somebody looks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class Sums:
    """Sums over the pictures seen: loss, count, and two that the task needs. Plain numbers on the CPU; elsewhere float64 on the device,
    so that adding never waits for it.

    classify : hits, and hits among five    multilabel : classes rightly said twice, classes said plus classes there
    regress : absolute and squared errors, each the mean over the targets
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
        self.top5, self.here, self.task = top5, device.type == "cpu", task
        self.border = (
            0.5 if output == "multilabel_probabilities" else 0.0
        )  # from there on a class is said
        self._numbers = [float(v) for v in values or [0.0] * 4]
        self._sums = torch.tensor(self._numbers, dtype=kind, device=device)

    def add(self, loss: torch.Tensor, output: torch.Tensor, y: torch.Tensor) -> None:
        """Add a batch: its mean loss, its outputs (n, classes) and its labels (n,), or (n, classes) where they are several or numbers."""
        n, loss, output, ranked = len(y), loss.detach(), output.detach(), output.ndim == 2
        if self.task != "classification":
            self._put(loss, n, *self._errors(output.float().reshape(y.shape), y))
            return
        top5 = (output.topk(5, 1).indices == y[:, None]).any(1).sum() if ranked and self.top5 else 0
        if (
            self.here
        ):  # numpy: small tensor operations would cost as much as a small network's forward pass
            top1 = np.count_nonzero(output.numpy().argmax(1) == y.numpy()) if ranked else 0
            have = self._numbers
            self._numbers = [
                have[0] + loss.item() * n,
                have[1] + n,
                have[2] + top1,
                have[3] + int(top5),
            ]
        else:
            self._put(loss, n, (output.argmax(1) == y).sum() if ranked else 0, top5)

    def _errors(self, output: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.task == "multilabel":
            said, there = output > self.border, y > 0.5
            return 2 * (said & there).sum(), said.sum() + there.sum()
        off = output - y
        return off.abs().mean(1).sum(), off.square().mean(1).sum()

    def _put(self, loss: torch.Tensor, n: int, one: Any, two: Any) -> None:
        for place, new in enumerate((loss * n, n, one, two)):
            if self.here:
                self._numbers[place] += float(new)
            else:
                self._sums[place] += new

    def read(self, split: str) -> dict[str, float]:
        """The means under their metric names, `valid/loss` and so on. The device waits here."""
        loss, n, one, two = self.as_list()
        n = n or float("nan")  # no picture could be read: no figure, and surely not the best one
        found = {"loss": loss / n}
        match self.task:
            case "multilabel":
                found["f1"] = one / two if two else one / n  # nothing said, nothing there: 0
            case "regression":
                found |= {"mae": one / n, "rmse": (two / n) ** 0.5}
            case _:
                found |= {"top1": one / n} | ({"top5": two / n} if self.top5 else {})
        return {f"{split}/{name}": value for name, value in found.items()}

    @property
    def seen(self) -> int:
        """Pictures so far."""
        return int(self.as_list()[1])

    def copy(self) -> list[float] | torch.Tensor:
        """The sums so far; nobody waits for the device."""
        return self._numbers if self.here else self._sums.clone()

    def put_back(self, before: list[float] | torch.Tensor) -> None:
        """Take back what was added since `copy`."""
        if isinstance(before, torch.Tensor):
            self._sums.copy_(before)
        else:
            self._numbers = before

    def as_list(self) -> list[float]:
        """What a checkpoint keeps, so that an epoch cut in two has one mean."""
        return list(self._numbers) if self.here else [float(v) for v in self._sums.tolist()]


def measured(task: str, *, top5: bool) -> tuple[str, ...]:
    """The figures of a task beside the loss."""
    return {"multilabel": ("f1",), "regression": ("mae", "rmse")}.get(
        task, ("top1", "top5") if top5 else ("top1",)
    )


def better(metric: str, new: float, best: float | None) -> bool:
    """Whether `new` beats `best`: losses and errors go down, all else up. NaN never wins."""
    if new != new:
        return False
    falls = metric.rsplit("/", 1)[-1] in ("loss", "mae", "rmse")
    return best is None or (new < best if falls else new > best)
