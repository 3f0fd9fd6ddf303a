"""Tags, in the form in which most of AWS's services list them."""

from collections.abc import Mapping


def tags_of(listed: list[Mapping[str, str]] | None) -> dict[str, str]:
    """Return the tags by name."""
    return {tag["Key"]: tag["Value"] for tag in listed or []}
