"""Where the lab pipeline reads and writes, all from one root so that tests can point it at a small course."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from grading.release.errors import UnknownLabError

LAB_ID = re.compile(r"lab[0-9]{2}(-[a-z0-9]+)+")


@dataclass(frozen=True)
class Course:
    """A course's folders.

    Args:
        root: Folder that holds `solutions/`, `labs/` and `grading/`.
    """

    root: Path

    @property
    def solutions(self) -> Path:
        return self.root / "solutions"

    @property
    def labs(self) -> Path:
        return self.root / "labs"

    @property
    def grading(self) -> Path:
        return self.root / "grading"

    @property
    def sources(self) -> Path:
        return self.grading / "source"

    @property
    def rubrics(self) -> Path:
        return self.grading / "rubrics"

    @property
    def table_of_contents(self) -> Path:
        return self.root / "_toc.yml"

    def lab_ids(self) -> list[str]:
        """Every lab that has a text source, in order."""
        return sorted(path.stem for path in self.solutions.glob("*.py") if LAB_ID.fullmatch(path.stem))

    def text_source(self, lab: str) -> Path:
        """The lab's text source.

        Raises:
            UnknownLabError: If there is none; the nearest name is suggested.
        """
        known = self.lab_ids()
        if lab not in known:
            near = difflib.get_close_matches(lab, known, n=1, cutoff=0.3)
            hint = f"did you mean {near[0]}?" if near else f"known labs: {', '.join(known) or 'none'}."
            raise UnknownLabError(f"No lab named {lab!r} in {self.solutions.name}/: {hint}")
        return self.solutions / f"{lab}.py"


COURSE = Course(Path(__file__).resolve().parents[2])
