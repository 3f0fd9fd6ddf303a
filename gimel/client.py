"""The client of a backend, deployed or local: each route is a method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from gimel.backend.errors import GimelError
from gimel.backend.queue import Backlog, Pile
from gimel.backend.wire import DEFAULT_NAMESPACE

# Seconds to connect, and to wait for an answer. API Gateway gives up after 30.
_TIMEOUT = (5.0, 30.0)
# Experiments in one answer. Strangers may have filled them: ten whole ones then take seconds
# (docs/scaling.md).
_SUMMARIES_PER_PAGE = 100
_EXPERIMENTS_PER_PAGE = 10


class BackendError(GimelError):
    """A request that failed. The message is one line.

    `status` is the HTTP status, or None if there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Backend:
    """The addresses of a backend, and its key (may be empty).

    Gimel's commands send their requests to `url`. People and pages use the addresses with the
    custom domain name, if there is one: it works as soon as its DNS record exists. Events go
    through the function URL, if there is one.
    """

    url: str
    key: str = field(repr=False)
    event_path: str = "e"
    domain: str | None = None
    function_url: str | None = None

    @property
    def page_url(self) -> str:
        """The URL for people and pages. The mapping of a domain name has no path and no stage."""
        return f"https://{self.domain}" if self.domain else self.url

    @property
    def events_base(self) -> str:
        """The URL that pages send events to, without the path."""
        return self.function_url or self.page_url

    @property
    def events_url(self) -> str:
        """The URL that pages send events to."""
        return f"{self.events_base}/{self.event_path}"

    @property
    def dashboard_url(self) -> str:
        """The URL of the dashboard, without the key."""
        return f"{self.page_url}/dashboard"


class BackendClient:
    """A client of the backend at a URL. All methods raise BackendError.

    Events go through the function URL, if it is given.
    """

    def __init__(self, url: str, key: str | None = None, function_url: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._headers = {"x-api-key": key} if key else {}
        self._for_events = BackendClient(function_url, key) if function_url else self

    def track(
        self,
        experiment: str,
        variant: str,
        event: str,
        uuid: str,
        namespace: str = DEFAULT_NAMESPACE,
        visitor: str | None = None,
        value: float | None = None,
    ) -> dict[str, Any]:
        """Send one event, as AlephBet does. Return the answer.

        In it, `queued` says that the event waits for Redis, and `reasons` why it does not count.
        `visitor` names whose event it is; without it, the uuid stands for the visitor.
        `value` is the amount, for a goal that measures one.
        """
        answer: dict[str, Any] = self._for_events._request(
            "GET",
            "/e",
            expected_key="accepted",
            namespace=namespace,
            experiment=experiment,
            variant=variant,
            event=event,
            uuid=uuid,
            visitor=visitor,
            value=None if value is None else repr(float(value)),
        )
        return answer

    def send(self, events: Sequence[Mapping[str, Any]]) -> int:
        """Send up to 500 events in one request. Return how many of them are ignored.

        Raises BackendError if any is rejected.
        """
        answer = self._for_events._request("POST", "/e", events, expected_key="accepted")
        if answer["rejected"]:
            first = answer["rejected"][0]["error"]
            number = f"{len(answer['rejected'])} of {len(events)} events"
            raise BackendError(f"the backend rejected {number}: {first}")
        ignored: int = answer["ignored"]
        return ignored

    def experiments(
        self,
        namespace: str = DEFAULT_NAMESPACE,
        scope: str | None = None,
        view: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return all experiments of the namespace, or those of the comma-separated scope.

        The view "summary" has the primary goals of each and no other goal. Without a scope, the
        experiments are requested in pages, so that each request takes a bounded time.
        """
        per_page = _SUMMARIES_PER_PAGE if view == "summary" else _EXPERIMENTS_PER_PAGE
        fields = {"namespace": namespace, "scope": scope, "view": view}
        if not scope:
            fields["limit"] = str(per_page)
        experiments: list[dict[str, Any]] = []
        while True:
            answer = self._request("GET", "/experiments", expected_key="meta", **fields)
            experiments += answer[1:]
            # An earlier version has no pages: its answer holds everything.
            fields["after"] = answer[0]["meta"].get("next")
            if fields["after"] is None:
                return experiments

    def namespaces(self) -> list[str]:
        """Return the namespaces that hold experiments."""
        namespaces: list[str] = self._meta()["namespaces"]
        return namespaces

    def backlog(self) -> Backlog | None:
        """Return what is not counted yet. None if the backend has no queue, or it does not say."""
        return backlog_in(self._meta())

    def _meta(self) -> dict[str, Any]:
        fields = {"view": "summary", "limit": "1"}
        answer = self._request("GET", "/experiments", expected_key="meta", **fields)
        meta: dict[str, Any] = answer[0]["meta"]
        return meta

    def experiment(self, name: str, namespace: str = DEFAULT_NAMESPACE) -> dict[str, Any]:
        """Return one experiment. If there is none, the BackendError has the status 404."""
        experiment: dict[str, Any] = self._request(
            "GET", "/experiment", expected_key="experiment", namespace=namespace, experiment=name
        )
        return experiment

    def history(
        self, name: str, namespace: str = DEFAULT_NAMESPACE, goal: str | None = None
    ) -> dict[str, Any]:
        """Return the results of a goal at past times: the primary goal, if none is named."""
        history: dict[str, Any] = self._request(
            "GET",
            "/history",
            expected_key="snapshots",
            namespace=namespace,
            experiment=name,
            goal=goal,
        )
        return history

    def read(self, name: str | None, namespace: str = DEFAULT_NAMESPACE) -> list[dict[str, Any]]:
        """Return the named experiment, or all experiments of the namespace."""
        return self.experiments(namespace) if name is None else [self.experiment(name, namespace)]

    def declare(
        self, name: str, definition: Mapping[str, Any], namespace: str = DEFAULT_NAMESPACE
    ) -> dict[str, Any]:
        """Declare an experiment, or change its definition. Return the experiment.

        If the change is not allowed after the first event, the BackendError has the status 409.
        """
        experiment: dict[str, Any] = self._request(
            "PUT",
            "/experiment",
            definition,
            expected_key="experiment",
            namespace=namespace,
            experiment=name,
        )
        return experiment

    def configure(
        self, name: str, settings: Mapping[str, Any], namespace: str = DEFAULT_NAMESPACE
    ) -> dict[str, Any]:
        """Change settings of an experiment. Return the experiment with the new settings."""
        experiment: dict[str, Any] = self._request(
            "POST",
            "/settings",
            settings,
            expected_key="experiment",
            namespace=namespace,
            experiment=name,
        )
        return experiment

    def delete(
        self, name: str, namespace: str = DEFAULT_NAMESPACE, *, forget: bool = False
    ) -> bool:
        """Delete an experiment. Return whether there was anything to delete.

        Late events of the experiment are not counted. With `forget` they create it again.
        """
        flag = "1" if forget else None
        fields = {"namespace": namespace, "experiment": name, "forget": flag}
        answer = self._request("DELETE", "/delete", expected_key="deleted", **fields)
        return bool(answer["deleted"])

    def delete_part(
        self,
        name: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        goal: str | None = None,
        variant: str | None = None,
    ) -> dict[str, Any]:
        """Delete the counts of one goal or variant of an experiment. Return the answer.

        Its `deleted` says whether there were any, and its `note` what later events do.
        """
        if "health" not in self.experiment(name, namespace):
            reason = "the backend is of an earlier version, which would delete the whole experiment"
            raise BackendError(f"{reason}: `gimel deploy` it first")
        fields = {"namespace": namespace, "experiment": name, "goal": goal, "variant": variant}
        answer: dict[str, Any] = self._request("DELETE", "/delete", expected_key="note", **fields)
        return answer

    def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        /,
        *,
        expected_key: str,
        **fields: str | None,
    ) -> Any:
        """Return the JSON of the answer: an object with the key, or a list that starts with one."""
        answer = self._send(method, path, body, fields)
        if answer.status_code != 200:
            raise BackendError(_describe_error(answer), answer.status_code)
        try:
            content = answer.json()
        except requests.JSONDecodeError:
            raise BackendError(
                f"{self.url} is not a Gimel backend: its answer is not JSON", 200
            ) from None
        first = content[0] if isinstance(content, list) and content else content
        if not isinstance(first, dict) or expected_key not in first:
            raise BackendError(
                f"{self.url} is not a Gimel backend: its answer has no {expected_key}", 200
            )
        return content

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
                # A redirect would take the key to another server, and turn a change into a GET.
                allow_redirects=False,
            )
        except UnicodeError:
            # A name that was not UTF-8 on the command line, or a key with non-Latin-1 characters
            raise BackendError(
                "a name or the key contains characters that cannot be sent"
            ) from None
        except requests.exceptions.InvalidJSONError:
            raise BackendError("every number must be finite") from None
        except requests.Timeout:
            raise BackendError(f"{self.url} does not answer in time: try again") from None
        # urllib3 raises a ValueError of its own for some names of hosts.
        except (requests.RequestException, ValueError) as error:
            reason = type(error).__name__
            raise BackendError(
                f"{self.url} cannot be reached ({reason}): check the URL and the network connection"
            ) from None


def backlog_in(answer: Mapping[str, Any]) -> Backlog | None:
    """Return what is not counted yet, from the fields of a `meta` or of one experiment."""
    waiting, set_aside = answer.get("waiting"), answer.get("set_aside")
    return Backlog(Pile(**waiting), Pile(**set_aside)) if waiting and set_aside else None


def _describe_error(answer: requests.Response) -> str:
    """Return one line on an answer that is an error."""
    if answer.is_redirect:
        return f"the URL redirects to {answer.headers['location']}: use that address"
    try:
        content = answer.json()
    except requests.JSONDecodeError:
        content = None
    field = None
    # Gimel's errors have "error", API Gateway's own "message", a function URL's own "Message".
    if isinstance(content, dict):
        field = content.get("field")
        content = content.get("error") or content.get("message") or content.get("Message")
    reason = " ".join(str(content or answer.reason).split())
    # The backend's reason alone says enough about a refused change, or a name that does not exist.
    is_unknown = answer.status_code == 404 and field in ("experiment", "goal", "matrix")
    is_whole = answer.status_code == 409 or is_unknown
    return reason if is_whole else f"the backend answered {answer.status_code}: {reason}"
