"""Training at Scale: the library that the chapters narrate, the labs exercise and the `course` command runs.

Importing this package does no work; import the room you need (`course_lib.catalog`, `course_lib.arithmetic`, ...).
"""

__version__ = "0.1.0"
