"""google.colab.userdata: the secrets of the notebook's owner."""

import threading

from . import _message, errors

_lock = threading.Lock()  # questions to the page are not thread-safe


class NotebookAccessError(Exception):
    """The notebook may not read this secret. On Colab it is no errors.Error either."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Notebook does not have access to secret {key}")


class SecretNotFoundError(errors.Error):
    """There is no such secret."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Secret {key} does not exist.")


class TimeoutException(errors.Error):
    """The page did not answer."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Requesting secret {key} timed out."
            " Secrets can only be fetched when running from the Colab UI."
        )


def get(key: str) -> str:
    """Return the secret's value. Threads can call it."""
    if not key or not isinstance(key, str):
        raise ValueError("Please enter a valid secret name")
    if any(letter.isspace() for letter in key):
        raise ValueError("Secret name cannot contain spaces or whitespace")
    with _lock:
        reply = _message.blocking_request("GetSecret", request={"key": key}, timeout_sec=10)
    if reply is None:
        raise TimeoutException(key)
    if not reply.get("exists", False):
        raise SecretNotFoundError(key)
    if not reply.get("access", False):
        raise NotebookAccessError(key)
    return str(reply.get("payload", ""))
