"""AWS Batch: jobs that end by themselves, bounded in cost before they start, and the same jobs on this machine."""

from course_lib.finops.aws import practice_environment
from course_lib.finops.batch.cost import WorstCase, check_budget, worst_case
from course_lib.finops.batch.definition import definition
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.fleet import Fleet
from course_lib.finops.batch.images import image_files, image_folder
from course_lib.finops.batch.inputs import InputPlan, apply_publish, plan_publish, publish
from course_lib.finops.batch.job import Dependency, Job
from course_lib.finops.batch.job_file import EXAMPLE, JobFile, example_job_file, read_job_file
from course_lib.finops.batch.local import Attempt, LocalRun, run_local
from course_lib.finops.batch.machines import Machine, machine
from course_lib.finops.batch.retries import SPOT_RULES, Ended, ExitRule, RetryStrategy
from course_lib.finops.batch.setup import SetupPlan, Step, apply_setup, plan_setup
from course_lib.finops.batch.submit import Submission, plan_submission, submit
from course_lib.finops.batch.teardown import Removal, teardown

__all__ = [
    "EXAMPLE",
    "SPOT_RULES",
    "Attempt",
    "BatchError",
    "Dependency",
    "Ended",
    "ExitRule",
    "Fleet",
    "InputPlan",
    "Job",
    "JobFile",
    "LocalRun",
    "Machine",
    "Removal",
    "RetryStrategy",
    "SetupPlan",
    "Step",
    "Submission",
    "WorstCase",
    "apply_publish",
    "apply_setup",
    "check_budget",
    "definition",
    "example_job_file",
    "image_files",
    "image_folder",
    "machine",
    "plan_publish",
    "plan_setup",
    "plan_submission",
    "practice_environment",
    "publish",
    "read_job_file",
    "run_local",
    "submit",
    "teardown",
    "worst_case",
]
