"""The login of a session: fetching its credentials, and what to type when that fails.

The errors are botocore's: see `credentials.py`, `tokens.py` and `exceptions.py` there.
"""

import getpass
import os
import shlex
import warnings

from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import (
    BotoCoreError,
    CredentialRetrievalError,
    LoginError,
    LoginInsufficientPermissions,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
)
from botocore.session import Session

# The command that renews the credentials of a profile with this field in ~/.aws/config.
_COMMANDS = {
    "sso_session": "aws sso login",
    "sso_start_url": "aws sso login",
    "login_session": "aws login",
}
_ADVICE: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((ProfileNotFound,), "{error}: see `aws configure list-profiles`"),
    (
        (NoCredentialsError,),
        "no AWS credentials: run `aws login`, `aws configure sso` or `aws configure`, "
        "or set AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    ((PartialCredentialsError,), "{error}: set it, or run `aws login`"),
    (
        (LoginInsufficientPermissions,),
        "this AWS login may not be renewed: ask for the AWS managed policy "
        "SignInLocalDevelopmentAccess",
    ),
    ((LoginError, SSOError, TokenRetrievalError), "the AWS login has expired: {renewal}"),
    (
        (RefreshWithMFAUnsupportedError,),
        "the session of the role has ended, and a new one needs another MFA code: "
        "run the command again",
    ),
    (
        (CredentialRetrievalError,),
        "profile {profile} yields no AWS credentials: {error.kwargs[error_msg]}",
    ),
)


def log_in(session: Session) -> ReadOnlyCredentials:
    """Return the session's credentials, fetched anew if they have expired.

    Raises BotoCoreError and ClientError. Commands call this first: botocore would fetch them at
    the first request, perhaps in a thread, where Ctrl-C cannot end its question for an MFA code.
    """
    try:
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        with warnings.catch_warnings():
            # Without a terminal, getpass would warn in several lines, and read standard input.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return credentials.get_frozen_credentials()
    except BotoCoreError:
        raise
    except (EOFError, getpass.GetPassWarning):
        message = "it needs an MFA code, so run the command in a terminal"
        raise CredentialRetrievalError(provider="assume-role", error_msg=message) from None
    except (OSError, ValueError) as error:
        # The program or the file that the profile names is missing, or its output is not JSON.
        raise CredentialRetrievalError(provider="profile", error_msg=str(error)) from None


def advice(error: BotoCoreError, session: Session) -> str | None:
    """Return what to do about an error of a login, or None if the error is of another kind."""
    for kinds, text in _ADVICE:
        if isinstance(error, kinds):
            profile = session.get_config_variable("profile") or "default"
            return text.format(error=error, profile=profile, renewal=renewal(session))
    return None


def renewal(session: Session) -> str:
    """Return how to renew the session's credentials.

    A role's profile may name the profile that the user logs in to as its `source_profile`.
    """
    # botocore prefers the environment to a profile, unless config.json names the profile.
    if "AWS_SESSION_TOKEN" in os.environ and not session.instance_variables().get("profile"):
        return "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN anew"
    profiles = session.full_config.get("profiles", {})
    name, visited = session.get_config_variable("profile") or "default", set()
    while name in profiles and name not in visited:
        visited.add(name)
        for field, command in _COMMANDS.items():
            if field in profiles[name]:
                option = "" if name == "default" else f" --profile {shlex.quote(name)}"
                return f"run `{command}{option}`"
        name = profiles[name].get("source_profile")
    return "log in again, or replace them where they come from (see `aws configure list`)"
