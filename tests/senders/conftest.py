"""A site with pages to test."""

from collections.abc import Iterator

import pytest

from tests.support.shop import Shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()
