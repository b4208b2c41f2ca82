"""Memory: a batch that does not fit is trained in pieces; how large a batch may be."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator

import torch

from ..data.batches import Batch
from ..errors import TrainError

FULL = 0.8  # of a GPU's memory: what the largest batch may take
LARGEST = 1024  # pictures: beyond it a larger batch teaches no faster per picture


def is_out_of_memory(err: BaseException) -> bool:
    """Whether memory was asked for that is not there: a GPU's, or the machine's."""
    if isinstance(err, torch.OutOfMemoryError):
        return True
    return isinstance(err, RuntimeError) and any(
        words in str(err)
        for words in ("out of memory", "not enough memory", "can't allocate memory")
    )


def let_go(err: BaseException) -> None:
    """Free what a failed step left behind: the frames of its traceback hold its tensors."""
    seen: BaseException | None = err
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def pieces(batch: Batch, k: int) -> Iterator[tuple[Batch, slice]]:
    """A batch in at most k parts of nearly one size, none of one picture: BatchNorm cannot learn from one."""
    n = len(batch)
    k = max(1, min(k, n // 2))
    if k == 1:
        yield batch, slice(n)
        return
    cuts = [n * i // k for i in range(k + 1)]
    for start, stop in zip(cuts, cuts[1:], strict=False):
        part = slice(start, stop)
        yield Batch(batch.x[part], batch.y[part], batch.index[part]), part


def twice_as_many(k: int, batch_size: int, err: BaseException) -> tuple[int, str]:
    """In how many pieces to go on after k were too large, and the sentence that says so.

    Raises
    ------
    TrainError
        Pieces of two pictures do not fit either.
    """
    if batch_size // (2 * k) < 2:
        why = str(err).splitlines()[0]
        fix = "take a smaller network or image_size=, or a machine with more memory (Runtime ▸ Change runtime type)"
        raise TrainError("Not even two pictures at a time fit into the memory.", why, fix) from err
    text = f"Out of memory: {batch_size // k} pictures at a time are too many. Going on with {batch_size // (2 * k)} at a time"
    return (
        2 * k,
        f"{text}; a step is still made of {batch_size}. BatchNorm sees smaller groups: from here on the run is not exact.",
    )


def largest_batch(uses: Callable[[int], int], room: int, most: int) -> tuple[int, str]:
    """The largest power of two of pictures whose step stays within FULL of the memory.

    uses : bytes at the peak of one step of n pictures; may run out of memory
    room : bytes the device has
    most : pictures there are
    """
    n, fits, peak = 2, 0, 0
    while n <= min(most, LARGEST):
        try:
            found = uses(n)
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            let_go(err)
            break
        if found > FULL * room:
            break
        n, fits, peak = 2 * n, n, found
    if not fits:
        raise TrainError(
            "Not even two pictures at a time fit into the memory.",
            f"it has {room / 2**30:.1f} GiB",
            "take a smaller network or image_size=",
        )
    return (
        fits,
        f"the largest that takes at most {FULL:.0%} of the memory ({peak / 2**30:.1f} of {room / 2**30:.1f} GiB)",
    )
