"""Ears for tests: a callback that remembers, and a sleep that counts instead of waiting."""

from __future__ import annotations

from typing import TypeVar

from ..events import Event, Note

E = TypeVar("E", bound=Event)


class Heard:
    """A callback that keeps what it hears: `kit.train(..., callbacks=[heard], quiet=True)`.

    Examples
    --------
    >>> heard = Heard()
    >>> heard(Note("Drive is full."))
    >>> heard.text, len(heard.of(Note))
    ('Drive is full.', 1)
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in the order they came."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def notes(self) -> list[Note]:
        return self.of(Note)

    @property
    def text(self) -> str:
        """What the notes say, a line or more each."""
        return "\n".join(note.text for note in self.notes)


class Waits(list[float]):
    """A sleep that counts and does not wait."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)
