"""The classes that programs use: a client, and its experiments with their variants and goals."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.experiment.assignment import assigned_variant, takes_part
from gimel.backend.wire import DEFAULT_NAMESPACE, event_of, is_amount
from gimel.backend.wire import name as name_in
from gimel.sdk.sender import EXIT_SECONDS, Sender, warn

Id = str | int | UUID

# Participations that a process remembers, in about 4 MB
_MAX_REMEMBERED = 50_000


class Client:
    """A sender of events to one backend. A process needs one, which its threads share.

    `url` is the backend's address, as `gimel deploy` and `gimel local` print it, with or without
    the `/e` at its end. Without a `url`, variants are assigned and nothing is sent, as tests need.
    `key` vouches for the events, for goals that count only events from a server; the scope `send`
    is enough (`gimel key create --scope send`). `timeout` is how many seconds the backend may take
    to answer the background thread. `max_waiting` bounds the unsent events in memory.
    """

    def __init__(
        self,
        url: str | None,
        *,
        key: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        timeout: float = 5.0,
        max_waiting: int = 10_000,
    ) -> None:
        if url and not url.startswith(("https://", "http://")):
            raise ValueError("the address of the backend must start with https:// or http://")
        self._namespace = namespace
        self._experiments: dict[str, Experiment] = {}
        # Hashes of experiments, variants and visitors whose participation was sent
        self._remembered: set[int] = set()
        # If an event does not count, it may be a participation: then each is sent again.
        self._sender = Sender(url, key, timeout, max_waiting, self._remembered.clear)

    def experiment(
        self,
        name: str,
        variants: Iterable[str] | Mapping[str, float],
        *,
        traffic: float = 1.0,
    ) -> "Experiment":
        """Return an experiment, to be asked for variants. Call this once, where the program starts.

        `variants` are names, or names with weights. The first one is the baseline. `traffic` is the
        share of visitors that take part, from 0 to 1.
        """
        found = Experiment(self, name, _weights(variants), traffic)
        # What is wrong is logged when the experiment is used.
        if isinstance(name, str):
            self._experiments[name] = found
        return found

    def variant(
        self,
        experiment: str,
        variants: Iterable[str] | Mapping[str, float],
        visitor: Id,
        *,
        traffic: float = 1.0,
    ) -> str:
        """Return the variant to show, and count the visitor's participation.

        A visitor always gets the same variant, the one that gimel.js shows to the same id. Visitors
        outside of `traffic`, and ids that cannot be counted, get the first variant, and nothing is
        sent.
        """
        return self.experiment(experiment, variants, traffic=traffic).variant(visitor)

    def goal(
        self,
        name: str,
        visitor: Id,
        *,
        value: float | None = None,
        experiment: str | None = None,
        uuid: Id | None = None,
    ) -> None:
        """Count a goal for each experiment that was passed to `experiment` or `variant` before.

        Call it only for visitors who may have been shown a variant: any other visitor would be a
        conversion without a participation. `experiment` limits the goal to this one experiment.
        `value` is the amount, for a goal that measures one. `uuid` is the event's id, such as an
        order's number, if the same event may be reported twice; a goal of the kind `total` or
        `value` then counts it once.
        """
        experiments = [
            each for each in list(self._experiments.values()) if experiment in (None, each.name)
        ]
        if not experiments:
            warn("a goal was not sent: declare its experiment first, with Client.experiment()")
        for each in experiments:
            each.goal(name, visitor, value=value, uuid=uuid)

    @property
    def dropped(self) -> int:
        """The events that this process gave up, because too many waited or they cannot count."""
        return self._sender.dropped

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until every event is sent, at most `timeout` seconds. Return whether it is."""
        return self._sender.flush(timeout)

    def close(self, timeout: float = EXIT_SECONDS) -> bool:
        """Flush, and send nothing more. Python calls it at its exit. Return what `flush` does."""
        return self._sender.close(timeout)

    def _send(self, fields: dict[str, Any]) -> bool:
        """Let an event wait to be sent. Return whether it does. Raises HTTPError if it is wrong."""
        event_of(fields)
        return self._sender.put(json.dumps(fields, ensure_ascii=False, allow_nan=False).encode())


@dataclass(frozen=True)
class Experiment:
    """An experiment as this server runs it. `Client.experiment` makes it."""

    client: Client
    name: str
    weights: Mapping[str, float]
    traffic: float

    def variant(self, visitor: Id) -> str:
        """Return the variant to show, and count the participation. See `Client.variant`."""
        try:
            event = self._event(PARTICIPATE, visitor)
            return self._participate(event) if event else self._baseline
        except Exception as error:
            warn(f"the baseline was shown instead of a variant: {error}")
            return self._baseline

    def goal(
        self,
        name: str,
        visitor: Id,
        *,
        value: float | None = None,
        uuid: Id | None = None,
    ) -> None:
        """Count a goal for a visitor who may have been shown a variant. See `Client.goal`."""
        try:
            event = self._event(name, visitor)
            if event:
                amount = {} if value is None else {"value": float(value)}
                own_id = uuid4() if uuid in (None, "") else uuid
                self.client._send(event | amount | {"uuid": _text(own_id)})
        except Exception as error:
            warn(f"a goal was not sent: {error}")

    @property
    def _baseline(self) -> str:
        return next(iter(self.weights), "")

    def _event(self, goal: str, visitor: Id) -> dict[str, Any] | None:
        """Return an event of the visitor's variant, None if the visitor does not take part.

        Raises ValueError or HTTPError if it could not be counted.
        """
        if not all(map(is_amount, self.weights.values())) or not any(self.weights.values()):
            raise ValueError("an experiment needs variants, with weights above 0")
        names = {"experiment": self.name, "visitor": _text(visitor)}
        experiment, visitor = (name_in(names, field) for field in names)
        if not takes_part(experiment, visitor, self.traffic):
            return None
        return {
            **names,
            "namespace": self.client._namespace,
            "variant": assigned_variant(experiment, visitor, self.weights),
            "event": goal,
            "uuid": visitor,
        }

    def _participate(self, event: dict[str, Any]) -> str:
        """Send a participation, unless this process has done so. Return the variant."""
        variant: str = event["variant"]
        remembered = self.client._remembered
        key = hash((self.name, variant, event["visitor"]))
        if key not in remembered and self.client._send(event):
            if len(remembered) >= _MAX_REMEMBERED:
                # What is sent again counts once.
                remembered.clear()
            remembered.add(key)
        return variant


def _text(value: Id) -> Any:
    """Return an id as text. Any other value stays as it is, and is refused later."""
    # A bool is an int too.
    is_id = isinstance(value, int | UUID) and not isinstance(value, bool)
    return str(value) if is_id else value


def _weights(variants: Iterable[str] | Mapping[str, float]) -> dict[str, float]:
    """Return each variant's weight; {} if the argument holds no variants."""
    if isinstance(variants, Mapping):
        return dict(variants)
    try:
        # A string would be its letters.
        return {} if isinstance(variants, str) else dict.fromkeys(variants, 1.0)
    except TypeError:
        return {}
