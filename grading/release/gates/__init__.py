"""All gates, cheap ones first. Each file holds one: what it proves, the defect that it was made for, the check."""

from grading.release.gate import Gate
from grading.release.gates import (
    cells_fail_alone,
    cheats_earn_nothing,
    grade_ids,
    mutants_are_caught,
    no_later_chapter,
    nothing_leaks,
    partial_credit,
    points_and_hours,
    release_is_current,
    rubric_has_samples,
    solution_earns_all,
    stub_earns_nothing,
    stubs_guide,
    warnings_cost_nothing,
)

GATES: tuple[Gate, ...] = tuple(
    module.GATE
    for module in (
        grade_ids,
        stubs_guide,
        points_and_hours,
        rubric_has_samples,
        no_later_chapter,
        release_is_current,
        nothing_leaks,
        solution_earns_all,
        stub_earns_nothing,
        warnings_cost_nothing,
        cheats_earn_nothing,
        cells_fail_alone,
        mutants_are_caught,
        partial_credit,
    )
)
