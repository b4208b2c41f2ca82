"""Where a file comes from: its address, and the one that the redirects led to, which is asked directly until it expires."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import NotFound, Private
from ..system.http import Reply, Web, same_origin

CONNECTIONS = 8


class Source:
    """An address, how to be let in, and how many connections the server allows: 1 where it is no more, as Drive.

    token : what Authorization says; it goes to the address's own host alone
    """

    def __init__(
        self, url: str, token: str | None = None, *, connections: int = CONNECTIONS
    ) -> None:
        self.url, self.token, self.connections = url, token, connections
        self._direct = ""

    def ask(self, web: Web, headers: Mapping[str, str], accept: tuple[int, ...]) -> Reply:
        """Ask for it, or for the part that `headers` name.

        Raises
        ------
        FetchError
        """
        if direct := self._direct:
            try:
                return web.ask(
                    direct,
                    headers=headers,
                    token=self.token if same_origin(direct, self.url) else None,
                    accept=accept,
                )
            except (Private, NotFound):  # signed addresses expire
                self._direct = ""
        reply = web.ask(self.url, headers=headers, token=self.token, accept=accept)
        self._direct = "" if reply.url == self.url else reply.url
        return reply
