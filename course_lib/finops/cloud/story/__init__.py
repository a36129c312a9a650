"""A practice account with a past: a small research group's 90 days, told with plain boto3 calls and the clock."""

from course_lib.finops.cloud.story.cast import BUCKETS, DAYS, STORIES, Label, labels
from course_lib.finops.cloud.story.tell import Told, before, populate, seed

__all__ = ["BUCKETS", "DAYS", "STORIES", "Label", "Told", "before", "labels", "populate", "seed"]
