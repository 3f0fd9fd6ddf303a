"""Tracking: events in a request, alone or in a batch, are checked, taken and answered."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from gimel.backend import wire
from gimel.backend.access import reads_are_open
from gimel.backend.counting.admission import NOT_IN_TRAFFIC, STOPPED, Ignored
from gimel.backend.limits import OWN_NAMESPACES
from gimel.backend.process import counters, flags
from gimel.backend.wire import Event, HTTPError, Response, respond

# Takes events, and returns those that do not count, with the reason, and whether it queued them
Take = Callable[[list[Event]], tuple[dict[int, str], bool]]

_ONE: dict[str, Any] = {"accepted": 1, "ignored": 0, "reasons": {}, "rejected": []}
_COUNTED = respond(_ONE)
_QUEUED = respond(_ONE | {"queued": True})


def track_one(fields: Any, is_vouched: bool, take: Take) -> Response:
    """Take an event and answer it. Raises HTTPError if it does not count and is not ignored."""
    event, why = _event_of(fields, is_vouched)
    if why:
        counters().tally([(event, why)])
    reasons, queued = ({0: why}, False) if why else take([event])
    if not reasons:
        return _QUEUED if queued else _COUNTED
    if isinstance(reasons[0], Ignored):
        return respond(_ONE | {"accepted": 0, "ignored": 1, "reasons": {reasons[0]: 1}})
    raise HTTPError(429, reasons[0])


def _event_of(fields: Any, is_vouched: bool) -> tuple[Event, Ignored | None]:
    """Return the event, and why it is ignored if it is. Raises HTTPError if it is not valid."""
    why = None
    try:
        event = wire.event_of(fields, is_vouched)
    except HTTPError as error:
        if error.field != "variant" or fields.get("variant") is not None:
            raise
        variant, why = _assigned_variant(fields, error)
        event = wire.event_of({**fields, "variant": variant}, is_vouched)
    if event.namespace in OWN_NAMESPACES and not is_vouched and not reads_are_open():
        # Otherwise a stranger could use up the room of the probe that ends a deploy.
        raise HTTPError(403, "this namespace is for Gimel's own probes", "namespace")
    return event, why


def _assigned_variant(fields: Any, missing: HTTPError) -> tuple[str, Ignored | None]:
    """Return the variant that a flag shows the visitor: a server may not know it days later.

    Also return why the event is ignored, if the visitor takes no part. Raises HTTPError if the
    visitor is missing, and `missing` if there is no flag.
    """
    flag = flags().of(wire.namespace(fields)).get(wire.name(fields, "experiment"))
    if flag is None:
        raise missing
    # The uuid cannot stand for the visitor here: a random one would count for a random variant.
    variant, reason = flag.assign(wire.name(fields, "visitor"))
    if reason == "SPLIT":
        return variant, None
    return variant, NOT_IN_TRAFFIC if reason == "DEFAULT" else STOPPED


def track_batch(items: Any, is_vouched: bool, take: Take) -> Response:
    """Take events and answer them: with an error only if none of them is accepted or ignored."""
    if len(items) > wire.MAX_BATCH:
        raise HTTPError(413, f"a batch holds at most {wire.MAX_BATCH} events", "body")
    events: list[Event] = []
    indices: list[int] = []
    errors: dict[int, HTTPError] = {}
    left_out: list[tuple[Event, Ignored]] = []
    for index, fields in enumerate(items):
        try:
            event, why = _event_of(fields, is_vouched)
        except HTTPError as error:
            errors[index] = error
            continue
        if why:
            left_out.append((event, why))
            continue
        events.append(event)
        indices.append(index)
    counters().tally(left_out)
    ignored: dict[str, int] = dict(Counter(why for _, why in left_out))
    reasons, queued = take(events)
    for position, reason in reasons.items():
        if isinstance(reason, Ignored):
            ignored[reason] = ignored.get(reason, 0) + 1
        else:
            errors[indices[position]] = HTTPError(429, reason)
    return _batch_answer(len(items), ignored, dict(sorted(errors.items())), queued=queued)


def _batch_answer(
    sent: int, ignored: dict[str, int], errors: dict[int, HTTPError], *, queued: bool
) -> Response:
    """Answer a batch: with an error's status only if no event of it is accepted or ignored."""
    answer: dict[str, Any] = {
        "accepted": sent - len(errors) - sum(ignored.values()),
        "ignored": sum(ignored.values()),
        "reasons": ignored,
        "rejected": [
            {"index": index, "error": error.error, "field": error.field}
            | ({"retry": True} if error.status == 429 else {})
            for index, error in errors.items()
        ],
    }
    if queued:
        answer["queued"] = True
    if not errors or len(errors) < sent:
        return respond(answer)
    first = next(iter(errors.values()))
    return respond(answer | {"error": first.error, "field": first.field}, first.status)
