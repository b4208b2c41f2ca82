"""Explaining: where a network looks (Grad-CAM), and the pictures it is most wrong about."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import ModelError
from ..training.losses import primary


def worst(losses: np.ndarray, n: int) -> list[tuple[int, float]]:
    """The n rows with the largest loss, and it; of equals the first."""
    return [(int(row), float(losses[row])) for row in np.argsort(-losses, kind="stable")[:n]]


def grad_cam(
    model: nn.Module, x: torch.Tensor, target: int | None = None
) -> tuple[np.ndarray, int]:
    """Which places speak for a class (Selvaraju et al. 2017): float32 (h, w) from 0 to 1, of the last convolution, and the class.

    Parameters
    ----------
    model : in eval; its flags and gradients stay as they are
    x : one picture as network input, (1, C, H, W)
    target : the class; the likeliest, if None

    Raises
    ------
    ModelError
        The network has no convolution near its end: a transformer's first layer is one, and says nothing.
    """
    layer = _last_map(model, x)
    held: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _m, _i, out: held.append(out))
    try:
        with torch.enable_grad():
            scores = primary(model(x.clone().requires_grad_()))
            chosen = int(scores[0].argmax()) if target is None else target
            (slope,) = torch.autograd.grad(scores[0, chosen], held[0])
    finally:
        hook.remove()
    cam = (slope.mean((2, 3), keepdim=True) * held[0]).sum(1)[0].clamp_min(0).detach().float().cpu()
    return (cam / cam.max() if float(cam.max()) > 0 else cam).numpy(), chosen


def _last_map(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """The last convolution or BatchNorm that puts out a map of more than one place; it must stand in the second half of all layers."""
    ran: list[tuple[nn.Module, bool]] = []

    def note(module: nn.Module, given: Any, out: Any) -> None:
        kind = isinstance(module, (nn.Conv2d, nn.BatchNorm2d))
        ran.append(
            (
                module,
                kind and isinstance(out, torch.Tensor) and out.ndim == 4 and min(out.shape[2:]) > 1,
            )
        )

    hooks = [m.register_forward_hook(note) for m in model.modules() if not any(m.children())]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    at = max((place for place, (_, is_map) in enumerate(ran) if is_map), default=-1)
    if at < (len(ran) - 1) / 2:
        why = "it has no convolution near its end; Grad-CAM shows where one looks"
        raise ModelError(
            f"{type(model).__name__} has no map to look at.",
            why,
            "use it with a convolutional backbone: resnet18, say",
        )
    return ran[at][0]


def laid_over(picture: np.ndarray, cam: np.ndarray) -> np.ndarray:
    """A picture, uint8 (H, W, 3), with a Grad-CAM over it in warm colours: uint8 (H, W, 3)."""
    from PIL import Image

    high, wide = picture.shape[:2]
    share = np.asarray(
        Image.fromarray(cam.astype(np.float32)).resize((wide, high), Image.Resampling.BICUBIC)
    ).clip(0, 1)[..., None]
    grey = picture[..., :3].astype(np.float32).mean(2, keepdims=True)
    warm = (
        np.concatenate(
            [np.minimum(1, 2 * share), np.clip(2 * share - 0.6, 0, 1), np.zeros_like(share)], 2
        )
        * 255
    )
    mixed = (1 - 0.6 * share) * (0.35 * grey + 0.65 * picture[..., :3]) + 0.6 * share * warm
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


def three(pixels: np.ndarray) -> np.ndarray:
    """A picture with three channels, uint8 (H, W, 3): grey is repeated, alpha left out."""
    picture = pixels if pixels.ndim == 3 else pixels[..., None]
    return np.asarray(picture.repeat(3, 2) if picture.shape[2] < 3 else picture[..., :3])
