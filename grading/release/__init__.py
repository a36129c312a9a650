"""From a lab's text source to the folder a learner opens, and the gates that prove it fit to release."""

from grading.release.build import build_source
from grading.release.course import COURSE, Course
from grading.release.errors import LabSourceError, ReleaseError, UnknownLabError
from grading.release.gate import GateResult
from grading.release.main import Result, check, regenerate
from grading.release.publish import release, release_all
from grading.release.source import Lab, read_lab

__all__ = [
    "COURSE",
    "Course",
    "GateResult",
    "Lab",
    "LabSourceError",
    "ReleaseError",
    "Result",
    "UnknownLabError",
    "build_source",
    "check",
    "read_lab",
    "regenerate",
    "release",
    "release_all",
]
