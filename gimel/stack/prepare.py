"""What a deploy would do: observe the stack, build the bundle, and plan. Nothing is written."""

import secrets
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gimel.config.settings import Config
from gimel.stack.apply import Say
from gimel.stack.aws import Aws
from gimel.stack.bundle import begin
from gimel.stack.change import Change
from gimel.stack.observe import observe
from gimel.stack.observed import Seen
from gimel.stack.plan.plan import notes, plan
from gimel.stack.wanted import TAG, Names, Wanted, wanted_stack


@dataclass(frozen=True)
class Planned:
    """What a deploy would do: `key` is the read key that there is, or would be."""

    wanted: Wanted = field(repr=False)
    seen: Seen = field(repr=False)
    changes: list[Change]
    notes: list[str]


def prepare(
    config: Config,
    say: Say,
    aws: Aws,
    *,
    adopt: bool = False,
    also: Collection[str] = (),
) -> Planned:
    """Observe and plan; nothing is written. Raises AwsError and DeployError.

    `also`: read keys that are good beside the one that is kept.
    """
    names = Names(config.stack)
    say(f"looking at stack {names.stack} in {aws.region}")
    building = begin(config.runtime)
    with ThreadPoolExecutor(1) as pool:
        home = pool.submit(aws.home)
        seen = observe(aws, names, config.domain.name if config.domain else None)
    bundle = building.result()
    if not bundle.compiled:
        say(f"no {bundle.runtime} on the PATH: without bytecode, cold starts take 0.2 s longer")
    # A key that somebody else chose may be known or short.
    is_own = seen.parameter is not None and TAG in seen.parameter.tags
    kept = seen.parameter.key if seen.parameter and is_own else secrets.token_urlsafe(32)
    asked = wanted_stack(config, home.result(), kept, bundle, also)
    return Planned(asked, seen, plan(asked, seen, adopt), notes(asked, seen))
