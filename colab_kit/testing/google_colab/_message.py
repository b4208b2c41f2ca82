"""Questions to the notebook's page, and its replies."""

from typing import Any

from . import errors
from ._seam import need_kernel, world


class MessageError(errors.Error):
    """The page replied with an error; its text is the page's."""


def blocking_request(
    request_type: str, request: Any = "", timeout_sec: float | None = 5, parent: Any = None
) -> Any:
    """Ask the page, wait, and return its answer; None when none comes in time."""
    need_kernel()
    reply = world().ask(request_type, request, timeout_sec)
    if reply is None:
        return None
    if "error" in reply:
        raise MessageError(reply["error"])
    return reply.get("data")


def send_request(
    request_type: str, request_body: Any, parent: Any = None, expect_reply: bool = True
) -> str:
    """Ask the page without waiting; the stand-in records the question."""
    need_kernel()
    world().note(request_type, request=request_body)
    return request_type
