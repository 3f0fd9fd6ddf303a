"""IAM policies: what the functions may do, the minimal policy for deploying, and its simulation.

`functions` holds the policies of the functions' role. `deployer` holds the minimal policy for
deploying, which `gimel policy` prints. `secrets` holds what both say of Redis's secret and of KMS
keys. `simulation` asks IAM which of the deployer's actions a caller may not take.

A test holds the deployer's policy equal to the calls that the commands make. An action has the name
of the call, except at API Gateway, where the actions are HTTP methods. AWS requires some further
actions. Where no other source is given, the source is
https://docs.aws.amazon.com/service-authorization/latest/reference/.

- Tags in a creation require `TagResource` or a similar action. API Gateway's action is in no list,
  but is required: https://github.com/aws-amplify/amplify-cli/issues/12316.
- `lambda:ListTags`: without it, GetFunction omits the tags
  (https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html).
- `iam:PassRole`, for the functions' role.
- `cloudwatch:DescribeAlarms` on every alarm, `sns:Unsubscribe` on everything: they have no narrower
  resource
  (https://github.com/aws-samples/amazon-cloudwatch-auto-alarms/issues/1,
  https://github.com/danilop/yas3fs/issues/57).
- `iam:CreateServiceLinkedRole`: an account's first alarm makes a role for CloudWatch
  (https://github.com/aws-samples/amazon-cloudwatch-auto-alarms/issues/47).
- For functions in a VPC, the actions that describe its subnets and security groups
  (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html).

A certificate requires nothing: API Gateway reads it with a service-linked role, which it creates
itself
(https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html).
GetCallerIdentity requires nothing either: no policy can deny it.
"""
