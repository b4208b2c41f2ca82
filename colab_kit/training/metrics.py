"""Running sums of loss and accuracy, kept where the network computes, read only when somebody looks."""

from __future__ import annotations

import torch


class Sums:
    """Sums over the pictures seen: loss, count, top-1, top-5; float64 on the device, so adding never waits for it."""

    def __init__(self, device: torch.device, *, top5: bool, values: list[float] | None = None) -> None:
        kind = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self.top5 = top5
        self._sums = torch.tensor(values or [0.0] * 4, dtype=kind, device=device)

    @torch.no_grad()
    def add(self, loss: torch.Tensor, output: torch.Tensor, y: torch.Tensor) -> None:
        """Add a batch: its mean loss, its outputs (n, classes) and its labels (n,)."""
        n = len(y)
        self._sums[0] += loss.detach() * n
        self._sums[1] += n
        if output.ndim == 2:
            self._sums[2] += (output.argmax(1) == y).sum()
            if self.top5:
                self._sums[3] += (output.topk(5, 1).indices == y[:, None]).any(1).sum()

    def read(self, split: str) -> dict[str, float]:
        """The means under their metric names, `valid/loss` and so on. The device waits here."""
        loss, n, top1, top5 = self._sums.tolist()
        n = n or float("nan")  # no picture could be read: no figure, and surely not the best one
        found = {f"{split}/loss": loss / n, f"{split}/top1": top1 / n}
        if self.top5:
            found[f"{split}/top5"] = top5 / n
        return found

    @property
    def seen(self) -> int:
        """Pictures so far."""
        return int(self._sums[1].item())

    def copy(self) -> torch.Tensor:
        """The sums so far; nobody waits for the device."""
        return self._sums.clone()

    def put_back(self, before: torch.Tensor) -> None:
        """Take back what was added since `copy`."""
        self._sums.copy_(before)

    def as_list(self) -> list[float]:
        """What a checkpoint keeps, so that an epoch cut in two has one mean."""
        return [float(v) for v in self._sums.tolist()]


def better(metric: str, new: float, best: float | None) -> bool:
    """Whether `new` beats `best`: losses and errors go down, all else up. NaN never wins."""
    if new != new:
        return False
    falls = metric.rsplit("/", 1)[-1] in ("loss", "mae", "rmse")
    return best is None or (new < best if falls else new > best)
