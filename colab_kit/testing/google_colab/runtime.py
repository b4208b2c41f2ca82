"""google.colab.runtime: giving the machine back."""

from . import _message
from . import errors as _errors
from . import output as _output
from ._seam import world

__all__ = ["unassign"]

_IS_EXTERNAL_COLAB = True


def unassign() -> None:
    """Give the machine back, and all of /content with it. The stand-in keeps the files."""
    if not _IS_EXTERNAL_COLAB:
        raise _errors.RuntimeManagementError("This operation is only supported in external Colab.")
    if not world().environ().get("TBE_RUNTIME_ADDR"):
        raise _errors.RuntimeManagementError("Unable to find the runtime management service.")
    reply = world().ask("unassign", {}, None) or {}
    if reply.get("data") != 200:  # the service's HTTP status
        raise _errors.RuntimeManagementError("Unable to request VM unassignment.")
    try:
        _output.eval_js("google.colab.kernel.disconnect();", ignore_result=True)
    except _message.MessageError:
        pass
    world().stop()
