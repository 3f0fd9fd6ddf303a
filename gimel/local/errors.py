"""The error of this package."""

from gimel.backend.errors import GimelError


class LocalError(GimelError):
    """A reason why the local backend cannot start. The message says what to do."""
