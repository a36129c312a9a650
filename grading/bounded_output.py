"""The kernel's stdout and stderr with a ceiling for each cell; mounted into the sandbox as a single file.

A cell that prints without end would otherwise fill the grader's memory. This stream drops the excess at its source, so
that an honest learner's noisy but finite cell keeps its points; the grader counts again on its own side
(`grading.confined`) for those who bypass it.
"""

import os

from ipykernel.iostream import OutStream

LIMIT_CHARACTERS = int(os.environ.get("COURSE_OUTPUT_BYTES", "1048576"))


class BoundedOutStream(OutStream):
    """An OutStream that forwards the first LIMIT_CHARACTERS of a cell's text and counts the rest."""

    _course_parent = None
    _course_written = 0

    @property
    def write(self):
        return self._bounded_write

    @write.setter
    def write(self, _replacement):
        """Stays as it is: IPython's replacement would keep every text ever printed in memory, for a history unread."""

    def _bounded_write(self, string):
        parent = self.parent_header.get("msg_id") if self.parent_header else None
        if parent != self._course_parent:
            self._course_parent = parent
            self._course_written = 0
        room = LIMIT_CHARACTERS - self._course_written
        self._course_written += len(string)
        if room <= 0:
            return len(string)
        if len(string) > room:
            OutStream.write(self, string[:room] + f"\n... output cut after {LIMIT_CHARACTERS} characters ...\n")
            return len(string)
        return OutStream.write(self, string)
