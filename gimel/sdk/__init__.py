"""The library for Python servers: it assigns variants and sends events in the background.

    from gimel import Client

    gimel = Client("https://…/prod")
    checkout = gimel.experiment("checkout", ["one step", "two steps"])

    checkout.variant(user.id)                   # "one step" or "two steps"
    checkout.goal("order", user.id, value=49.90)

No method raises an exception or waits for the backend, except `flush` and `close`, which wait for a
time that the caller bounds. A mistake is logged by the logger `gimel`, once for each kind.

`client` computes a visitor's variant and makes the events. `sender` posts them from a thread.
"""

from gimel.sdk.client import Client, Experiment

__all__ = ["Client", "Experiment"]
