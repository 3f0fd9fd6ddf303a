"""Runs inside an environment and measures on demand, so that environments can take turns.

    python worker.py PORT CONTENDER... reads contenders' names from standard input, one a line, and
    answers each with the seconds that one event took, mean over EVENTS of them.

Events are made before the clock starts; every uuid is new, since a visitor's first event is what
costs lamed most.
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
BATCH = 100
BITS = random.Random(7)
KEY = "bare:counters:button color:participate:red"

# what is measured for an event, and how events are made from new uuids
Prepare = Callable[[list[str]], list[Any]]
Contender = tuple[Callable[[Any], object], Prepare | None]


def fields(identity: str, namespace: str = "alephbet") -> dict[str, object]:
    return {
        "experiment": "button color",
        "variant": "red",
        "event": "participate",
        "uuid": identity,
        "namespace": namespace,
    }


def bare(port: int) -> Contender:
    """redis-py as it comes, on a kept connection."""
    client = redis.Redis(host="127.0.0.1", port=port)
    return lambda identity: client.pfadd(KEY, identity), None


def raw(port: int) -> Contender:
    """The floor: the same command on a socket, the answer unread but for its bytes."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = KEY.encode()
    head = b"*3\r\n$5\r\nPFADD\r\n$%d\r\n%b\r\n$36\r\n" % (len(key), key)

    def send(identity: str) -> None:
        connection.sendall(head + identity.encode() + b"\r\n")
        connection.recv(64)

    return send, None


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


def batch(port: int) -> Contender:
    """The same, BATCH events at a time."""

    def prepare(identities: list[str]) -> list[Any]:
        groups = [identities[at : at + BATCH] for at in range(0, len(identities), BATCH)]
        bodies = [json.dumps([fields(one) for one in group]) for group in groups]
        return [proxy_event("POST", body=body) for body in bodies]

    return ours(port, prepare)


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


def measure(contender: Contender) -> float:
    call, prepare = contender
    identities = [str(uuid.UUID(int=BITS.getrandbits(128))) for _ in range(EVENTS)]
    events = prepare(identities) if prepare else identities
    began = time.perf_counter()
    for event in events:
        call(event)
    return (time.perf_counter() - began) / EVENTS


def main() -> None:
    contenders = {name: globals()[name](int(sys.argv[1])) for name in sys.argv[2:]}
    for contender in contenders.values():
        measure(contender)
    print("ready", flush=True)
    for line in sys.stdin:
        print(measure(contenders[line.strip()]), flush=True)


if __name__ == "__main__":
    main()
