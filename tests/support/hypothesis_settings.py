"""Settings for Hypothesis: a profile for all tests, and what a test on one server needs."""

from hypothesis import HealthCheck, settings

# How long an example takes tells how busy the machine is, and nothing about the code.
settings.register_profile("gimel", deadline=None, suppress_health_check=[HealthCheck.too_slow])

# One server is kept for all examples: the test empties it before each.
on_one_server = settings(
    settings.get_profile("gimel"),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    derandomize=True,
    max_examples=60,
)
