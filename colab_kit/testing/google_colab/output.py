"""Cells' output: JavaScript's answers, callbacks from it, tags, areas, custom widgets."""

import json
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from . import _message
from ._seam import display, need_kernel, world

_WIDGET_VERSIONS = ("5.0.0a",)
_tags: set[str] = set()


def eval_js(script: str, ignore_result: bool = False, timeout_sec: float | None = None) -> Any:
    """Run JavaScript in the cell's page and return its result; None if none comes in time.

    Raises
    ------
    MessageError
        The script threw.
    ColabError
        The stand-in has no answer, and timeout_sec is None: Colab would wait for ever.
    """
    if ignore_result:
        _message.send_request("cell_javascript_eval", {"script": script}, expect_reply=False)
        return None
    return _message.blocking_request("cell_javascript_eval", {"script": script}, timeout_sec)


def register_callback(function_name: str, callback: Callable[..., Any]) -> None:
    """Let JavaScript call it: google.colab.kernel.invokeFunction(name, [args], {kwargs})."""
    world().callbacks[function_name] = callback


def unregister_callback(function_name: str) -> None:
    """Take the callback away."""
    if function_name not in world().callbacks:
        raise ValueError(f"Callback function not registered: {function_name}.")
    del world().callbacks[function_name]


def _invoke_function(function_name: str, json_args: str, json_kwargs: str) -> Any:
    args, kwargs = json.loads(json_args), json.loads(json_kwargs)
    callback = world().callbacks.get(function_name)
    if not callback:
        raise ValueError(f"Function not found: {function_name}")
    return callback(*args, **kwargs)


def clear(wait: bool = False, output_tags: str | Iterable[str] = ()) -> None:
    """Clear the cell's output, or only that with all of output_tags; nothing outside a kernel."""
    if not isinstance(wait, bool):
        raise ValueError("wait must be a boolean value")
    sys.stdout.flush()
    sys.stderr.flush()
    if not output_tags and _in_kernel():  # pages without tags would clear everything
        display().clear_output(wait=wait)


@contextmanager
def use_tags(tags: str | Iterable[str], append: bool = True) -> Iterator[set[str]]:
    """Tag all output of the block, which gets the tags in force."""
    new_tags = {tags} if isinstance(tags, str) else set(tags)
    before = set(_tags)
    _set_tags(before | new_tags if append else new_tags)
    try:
        yield set(_tags)
    finally:
        _set_tags(before)


def _set_tags(tags: set[str]) -> None:
    _tags.clear()
    _tags.update(tags)


@contextmanager
def temporary() -> Iterator[str]:
    """Clear the block's output at its end."""
    tag = str(uuid.uuid4())
    with use_tags(tag):
        yield tag
    clear(output_tags=tag)


@contextmanager
def redirect_to_element(selector: Any) -> Iterator[None]:
    """Put the output into this element of Colab's page. On other pages it stays where it is."""
    world().note("redirect_to_element", selector=str(selector))
    yield


def to_header_area() -> AbstractContextManager[None]:
    """Put the output above the rest."""
    return redirect_to_element("#output-header")


def to_footer_area() -> AbstractContextManager[None]:
    """Put the output below the rest."""
    return redirect_to_element("#output-footer")


def to_default_area() -> AbstractContextManager[None]:
    """Put the output where it usually goes."""
    return redirect_to_element("default")


def no_vertical_scroll() -> None:
    """Show long output without a scroll bar."""
    world().note("no_vertical_scroll")


def serve_kernel_port_as_iframe(
    port: int,
    path: str = "/",
    width: str = "100%",
    height: str = "400",
    cache_in_notebook: bool = False,
) -> None:
    """Show what a server on this machine serves, in a frame."""
    world().note("serve_kernel_port_as_iframe", port=port, path=path)
    if _in_kernel():
        display().display(
            display().IFrame(f"http://localhost:{port}{path}", width=width, height=height)
        )


def serve_kernel_port_as_window(
    port: int, path: str = "/", anchor_text: str | None = None, skip_warning: bool = False
) -> None:
    """Give a link to what a server on this machine serves."""
    if not skip_warning:
        print(
            "\x1b[31mWarning: This function may stop working due to changes in browser security.\n"
            "Try `serve_kernel_port_as_iframe` instead. \x1b[0m"
        )
    world().note("serve_kernel_port_as_window", port=port, path=path)


def enable_custom_widget_manager(version: str = "5.0.0a") -> None:
    """Let Colab's page load third parties' widgets; other pages need no permission."""
    if version not in _WIDGET_VERSIONS:
        raise ValueError(f"Unknown widgets version: {version}")
    need_kernel("display_pub")
    world().note("enable_custom_widget_manager", version=version)


def disable_custom_widget_manager() -> None:
    """Take that permission back."""
    need_kernel("display_pub")
    world().note("disable_custom_widget_manager")


def _in_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    return hasattr(ipython.get_ipython() if ipython else None, "kernel")
