"""A model's whole life in money: trained once on one kind of chip, served for months on another."""

from course_lib.finops.lifecycle.fleet import Fleet, Traffic, fleet
from course_lib.finops.lifecycle.life import Life, Lives, compare_lives, life
from course_lib.finops.lifecycle.serving import DoesNotFitError, Serving, serving

__all__ = [
    "DoesNotFitError",
    "Fleet",
    "Life",
    "Lives",
    "Serving",
    "Traffic",
    "compare_lives",
    "fleet",
    "life",
    "serving",
]
