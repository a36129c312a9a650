"""What every part of this room needs of AWS: clients, its time, all pages, and failures in one line."""

from course_lib.finops.aws.accounts import Caller, Clients, RealAccount, aws_now, who_calls
from course_lib.finops.aws.arns import account_of_arn, check_own
from course_lib.finops.aws.buckets import bucket_place, make_tagged_bucket, region_told
from course_lib.finops.aws.failures import AwsError, in_words, one_line
from course_lib.finops.aws.kept import KeptClients
from course_lib.finops.aws.paging import living_instances, pages
from course_lib.finops.aws.practice_environment import practice_environment
from course_lib.finops.aws.regions import check_regions, usable_regions
from course_lib.finops.aws.tags import tag_list, tags_of

__all__ = [
    "AwsError",
    "Caller",
    "Clients",
    "KeptClients",
    "RealAccount",
    "account_of_arn",
    "aws_now",
    "bucket_place",
    "check_own",
    "check_regions",
    "in_words",
    "living_instances",
    "make_tagged_bucket",
    "one_line",
    "pages",
    "practice_environment",
    "region_told",
    "tag_list",
    "tags_of",
    "usable_regions",
    "who_calls",
]
