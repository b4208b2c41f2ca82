"""google.colab.ai: Google's language models; none is here, so an answer is planned or refused."""

from collections.abc import Callable, Iterator
from typing import Any

from . import errors as _errors
from . import runtime as _runtime
from ._seam import world

if not _runtime._IS_EXTERNAL_COLAB:
    raise ImportError("google.colab.ai is only supported in external Colab.")

__all__ = ["generate_text", "list_models", "ModelProxyServiceError"]


class ModelProxyServiceError(Exception):
    """The service of the models gave an answer that cannot be read."""


def generate_text(
    prompt: str, model_name: str = "google/gemini-2.5-flash", stream: bool = False
) -> str | Iterator[str]:
    """Let a model answer; its text, or with stream=True its pieces.

    On Colab a model of Google's answers. Here it is answers["generate_text"]: a text, a function of
    (prompt, model_name), or an exception.
    """
    if not prompt:
        raise ValueError("Prompt cannot be empty.")
    if not isinstance(prompt, str):
        raise ValueError("Prompt must be a string.")
    text: str = _ask("generate_text", lambda answer: answer(prompt, model_name), '"a text"')
    return iter(text.splitlines(keepends=True)) if stream else text


def list_models() -> list[str]:
    """The models' names; here answers["list_models"]."""
    models = _ask("list_models", lambda answer: answer(), '["google/gemini-2.5-flash"]')
    return [str(model) for model in models]


def _ask(call: str, ask: Callable[[Any], Any], example: str) -> Any:
    if not _runtime._IS_EXTERNAL_COLAB:
        raise _errors.RuntimeManagementError("This operation is only supported in external Colab.")
    answer = world().service(call, f"google.colab.ai.{call}() asks a model of Google's", example)
    if isinstance(answer, BaseException):
        raise answer
    return ask(answer) if callable(answer) else answer
