"""The preparation of a deploy, which changes nothing: observe, build the bundle, and plan."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gimel.config.settings import Config
from gimel.stack.aws import Aws
from gimel.stack.bundle import build_in_background
from gimel.stack.change import Change
from gimel.stack.keys import Key, new_value
from gimel.stack.observe.observe import observe
from gimel.stack.observed import Observed
from gimel.stack.plan.plan import notes, plan
from gimel.stack.progress import Say, step
from gimel.stack.wanted import TAG, Names, Wanted, wanted_stack


@dataclass(frozen=True)
class Planned:
    """A deploy that is planned and not made: both stacks, the changes, and notes for the user."""

    wanted: Wanted = field(repr=False)
    observed: Observed = field(repr=False)
    changes: list[Change]
    notes: list[str]


def prepare(
    config: Config,
    say: Say,
    aws: Aws,
    *,
    adopt: bool = False,
    extra_keys: Collection[Key] = (),
) -> Planned:
    """Observe the stack and plan its changes. Raises AwsError and DeployError.

    `adopt` takes over resources that bear the stack's names but no tag. The functions accept
    `extra_keys` besides the keys of the Parameter Store.
    """
    names = Names(config.stack)
    with step(say, f"looking at stack {names.stack} in {aws.region}"):
        building = build_in_background(config.runtime)
        with ThreadPoolExecutor(1) as pool:
            home = pool.submit(aws.home)
            observed = observe(aws, names, config.domain.name if config.domain else None)
        bundle = building.result()
    if not bundle.compiled:
        say(f"no {bundle.runtime} on the PATH: without bytecode, cold starts take 0.2 s longer")
    keys = (*observed.keys, *extra_keys)
    main, address = _main_key(observed), observed.cache_address
    wanted = wanted_stack(config, home.result(), main, bundle, keys, address)
    return Planned(wanted, observed, plan(wanted, observed, adopt), notes(wanted, observed))


def _main_key(observed: Observed) -> str:
    """Return the stack's main key, or a new one.

    A key without a stack's tag is not used. The stack did not create it, so it may be short, or
    known to others.
    """
    if observed.parameter is not None and TAG in observed.parameter.tags:
        return observed.parameter.key
    return new_value()
