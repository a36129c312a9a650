"""The actions by which an account can start to spend on compute, and those that undo a guardrail.

Names: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
A service-linked role (Auto Scaling's, Spot Fleet's) launches on somebody's behalf, and no service control policy
restricts it: so the calls that set it to work are named here.
"""

from __future__ import annotations

DIRECT_LAUNCHES = ("ec2:RunInstances", "ec2:StartInstances")

# Ways to start instances that never call ec2:RunInstances under the caller's own name, and commitments to pay.
OTHER_LAUNCHES = (
    "autoscaling:Attach*",
    "autoscaling:Create*",
    "autoscaling:ExecutePolicy",
    "autoscaling:LaunchInstances",
    "autoscaling:Put*",
    "autoscaling:ResumeProcesses",
    "autoscaling:SetDesiredCapacity",
    "autoscaling:StartInstanceRefresh",
    "autoscaling:UpdateAutoScalingGroup",
    "batch:CreateComputeEnvironment",
    "batch:CreateServiceEnvironment",
    "batch:Submit*",
    "batch:UpdateComputeEnvironment",
    "batch:UpdateServiceEnvironment",
    "ec2:AcceptReservedInstancesExchangeQuote",
    "ec2:AllocateHosts",
    "ec2:CreateCapacityReservation*",
    "ec2:CreateFleet",
    "ec2:ImportInstance",
    "ec2:ModifyCapacityReservation*",
    "ec2:ModifyFleet",
    "ec2:ModifySpotFleetRequest",
    "ec2:Purchase*",
    "ec2:RequestSpot*",
    "ec2:RunScheduledInstances",
    "ecs:CreateCapacityProvider",
    "ecs:CreateService",
    "ecs:RunTask",
    "ecs:StartTask",
    "ecs:UpdateCapacityProvider",
    "ecs:UpdateService",
    "eks:Create*",
    "eks:Update*",
    "elasticmapreduce:Add*",
    "elasticmapreduce:Modify*",
    "elasticmapreduce:RunJobFlow",
    "emr-serverless:Start*",
    "gamelift:Create*",
    "gamelift:UpdateFleetCapacity",
    "imagebuilder:Start*",
    "lightsail:Create*",
    "lightsail:Start*",
    "pcs:Create*",
    "pcs:Update*",
    "sagemaker:BatchAddClusterNodes",
    "sagemaker:Create*",
    "sagemaker:Start*",
    "sagemaker:Update*",
    "savingsplans:Create*",
)

# What takes away an instance's planned end, and what tells of money or stops it, other than roles and policies.
GUARD_CHANGES = (
    "budgets:Delete*",
    "budgets:Execute*",
    "budgets:Modify*",
    "budgets:Update*",
    "scheduler:Delete*",
    "scheduler:Update*",
)

# What changes an instance so that it outlives its end: its termination protection, its shutdown behaviour, its type.
INSTANCE_CHANGES = ("ec2:ModifyInstance*", "ec2:ReplaceIamInstanceProfileAssociation")

# Every way to change an IAM entity, and to use a role that guards the account.
IAM_CHANGES = (
    "iam:Add*",
    "iam:Attach*",
    "iam:Create*",
    "iam:Delete*",
    "iam:Detach*",
    "iam:PassRole",
    "iam:Put*",
    "iam:Remove*",
    "iam:Set*",
    "iam:Tag*",
    "iam:Untag*",
    "iam:Update*",
    "sts:AssumeRole",
)

# What IAM_CHANGES change. IAM stores no identity policy whose IAM resource has a wildcard in the place of its kind.
IAM_KINDS = ("group", "instance-profile", "policy", "role", "user")

# Services without regions: their requests carry us-east-1, so a rule about regions must leave them out.
GLOBAL_SERVICES = (
    "aws-portal:*",
    "billing:*",
    "budgets:*",
    "ce:*",
    "cloudfront:*",
    "consolidatedbilling:*",
    "cur:*",
    "freetier:*",
    "globalaccelerator:*",
    "health:*",
    "iam:*",
    "invoicing:*",
    "organizations:*",
    "payments:*",
    "pricing:*",
    "route53:*",
    "s3:GetBucketLocation",
    "s3:ListAllMyBuckets",
    "shield:*",
    "sts:*",
    "support:*",
    "tax:*",
    "trustedadvisor:*",
    "waf:*",
)
