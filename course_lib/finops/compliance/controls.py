"""Which controls a check touches, which part of them, and what is left to people.

Three lists, each whole within its scope: the controls of FedRAMP's Moderate baseline (NIST SP 800-53 Rev. 5), the
technical safeguards of HIPAA (45 CFR 164.312), and what articles 5, 25, 32 and 44 of the GDPR ask for. Of each the
report says which no check touches. The mapping is ours; AWS publishes others for its Config rules.

Sources: the FedRAMP Rev. 5 Moderate baseline in OSCAL, https://github.com/OSCAL-Foundation/fedramp-resources (numbers
and names, in data/fedramp_moderate.csv); https://www.ecfr.gov/current/title-45/section-164.312;
https://eur-lex.europa.eu/eli/reg/2016/679/oj.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from course_lib.finops.compliance.errors import ComplianceError
from course_lib.finops.compliance.mapping import MAPPING, PEOPLE

FRAMEWORKS = {
    "FedRAMP": "FedRAMP Moderate (NIST SP 800-53 Rev. 5)",
    "HIPAA": "HIPAA technical safeguards (45 CFR 164.312)",
    "GDPR": "GDPR articles 5, 25, 32 and 44",
}
# (A) after a name: addressable, that is, to be assessed and decided on in writing.
HIPAA = {
    "164.312(a)(1)": "Access control",
    "164.312(a)(2)(i)": "Unique user identification",
    "164.312(a)(2)(ii)": "Emergency access procedure",
    "164.312(a)(2)(iii)": "Automatic logoff (A)",
    "164.312(a)(2)(iv)": "Encryption and decryption (A)",
    "164.312(b)": "Audit controls",
    "164.312(c)(1)": "Integrity",
    "164.312(c)(2)": "Mechanism to authenticate electronic protected health information (A)",
    "164.312(d)": "Person or entity authentication",
    "164.312(e)(1)": "Transmission security",
    "164.312(e)(2)(i)": "Integrity controls (A)",
    "164.312(e)(2)(ii)": "Encryption (A)",
}
GDPR = {
    "5(1)(a)": "Lawfulness, fairness and transparency",
    "5(1)(b)": "Purpose limitation",
    "5(1)(c)": "Data minimisation",
    "5(1)(d)": "Accuracy",
    "5(1)(e)": "Storage limitation",
    "5(1)(f)": "Integrity and confidentiality",
    "5(2)": "Accountability",
    "25(1)": "Data protection by design",
    "25(2)": "Data protection by default",
    "32(1)(a)": "Pseudonymisation and encryption",
    "32(1)(b)": "Ongoing confidentiality, integrity, availability and resilience",
    "32(1)(c)": "Restoring availability and access in time",
    "32(1)(d)": "Regular testing of the measures",
    "32(4)": "Persons with access act on instructions only",
    "44": "General principle for transfers to third countries",
}


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        framework: a key of `FRAMEWORKS`.
        number: such as "SC-28", "164.312(b)" or "32(1)(a)".
        name: as its source names it; GDPR's are short forms.
        position: in the framework's own order.
        part: for a control that a check touches, which part of it.
        people: what is left to people whatever the checks say; "" where no check touches it.
    """

    framework: str
    number: str
    name: str
    position: int
    part: str = ""
    people: str = ""

    @property
    def label(self) -> str:
        """Framework and number: "GDPR 32(1)(a)"."""
        return f"{self.framework} {self.number}"


@cache
def all_controls(framework: str) -> tuple[Control, ...]:
    """Every control of a framework, within the scope that `FRAMEWORKS` names.

    Raises:
        ComplianceError: for a framework that is not among them.
    """
    if framework == "FedRAMP":
        text = files(__package__).joinpath("data/fedramp_moderate.csv").read_text(encoding="utf-8")
        names = {row["control"]: row["name"] for row in csv.DictReader(text.splitlines())}
    elif framework in FRAMEWORKS:
        names = HIPAA if framework == "HIPAA" else GDPR
    else:
        raise ComplianceError.of("framework", framework, "is not mapped here", f"choose from {', '.join(FRAMEWORKS)}")
    return tuple(
        Control(framework, number, name, position, people=PEOPLE.get((framework, number), ""))
        for position, (number, name) in enumerate(names.items())
    )


def controls_of(check: str, framework: str | None = None) -> list[Control]:
    """The controls that a check touches, each with the part that it touches.

    Args:
        check: a check's name.
        framework: only of this one; all when left out.
    """
    found = []
    for kind in FRAMEWORKS if framework is None else (framework,):
        by_number = {control.number: control for control in all_controls(kind)}
        parts = MAPPING.get(check, {}).get(kind, {})
        found += [replace(by_number[number], part=part) for number, part in parts.items()]
    return found


def uncovered(framework: str, checks: Iterable[str]) -> list[Control]:
    """The controls of a framework that none of some checks touches, in the framework's order."""
    touched = {control.number for name in checks for control in controls_of(name, framework)}
    return [control for control in all_controls(framework) if control.number not in touched]
