"""A course with one tiny lab, made anew for each test that breaks it; `SMALL` is a lab that passes every gate."""

from pathlib import Path

import pytest

from grading.release import Course

SMALL = '''# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   lab:
#     title: Areas
#     hours: 1
#     points: 10
#     after: book/one/01-squares
#     requires: [book/one/01-squares]
#     rooms: [labkit]
#     equivalent_mutants: []
# ---

# %% [markdown]
# # Areas
#
# Two functions and a sentence.

# %%
SIDES = (3, 4)

# %% [markdown] tags=["instructor"]
# Last year half the class forgot that a negative side is not a side: point at it early.

# %% nbgrader={"solution": true, "grade_id": "square-area"}
def square_area(side):
    """Area of a square.

    TODO: return the area.
    APPROACH: multiply the side by itself; refuse negative sides with a ValueError that names them.
    EXAMPLE: square_area(3) gives 9.
    HINT: a side of 0 is fine.
    """
    ### BEGIN SOLUTION
    if side < 0:
        raise ValueError(f"a side cannot be negative, got {side}")
    surface_of_it = side * side
    return surface_of_it
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test-square-area", "points": 4} exercises=["square-area"]
# Test 1: 4 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("square_area", points=4, off_limits=("course_lib.arithmetic",))
check.number("side 3", lambda: square_area(3), 9)
### BEGIN HIDDEN TESTS
check.hide()
check.equal("sides 0 and 2", lambda: (square_area(0), square_area(2)), (0, 4))
check.number("a long side", lambda: square_area(1234.5), 1523990.25)
check.refuses("a negative side", lambda: square_area(-1), naming="-1")
### END HIDDEN TESTS
check.score()

# %% nbgrader={"solution": true, "grade_id": "wall-area"}
def wall_area(width, height):
    """Area of a wall.

    TODO: return the area.
    APPROACH: one side times the other.
    EXAMPLE: wall_area(2, 3) gives 6.
    HINT: no square is needed.
    """
    ### BEGIN SOLUTION
    return width * height
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test-wall-area", "points": 3} exercises=["wall-area"]
# Test 2: 3 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("wall_area", points=3)
check.number("2 by 3", lambda: wall_area(2, 3), 6)
check.number("1 by 5, which division gets right upside down", lambda: wall_area(5, 1), 5)
check.score()

# %% [markdown] nbgrader={"grade": true, "solution": true, "grade_id": "say-why", "points": 3}
# ### BEGIN SOLUTION
# Because paint is sold by the area that it covers and nobody paints a length.
# ### END SOLUTION
'''

RUBRIC = """# Rubric

## say-why

| criterion | points |
|---|---|
| names paint | 2 |
| names area | 1 |

### Excellent
### Good
### Insufficient
"""

TOC = """format: jb-book
root: book/start
parts:
- caption: One
  chapters:
  - file: book/one/01-squares
- caption: Later
  chapters:
  - file: book/foundations/01-later
"""

LAB = "lab90-areas"


@pytest.fixture
def small_course(tmp_path: Path) -> Course:
    """A course whose only lab passes every gate once it is released."""
    course = Course(tmp_path)
    course.solutions.mkdir()
    course.rubrics.mkdir(parents=True)
    (course.solutions / f"{LAB}.py").write_text(SMALL)
    (course.rubrics / f"{LAB}.md").write_text(RUBRIC)
    course.table_of_contents.write_text(TOC)
    return course


@pytest.fixture
def edit(small_course: Course):
    """Change the small lab's text source: each `old` must be there."""

    def change(*changes: tuple[str, str]) -> None:
        path = small_course.solutions / f"{LAB}.py"
        text = path.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path.write_text(text)

    return change
