"""A launch tried without launching: what a plan can't know, AWS is asked, and nothing is made.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html ("DryRun").
"""

from __future__ import annotations

from course_lib.finops.aws import AwsError, Clients, check_regions, one_line
from course_lib.finops.ephemeral.launch import LaunchPlan

WOULD_DO = "DryRunOperation"  # EC2's word for yes


def try_launch(account: Clients, plan: LaunchPlan) -> None:
    """Ask AWS whether it would take a launch; makes nothing.

    A yes says nothing of capacity and quotas, which EC2 looks at when it launches.

    Args:
        account: whose.
        plan: see `plan_launch`.

    Raises:
        FinopsError: for a region that is none, or that isn't enabled.
        AwsError: with what AWS would refuse, such as a permission or an image.
    """
    asked = plan.request
    check_regions(account, [asked.region])
    ec2 = account.client("ec2", region=asked.region)
    try:
        with one_line(f"trying to launch {asked.count} x {asked.instance_type} in {asked.region}"):
            ec2.run_instances(**plan.run, DryRun=True)
    except AwsError as error:
        if error.code != WOULD_DO:
            raise
