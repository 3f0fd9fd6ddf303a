"""Runs inside an environment and measures on demand, so that environments can take turns.

`python worker.py PORT CONTENDER...` reads contenders' names from standard input, one a line. It
answers each with the seconds of one event, the mean over EVENTS of them, or with those of one read.
`batch:100` names a contender and its argument.

Events are made before the clock starts. Every uuid is new: the first event of a visitor costs lamed
most.
"""

import json
import os
import random
import socket
import sys
import time
import uuid
from collections.abc import Callable
from types import ModuleType
from typing import Any

import redis

EVENTS = 1000
BITS = random.Random(7)
# Of 64 shards, as ours has: a HyperLogLog that is dense already takes Redis less time.
KEYS = [f"bare:counters:button color:participate:red#{shard}" for shard in range(64)]

# what is measured for an event, and how events are made from new uuids
Prepare = Callable[[list[str]], list[Any]]
Contender = tuple[Callable[[Any], object], Prepare]
Reader = Callable[[], object]


def fields(identity: str, namespace: str = "alephbet") -> dict[str, object]:
    return {
        "experiment": "button color",
        "variant": "red",
        "event": "participate",
        "uuid": identity,
        "namespace": namespace,
    }


def in_shards(identities: list[str]) -> list[Any]:
    """Each with the key of a shard."""
    return [(KEYS[place % len(KEYS)], one) for place, one in enumerate(identities)]


def bare(port: int) -> Contender:
    """redis-py as it comes, on a kept connection."""
    client = redis.Redis(host="127.0.0.1", port=port)
    return lambda addition: client.pfadd(*addition), in_shards


def raw(port: int) -> Contender:
    """The floor: the same command on a socket, the answer unread but for its bytes."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(command: bytes) -> None:
        connection.sendall(command)
        connection.recv(64)

    def pack(identities: list[str]) -> list[Any]:
        return [
            f"*3\r\n$5\r\nPFADD\r\n${len(key)}\r\n{key}\r\n$36\r\n{one}\r\n".encode()
            for key, one in in_shards(identities)
        ]

    return send, pack


def proxy_event(method: str, query: str = "", body: str | None = None) -> dict[str, object]:
    return {
        "version": "2.0",
        "routeKey": f"{method} /e",
        "rawPath": "/e",
        "rawQueryString": query,
        "headers": {"host": "example.org", "user-agent": "Mozilla/5.0"},
        "requestContext": {"http": {"method": method, "path": "/e"}},
        "body": body,
        "isBase64Encoded": False,
    }


def ours(port: int, prepare: Prepare) -> Contender:
    os.environ["GIMEL_REDIS_URL"] = f"redis://127.0.0.1:{port}"
    from gimel import gimel

    def call(event: Any) -> None:
        if gimel.track(event)["statusCode"] != 200:
            raise SystemExit("an event was refused")

    return call, prepare


def track(port: int) -> Contender:
    """Gimel's handler, from API Gateway's event to the answer."""
    query = "experiment=button+color&uuid=%s&variant=red&event=participate&namespace=alephbet"
    return ours(port, lambda identities: [proxy_event("GET", query % one) for one in identities])


def batch(port: int, size: str) -> Contender:
    """The same, so many events at a time."""

    def prepare(identities: list[str]) -> list[Any]:
        groups = [identities[at : at + int(size)] for at in range(0, EVENTS, int(size))]
        bodies = [json.dumps([fields(one) for one in group]) for group in groups]
        return [proxy_event("POST", body=body) for body in bodies]

    return ours(port, prepare)


def amount(port: int, percent: str) -> Contender:
    """An event with an amount, so many percent of its goal's cap, and so as many elements."""
    os.environ["GIMEL_KEY_SHA256"] = "none"
    query = "experiment=amounts&uuid=%s&visitor=%s&variant=red&event=revenue&value={}"
    contender = ours(
        port, lambda ids: [proxy_event("GET", query.format(percent) % (one, one)) for one in ids]
    )
    from gimel import gimel

    definition = {
        "variants": [{"name": "red"}, {"name": "blue"}],
        "goals": [{"name": "revenue", "kind": "value", "cap": 100}],
    }
    declared = gimel.declare(proxy_event("PUT", "experiment=amounts", json.dumps(definition)))
    assert declared["statusCode"] == 200, declared["body"]
    return contender


def flat(module: ModuleType) -> Contender:
    """A handler of gimel 1.x or lamed: API Gateway's template gives it bare fields."""
    return (
        lambda event: module.track(event, None),
        lambda identities: [fields(one, module.__name__) for one in identities],
    )


def gimel_1(port: int) -> Contender:
    from gimel import gimel

    return flat(gimel)


def lamed(port: int) -> Contender:
    from lamed import lamed as module  # type: ignore[import-not-found]

    return flat(module)


def reading(port: int) -> None:
    os.environ["GIMEL_REDIS_URL"] = f"redis://127.0.0.1:{port}"
    os.environ["GIMEL_KEY_SHA256"] = "none"


def reads(port: int, namespace: str) -> Reader:
    """Gimel's `/experiments`."""
    reading(port)
    from gimel import gimel

    return lambda: gimel.all(proxy_event("GET", f"namespace={namespace.replace(' ', '+')}"))


def counts(port: int, namespace: str) -> Reader:
    """The same without inference."""
    reading(port)
    from gimel.backend import process

    return lambda: process.counters().read(namespace)


def reads_1(port: int) -> Reader:
    """gimel 1.5.0's `all`."""
    from gimel import gimel

    return lambda: gimel.all({"namespace": "one"}, None)


def measure(contender: Contender | Reader) -> float:
    if callable(contender):
        began = time.perf_counter()
        contender()
        return time.perf_counter() - began
    call, prepare = contender
    identities = [str(uuid.UUID(int=BITS.getrandbits(128))) for _ in range(EVENTS)]
    events = prepare(identities)
    began = time.perf_counter()
    for event in events:
        call(event)
    return (time.perf_counter() - began) / EVENTS


def main() -> None:
    contenders = {}
    for name in sys.argv[2:]:
        kind, *given = name.split(":")
        contenders[name] = globals()[kind](int(sys.argv[1]), *given)
    for contender in contenders.values():
        measure(contender)
    print("ready", flush=True)
    for line in sys.stdin:
        print(measure(contenders[line.strip()]), flush=True)


if __name__ == "__main__":
    main()
