"""Ways to log in to AWS, with botocore's own code: each failure ends in one line with the cure."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gimel.stack.aws import Aws, AwsError
from tests.support.aws_account import REGION
from tests.support.deployments import Stack
from tests.support.logins import (
    DEVICE,
    MFA,
    ROLE,
    SESSION,
    AwsFiles,
    access_token,
    answer_prompts,
    service,
    set_prompt,
    sts_error,
)

pytestmark = pytest.mark.slow

SSO = {"sso_account_id": "000000000000", "sso_role_name": "deployer"}
TEAM = {"sso_start_url": "https://team.awsapps.com/start", "sso_region": REGION}


@pytest.fixture
def files(aws_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AwsFiles:
    """The AWS CLI's files; there are no credentials in the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    files = AwsFiles(tmp_path, monkeypatch)
    files.section("profile user", aws_access_key_id="AKIA1", aws_secret_access_key="secret")
    files.section("profile dev", login_session=SESSION)
    return files


def complaint(profile: str | None) -> str:
    """The line that logging in with a profile, and then a call, ends with."""
    with pytest.raises(AwsError) as caught:
        Aws(REGION, profile).home()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# aws login


def test_aws_login_works(files: AwsFiles) -> None:
    files.login(minutes=10)
    assert Aws(REGION, "dev").home().account == "000000000000"


def test_aws_login_is_renewed(files: AwsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.login(minutes=-1)
    renewed = {
        "accessToken": access_token(),
        "tokenType": "aws_sigv4",
        "expiresIn": 900,
        "refreshToken": "next",
    }
    with service(200, json.dumps(renewed)) as (url, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SIGNIN", url)
        assert Aws(REGION, "dev").home().account == "000000000000"
    (headers,) = seen
    assert headers["DPoP"].count(".") == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("TOKEN_EXPIRED", "the AWS login has expired: run `aws login --profile dev`"),
        ("USER_CREDENTIALS_CHANGED", "the AWS login has expired: run `aws login --profile dev`"),
        (
            "INSUFFICIENT_PERMISSIONS",
            "this AWS login may not be renewed: ask for the AWS managed policy "
            "SignInLocalDevelopmentAccess",
        ),
        ("ELSE", "the AWS login has expired: run `aws login --profile dev`"),
    ],
)
def test_aws_login_that_cannot_be_renewed(
    files: AwsFiles, monkeypatch: pytest.MonkeyPatch, error: str, said: str
) -> None:
    files.login(minutes=-1)
    body = json.dumps({"error": error, "message": "no"})
    with service(401, body, "AccessDeniedException") as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SIGNIN", url)
        assert complaint("dev") == said


@pytest.mark.parametrize(
    ("profile", "command"),
    [
        ("dev", "aws login --profile dev"),
        ("role", "aws login --profile dev"),
        ("my role", "aws login --profile 'my profile'"),
        (None, "aws login"),
    ],
)
def test_without_a_login(files: AwsFiles, profile: str | None, command: str) -> None:
    files.section("profile role", role_arn=ROLE, source_profile="dev")
    files.section('profile "my role"', role_arn=ROLE, source_profile="my profile")
    files.section('profile "my profile"', login_session=SESSION)
    files.section("default", login_session=SESSION)
    assert complaint(profile) == f"the AWS login has expired: run `{command}`"


def test_the_profile_of_the_environment_is_named(
    files: AwsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "dev")
    assert complaint(None) == "the AWS login has expired: run `aws login --profile dev`"


# aws sso login


@pytest.mark.parametrize("minutes", [None, -1])
def test_sso_without_a_token(files: AwsFiles, minutes: int | None) -> None:
    files.section("sso-session team", **TEAM)
    files.section("profile team", sso_session="team", **SSO)
    if minutes is not None:
        files.sso_login("team", minutes)
    assert complaint("team") == "the AWS login has expired: run `aws sso login --profile team`"


@pytest.mark.parametrize("minutes", [None, -1])
def test_sso_without_a_session_section(files: AwsFiles, minutes: int | None) -> None:
    files.section("profile old", **SSO, **TEAM)
    files.section("profile role", role_arn=ROLE, source_profile="old")
    if minutes is not None:
        files.sso_login(TEAM["sso_start_url"], minutes)
    for profile in ("old", "role"):
        assert complaint(profile) == "the AWS login has expired: run `aws sso login --profile old`"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("UnauthorizedException", "the AWS login has expired: run `aws sso login --profile old`"),
        ("ForbiddenException", "AWS refused sso:GetRoleCredentials: ForbiddenException: No access"),
    ],
)
def test_sso_that_is_refused(
    files: AwsFiles, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    files.section("profile old", **SSO, **TEAM)
    files.sso_login(TEAM["sso_start_url"], 60)
    with service(401, '{"message": "No access"}', code) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", url)
        assert complaint("old") == said


# Roles


def test_a_code_is_asked_for_once(files: AwsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.section("profile role", **MFA)
    asked = answer_prompts(monkeypatch, "123456")
    aws = Aws(REGION, "role")
    assert aws.home().account == "000000000000"
    aws.pages("iam", "list_roles", "Roles[]")
    assert asked == [f"Enter MFA code for {DEVICE}: "]


def test_a_role_session_that_ends(files: AwsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.section("profile role", **MFA)
    answer_prompts(monkeypatch, "123456")
    aws = Aws(REGION, "role")
    credentials = aws._session.get_credentials()
    assert credentials is not None
    credentials._expiry_time = credentials._time_fetcher()
    with pytest.raises(AwsError, match=r"another MFA code: run the command again$"):
        aws.home()


def test_a_code_that_is_too_short(files: AwsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.section("profile role", **MFA)
    answer_prompts(monkeypatch, "12345")
    assert complaint("role") == "an MFA code has six digits: run the command again"


def test_nobody_to_ask_for_a_code(files: AwsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.section("profile role", **MFA)

    def end_of_input(question: str) -> str:
        raise EOFError

    set_prompt(monkeypatch, end_of_input)
    assert complaint("role") == (
        "profile role yields no AWS credentials: it needs an MFA code, so run the command in a "
        "terminal"
    )


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (
            "AccessDenied",
            "MultiFactorAuthentication failed with invalid MFA one time pass code. ",
            "MultiFactorAuthentication failed with invalid MFA one time pass code: run the command "
            "again with the next MFA code",
        ),
        (
            "AccessDenied",
            f"User: me is not authorized to perform: sts:AssumeRole on resource: {ROLE}",
            "these AWS credentials are not allowed to call sts:AssumeRole: ask for a policy that "
            "allows it",
        ),
        (
            "ExpiredToken",
            "The security token included in the request is expired",
            "the AWS credentials have expired: log in again, or replace them where they come from "
            "(see `aws configure list`)",
        ),
        (
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            "AWS does not know these credentials: see `aws configure list`",
        ),
    ],
)
def test_a_role_that_is_refused(
    files: AwsFiles, monkeypatch: pytest.MonkeyPatch, code: str, message: str, said: str
) -> None:
    files.section("profile role", role_arn=ROLE, source_profile="user")
    with service(403, sts_error(code, message)) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        assert complaint("role") == said


# Other credentials


@pytest.mark.parametrize(
    ("process", "said"),
    [
        (f"{sys.executable} -c 'import sys; sys.exit(\"vault\\nis locked\")'", "vault is locked"),
        ("no-such-program", "[Errno 2] No such file or directory: 'no-such-program'"),
        (f"{sys.executable} -c 'print()'", "Expecting value: line 2 column 1 (char 1)"),
    ],
)
def test_a_credential_process_that_fails(files: AwsFiles, process: str, said: str) -> None:
    files.section("profile vault", credential_process=process)
    assert complaint("vault").startswith("profile vault yields no AWS credentials: ")
    assert complaint("vault").endswith(said)


def test_credentials_that_expired_in_the_environment(
    files: AwsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.section("default", login_session=SESSION)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "old")
    with service(403, sts_error("ExpiredToken", "expired")) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        assert complaint(None) == (
            "the AWS credentials have expired: set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
            "AWS_SESSION_TOKEN anew"
        )


def test_half_a_key(files: AwsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA1")
    assert complaint(None) == (
        "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY: set it, or run "
        "`aws login`"
    )


def test_no_credentials(files: AwsFiles) -> None:
    assert complaint(None).startswith("no AWS credentials: run `aws login`, ")


def test_an_unknown_profile(files: AwsFiles) -> None:
    assert complaint("nowhere").endswith(
        "(nowhere) could not be found: see `aws configure list-profiles`"
    )


def test_a_config_file_that_makes_no_sense(files: AwsFiles) -> None:
    files.section("profile a", role_arn=ROLE, source_profile="b")
    files.section("profile b", role_arn=ROLE, source_profile="a")
    assert complaint("a").startswith("AWS cannot be called: Infinite loop in credential config")


def test_no_region(files: AwsFiles) -> None:
    with pytest.raises(AwsError, match=r'no AWS region: set "aws".* or AWS_DEFAULT_REGION$'):
        Aws(None, "user")
    files.section("profile there", region="eu-west-3", source_profile="user", role_arn=ROLE)
    assert Aws(None, "there").region == "eu-west-3"


# Whole commands


@pytest.fixture
def stack(files: AwsFiles, tmp_path: Path, own_redis_url: str) -> Stack:
    """A stack whose commands use a profile that needs an MFA code. It is not deployed yet."""
    files.section("profile role", **MFA)
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    aws, role = Aws(REGION, "user"), {"RoleName": "deployer"}
    if aws.find("iam", "get_role", "Role", **role) is None:
        aws.call("iam", "create_role", **role, AssumeRolePolicyDocument="{}")
    document = json.dumps(everything)
    aws.call("iam", "put_role_policy", **role, PolicyName="all", PolicyDocument=document)
    stack = Stack(tmp_path, own_redis_url)
    stack.save(aws={"region": REGION, "profile": "role"})
    return stack


def test_a_command_asks_for_one_code(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer_prompts(monkeypatch, "123456")
    commands = (
        ("preflight",),
        ("deploy",),
        ("deploy", "--dry-run"),
        ("deploy", "--no-preflight"),
        ("status",),
        ("results",),
        ("logs",),
        ("replay", "--dead-letter"),
        ("key", "show"),
        ("key", "show", "--scope", "owner"),
        ("key", "list"),
        ("key", "create", "--scope", "send"),
        ("key", "rotate"),
        ("destroy", "--data", "--yes"),
    )
    for command in commands:
        asked.clear()
        stack.run(*command)
        assert len(asked) == 1, command


def test_ctrl_c_at_the_question_ends_the_command(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking: list[threading.Thread] = []

    def interrupt(question: str) -> str:
        asking.append(threading.current_thread())
        raise KeyboardInterrupt

    set_prompt(monkeypatch, interrupt)
    for command in ("deploy", "destroy"):
        stack.run(command, code=130)
    # Ctrl-C reaches no other thread.
    assert asking == [threading.current_thread()] * 2


def test_a_login_that_has_expired_is_one_line(
    files: AwsFiles, tmp_path: Path, redis_url: str
) -> None:
    stack = Stack(tmp_path, redis_url)
    stack.save(aws={"region": REGION, "profile": "dev"})
    for command in (("deploy", "--no-preflight"), ("logs",)):
        process = stack.start(*command)
        printed, complaint = process.communicate(timeout=60)
        assert (process.returncode, printed) == (1, "")
        assert complaint == "Error: the AWS login has expired: run `aws login --profile dev`\n"


def test_a_code_without_a_terminal(stack: Stack) -> None:
    process = subprocess.run(
        [*stack.command, "status"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        # Without a terminal of its own, getpass reads from standard input.
        start_new_session=True,
    )
    assert process.returncode == 1
    assert process.stderr == (
        "Error: profile role yields no AWS credentials: it needs an MFA code, so run the command "
        "in a terminal\n"
    )
