"""Serving: continuous batching behind an OpenAI-compatible HTTP front, replicas on Ray Serve, and load tests."""

from course_lib.serving.app import create_app
from course_lib.serving.deployment import build_deployment, deployed, replicas
from course_lib.serving.errors import ServingError
from course_lib.serving.health import Health
from course_lib.serving.limits import Limits
from course_lib.serving.load_report import LoadReport
from course_lib.serving.load_test import load_test
from course_lib.serving.loading import load_served, served_or_raise, untrained
from course_lib.serving.scheduler import Scheduler
from course_lib.serving.served import ServedModel
from course_lib.serving.server import listen, make_server, serving
from course_lib.serving.transcript import Transcript

__all__ = [
    "Health",
    "Limits",
    "LoadReport",
    "Scheduler",
    "ServedModel",
    "ServingError",
    "Transcript",
    "build_deployment",
    "create_app",
    "deployed",
    "listen",
    "load_served",
    "load_test",
    "make_server",
    "replicas",
    "served_or_raise",
    "serving",
    "untrained",
]
