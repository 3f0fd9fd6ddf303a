"""Ways to log in to AWS: the files that the AWS CLI leaves, services that give credentials."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import AssumeRoleProvider
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SESSION = "arn:aws:iam::000000000000:user/me"
DEVICE = "arn:aws:iam::000000000000:mfa/me"
ROLE = "arn:aws:iam::000000000000:role/deployer"
# The fields of a profile whose role asks for an MFA code.
MFA = {"role_arn": ROLE, "mfa_serial": DEVICE, "source_profile": "user"}


class AwsFiles:
    """The AWS CLI's files, in a folder of the test's own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._config = folder / "config"
        self._logins, self._sso = folder / "login", folder / "sso"
        patch.setenv("AWS_CONFIG_FILE", str(self._config))
        patch.setenv("AWS_LOGIN_CACHE_DIRECTORY", str(self._logins))
        for provider in ("credentials.SSOProvider", "tokens.SSOTokenProvider"):
            patch.setattr(f"botocore.{provider}._SSO_TOKEN_CACHE_DIR", str(self._sso))
        for folder in (self._logins, self._sso):
            folder.mkdir()

    def section(self, name: str, **fields: str) -> None:
        """Add a section (`profile dev`) to the config file."""
        lines = [f"[{name}]", *(f"{key} = {value}" for key, value in fields.items()), ""]
        with self._config.open("a") as file:
            file.write("\n".join(lines))

    def login(self, minutes: int) -> None:
        """Log in as `aws login` does, with credentials that last so many minutes."""
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
        self._write(
            self._logins / f"{hashlib.sha256(SESSION.encode()).hexdigest()}.json",
            accessToken=access_token() | {"expiresAt": _in(minutes), "accountId": "000000000000"},
            refreshToken="refresh",
            dpopKey=key.decode(),
            clientId="arn:aws:signin:::devtools/same-device",
            tokenType="aws_sigv4",
        )

    def sso_login(self, name: str, minutes: int) -> None:
        """Log in as `aws sso login` does, to a session or a start URL, for so many minutes."""
        file = self._sso / f"{hashlib.sha1(name.encode()).hexdigest()}.json"
        self._write(file, accessToken="sso-token", expiresAt=_in(minutes))

    def _write(self, path: Path, **content: Any) -> None:
        path.write_text(json.dumps(content))


def access_token() -> dict[str, str]:
    return {"accessKeyId": "ASIA1", "secretAccessKey": "secret", "sessionToken": "session"}


def _in(minutes: int) -> str:
    return f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


def answer_prompts(patch: pytest.MonkeyPatch, code: str) -> list[str]:
    """Have botocore's questions for an MFA code answered. Returns the list of its questions."""
    asked: list[str] = []
    prompt = lambda question: asked.append(question) or code  # noqa: E731
    set_prompt(patch, prompt)
    return asked


def set_prompt(patch: pytest.MonkeyPatch, prompt: Callable[[str], str]) -> None:
    """Put another question for an MFA code in the place of getpass."""
    create = AssumeRoleProvider.__init__
    patch.setattr(create, "__defaults__", (prompt, *create.__defaults__[1:]))


@contextmanager
def service(status: int, body: str, code: str = "") -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The URL of a service that answers everything so, and the headers that it was sent."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            if code:
                self.send_header("x-amzn-errortype", code)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def sts_error(code: str, message: str) -> str:
    return (
        f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        "</ErrorResponse>"
    )
