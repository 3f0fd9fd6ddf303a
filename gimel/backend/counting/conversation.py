"""Conversations with Redis: generators that yield commands, receive the replies, return a result.

One generator shows the whole conversation about one experiment, in order. `converse` holds many of
them side by side: the next commands of all travel in one round trip.
"""

from collections.abc import Callable, Generator, Iterable
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from gimel.backend.redis.connection import Command, Connection, checked, tolerated

T = TypeVar("T")


class Query(NamedTuple):
    """Commands that read. A key of another type counts as a missing key."""

    commands: list[Command]


class Write(NamedTuple):
    """Commands that must all succeed. An error among the replies ends all conversations."""

    commands: list[Command]


class Attempt(NamedTuple):
    """Commands that Redis may refuse: an error among the replies stands for itself."""

    commands: list[Command]


Step = Query | Write | Attempt
Conversation = Generator[Step, list[Any], T]


def converse(connection: Connection, conversations: Iterable[Conversation[T]]) -> list[T]:
    """Return what the conversations return, in their order. Raises redis.RedisError.

    A command that several of them yield is sent once.
    """
    held = list(conversations)
    results: dict[int, T] = {}
    replies: dict[int, list[Any] | None] = dict.fromkeys(range(len(held)))
    while replies:
        steps: dict[int, Step] = {}
        for index, replies_to_one in replies.items():
            try:
                # The first `send` of a generator has to send None.
                steps[index] = held[index].send(replies_to_one)  # type: ignore[arg-type]
            except StopIteration as end:
                results[index] = end.value
        replies = _replies(connection, steps)
    return [results[index] for index in range(len(held))]


def _replies(connection: Connection, steps: dict[int, Step]) -> dict[int, list[Any] | None]:
    """Return the replies to each conversation's step, after one round trip at most."""
    once = list(dict.fromkeys(chain.from_iterable(step.commands for step in steps.values())))
    replies = dict(zip(once, connection.ask(once), strict=True))
    return {
        index: _checks[type(step)]([replies[command] for command in step.commands])
        for index, step in steps.items()
    }


_checks: dict[type, Callable[[list[Any]], list[Any]]] = {
    Query: tolerated,
    Write: checked,
    Attempt: list,
}
