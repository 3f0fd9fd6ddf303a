"""The client of a backend, deployed or local: the wire's routes as methods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from gimel.backend.errors import GimelError
from gimel.backend.wire import DEFAULT_NAMESPACE

# Seconds to connect, and to wait for an answer: API Gateway gives up after 30.
_TIMEOUT = (5.0, 30.0)


class BackendError(GimelError):
    """The backend did not do what it was asked; the message is one line.

    `status` is the HTTP status, None where there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Backend:
    """Where a backend is: its URL, its read key (may be empty), and the path that takes events."""

    url: str
    key: str = field(repr=False)
    event_path: str = "e"


class Client:
    """A backend at a URL (its routes' common start). All its methods raise BackendError."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._headers = {"x-api-key": key} if key else {}

    def track(
        self,
        experiment: str,
        variant: str,
        event: str,
        uuid: str,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> bool:
        """Send one event, as AlephBet does. Returns whether it waits for Redis to be back."""
        answer = self._ask(
            "GET",
            "/e",
            answers="accepted",
            namespace=namespace,
            experiment=experiment,
            variant=variant,
            event=event,
            uuid=uuid,
        )
        return "queued" in answer

    def experiments(
        self, namespace: str = DEFAULT_NAMESPACE, scope: str | None = None
    ) -> list[dict[str, Any]]:
        """All experiments of the namespace, or those of the comma-separated scope."""
        answer = self._ask("GET", "/experiments", answers="meta", namespace=namespace, scope=scope)
        found: list[dict[str, Any]] = answer[1:]  # the first item tells the scope
        return found

    def namespaces(self) -> list[str]:
        """The namespaces that hold experiments."""
        answer = self._ask("GET", "/experiments", answers="meta", scope=None)
        found: list[str] = answer[0]["meta"]["namespaces"]
        return found

    def experiment(self, name: str, namespace: str = DEFAULT_NAMESPACE) -> dict[str, Any]:
        """One experiment. BackendError with status 404 if there is none of that name."""
        found: dict[str, Any] = self._ask(
            "GET", "/experiment", answers="experiment", namespace=namespace, experiment=name
        )
        return found

    def read(self, name: str | None, namespace: str = DEFAULT_NAMESPACE) -> list[dict[str, Any]]:
        """The named experiment, or all of the namespace."""
        return self.experiments(namespace) if name is None else [self.experiment(name, namespace)]

    def configure(
        self, name: str, settings: Mapping[str, Any], namespace: str = DEFAULT_NAMESPACE
    ) -> dict[str, Any]:
        """Change fields of an experiment's definition. Return the experiment as it is then."""
        found: dict[str, Any] = self._ask(
            "POST",
            "/settings",
            settings,
            answers="experiment",
            namespace=namespace,
            experiment=name,
        )
        return found

    def delete(
        self, name: str, namespace: str = DEFAULT_NAMESPACE, *, forget: bool = False
    ) -> bool:
        """Delete an experiment. Returns whether there was anything to delete.

        Its late events count no more; with `forget`, the name may be used anew.
        """
        flag = "1" if forget else None
        fields = {"namespace": namespace, "experiment": name, "forget": flag}
        answer = self._ask("DELETE", "/delete", answers="deleted", **fields)
        return bool(answer["deleted"])

    def _ask(
        self, method: str, path: str, body: Any = None, /, *, answers: str, **fields: str | None
    ) -> Any:
        """The answer's JSON: an object that holds the key `answers`, or a list that begins so."""
        answer = self._send(method, path, body, fields)
        if answer.status_code != 200:
            raise BackendError(_complaint(answer), answer.status_code)
        try:
            said = answer.json()
        except requests.JSONDecodeError:
            raise BackendError(f"{self.url} is no Gimel: its answer is not JSON", 200) from None
        first = said[0] if isinstance(said, list) and said else said
        if not isinstance(first, dict) or answers not in first:
            raise BackendError(f"{self.url} is no Gimel: its answer holds no {answers}", 200)
        return said

    def _send(
        self, method: str, path: str, body: Any, fields: Mapping[str, str | None]
    ) -> requests.Response:
        try:
            return requests.request(
                method,
                self.url + path,
                params=fields,
                json=body,
                headers=self._headers,
                timeout=_TIMEOUT,
            )
        except UnicodeError:
            # A name that is not UTF-8 on the command line, or a key beyond Latin-1.
            raise BackendError("a name, or the key, holds characters that cannot be sent") from None
        except requests.exceptions.InvalidJSONError:
            raise BackendError("not every number given is finite") from None
        except requests.Timeout:
            raise BackendError(f"{self.url} does not answer in time") from None
        except requests.RequestException as error:
            reason = type(error).__name__
            raise BackendError(f"{self.url} cannot be reached ({reason})") from None


def _complaint(answer: requests.Response) -> str:
    """What a backend that refused said, in a line."""
    try:
        said = answer.json()
    except requests.JSONDecodeError:
        said = None
    # API Gateway's own errors hold "message", Gimel's "error".
    if isinstance(said, dict):
        said = said.get("error") or said.get("message")
    reason = " ".join(str(said or answer.reason).split())
    return f"the backend answered {answer.status_code}: {reason}"
