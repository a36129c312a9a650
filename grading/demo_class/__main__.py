"""`python -m grading.demo_class`: make the demonstration class's submissions and grade them."""

from grading.cli import grade

if __name__ == "__main__":
    grade(["--demo"])
