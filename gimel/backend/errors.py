"""The base of every error that Gimel raises on purpose. All of them form one tree:

GimelError                     the message says what is wrong and what to do
├── HTTPError                  backend/wire.py: a request is refused; this is its answer
│   └── EvaluationError        backend/ofrep.py: the evaluation of a flag is refused
├── NotQueuedError             backend/queue.py: events were not kept; their sender keeps them
├── FailedCallError            aws_lambda.py: a call by gimel 1.x's REST API failed
├── BackendError               client.py: a backend refused, or did not answer
├── ConfigError                config/file.py: config.json is missing or wrong
├── LocalError                 local/errors.py: the backend on this machine cannot start
├── BackupError                terminal/backup/section.py: counts cannot be saved, read or merged
├── DeployError                stack/wanted.py: a stack is missing, or is not as it should be
│   └── InterruptedDeployError stack/apply.py: Ctrl-C stopped a deploy
└── AwsError                   stack/aws.py: AWS refused a call, or did not answer
    └── NotFoundError          stack/aws.py: AWS has no such resource
        └── NotOfferedError    stack/aws.py: AWS does not offer such resources in this region
"""


class GimelError(Exception):
    """An expected error. A command that raises it ends with `exit_code`, after printing `lines`."""

    exit_code = 1

    @property
    def lines(self) -> list[str]:
        """The message, one line for each mistake."""
        return str(self).splitlines()
