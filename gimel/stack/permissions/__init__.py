"""IAM policies: what the functions may do, the minimal policy for deploying, and its simulation.

`functions` holds the policies of the functions' role. `deployer` holds the minimal policy for
deploying, which `gimel policy` prints. `secrets` holds what both say of Redis's secret and of KMS
keys. `simulation` asks IAM which of the deployer's actions a caller may not take. Read `functions`
first.

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
- For functions in a VPC, the actions that describe its subnets and security groups
  (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html).
- `iam:CreateServiceLinkedRole`, for one service each: CloudWatch makes its role with an account's
  first alarm (https://github.com/aws-samples/amazon-cloudwatch-auto-alarms/issues/47), API Gateway
  with the first custom domain name, whose certificate it reads with that role
  (https://github.com/amplify-education/serverless-domain-manager/issues/112), ElastiCache with the
  first cache
  (https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/using-service-linked-roles.html).
- `elasticache:CreateServerlessCacheSnapshot`, for a deletion that leaves a final snapshot
  (https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_DeleteServerlessCache.html).
- `elasticache:Connect`, for commands that connect to the managed Redis from the user's machine
  (https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html).

GetCallerIdentity requires nothing: no policy can deny it.
"""
