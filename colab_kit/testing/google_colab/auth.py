"""google.colab.auth: nobody is signed in; the calls are noted."""

import json
import os
from typing import Any

from . import _message
from . import errors as _errors
from . import files as _files
from . import output as _output
from ._seam import world

__all__ = ["authenticate_service_account", "authenticate_user"]

_GUIDE = (
    "https://cloud.google.com/iam/docs/creating-managing-service-account-keys"
    "#iam-service-account-keys-create-console"
)
_UPLOAD = (
    f"Upload the private key for your service account.\n\nSee the guide at {_GUIDE} for help.\n\n"
)


def authenticate_user(clear_output: bool = True, project_id: str | None = None) -> None:
    """Ask the notebook's owner to lend the account's rights."""
    if world().environ().get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        print(
            "WARNING: google.colab.auth.authenticate_user() is not supported in Colab Enterprise."
        )
        return
    world().note("authenticate_user", clear_output=clear_output, project_id=project_id)
    question = {"authType": "auth_user_ephemeral"}
    if _message.blocking_request("request_auth", question, None) is False:
        raise _errors.AuthorizationError("Failed to fetch user credentials")


def authenticate_service_account(clear_output: bool = True) -> None:
    """Ask for a service account's key, at most three times; it goes to /content/.adc/adc.json."""
    world().note("authenticate_service_account", clear_output=clear_output)
    with _output.temporary():
        print(_UPLOAD)
        for _ in range(3):
            files = _files._upload_files()
            if not files:
                return
            content = next(iter(files.values()))
            if (key := _service_key(content)) is not None:
                break
            print("Invalid credentials: please try again.\n\n")
        else:
            raise _errors.AuthorizationError("Failed to fetch user credentials")
    folder = os.path.join(os.environ.get("DATALAB_ROOT", "/"), "content/.adc/")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "adc.json"), "wb") as file:
        file.write(content)
    print("Successfully saved credentials for", key.get("client_email"))


def _service_key(content: bytes) -> dict[str, Any] | None:
    try:
        key = json.loads(content)
    except ValueError:
        return None
    return key if isinstance(key, dict) and key.get("type") == "service_account" else None
