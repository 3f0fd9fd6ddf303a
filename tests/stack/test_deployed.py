"""The advice on each trouble with Redis that the functions or this machine may report."""

from typing import get_args

import pytest
from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError, RedisError

from gimel.backend.redis.errors import SecretError, Trouble, trouble
from gimel.config.redis import advice
from gimel.stack.deployed import REDIS_TROUBLE

ERRORS = {
    "network": ConnectionError("Connection refused"),
    "tls": ConnectionError("SSL: WRONG_VERSION_NUMBER"),
    "password": AuthenticationError("invalid username-password pair"),
    "secret": SecretError("secretsmanager answered AccessDeniedException"),
    "acl": NoPermissionError("this user has no permissions"),
    "busy": ConnectionError("service is not available"),
    "other": RedisError("anything else"),
}


def test_the_functions_troubles_have_an_advice_each() -> None:
    assert set(REDIS_TROUBLE) == set(ERRORS) == set(get_args(Trouble))


@pytest.mark.parametrize("kind", sorted(ERRORS))
def test_the_trouble_of_this_machine_has_an_advice(kind: str) -> None:
    error = ERRORS[kind]
    assert trouble(error) == kind
    assert kind == "password" or str(error) in advice(error)
