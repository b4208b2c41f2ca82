"""google.colab.snippets: further snippets for Colab's page."""

from . import _message

__all__ = ["register"]


def register(url: str) -> None:
    """Add the snippets of the notebook at url."""
    _message.blocking_request("register_snippets", {"url": url})
