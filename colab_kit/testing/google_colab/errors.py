"""Exceptions of google.colab, with its bases."""


class Error(Exception):
    """Base of google.colab's own errors."""


class AuthorizationError(Error):
    """The account could not be authorized."""


class RuntimeManagementError(Error):
    """The machine's manager was not found, or refused."""


class WidgetException(Exception):
    """A widget was used wrongly. On Colab it is no Error either."""
