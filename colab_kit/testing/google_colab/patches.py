"""google.colab.patches: shows pictures where cv2.imshow cannot, in a notebook."""

from typing import Any

from ._seam import display

__all__ = ["cv2_imshow", "cv_imshow"]


def cv2_imshow(a: Any) -> None:
    """Show an array (N, M), (N, M, 3) BGR or (N, M, 4) BGRA. Values are cut to 0…255."""
    import PIL.Image

    pixels = a.clip(0, 255).astype("uint8")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    elif pixels.ndim == 3:
        pixels = pixels[:, :, [2, 1, 0, *range(3, pixels.shape[2])]]  # OpenCV keeps blue first
    display().display(PIL.Image.fromarray(pixels))


cv_imshow = cv2_imshow
