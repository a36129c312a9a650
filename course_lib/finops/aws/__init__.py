"""What every part of this room needs of AWS: clients, its time, all pages, and failures in one line."""

from course_lib.finops.aws.accounts import Clients, RealAccount, aws_now
from course_lib.finops.aws.failures import AwsError, in_words, one_line
from course_lib.finops.aws.kept import KeptClients
from course_lib.finops.aws.paging import living_instances, pages, usable_regions
from course_lib.finops.aws.practice_environment import practice_environment
from course_lib.finops.aws.tags import tag_list, tags_of

__all__ = [
    "AwsError",
    "Clients",
    "KeptClients",
    "RealAccount",
    "aws_now",
    "in_words",
    "living_instances",
    "one_line",
    "pages",
    "practice_environment",
    "tag_list",
    "tags_of",
    "usable_regions",
]
