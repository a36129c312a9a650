"""Each mend changes the fault that it names and nothing else. Oracle: before and after, written by hand."""

import pytest

from book._ext import accessible


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        (
            accessible.bibliography_is_no_aria_list,
            '<div role="list" class="citation-list"><div class="citation" role="doc-biblioentry">',
            '<div class="citation-list"><div class="citation">',
        ),
        (accessible.footnotes_are_no_biblioentries, '<aside role="doc-endnote">', "<aside>"),
        (accessible.scrolling_code_takes_focus, "<pre><span>", '<pre tabindex="0"><span>'),
        (accessible.scrolling_code_takes_focus, '<pre class="x">', '<pre tabindex="0" class="x">'),
        (
            accessible.tables_scroll_in_a_focusable_box,
            '<div class="pst-scrollable-table-container">',
            '<div class="pst-scrollable-table-container" tabindex="0" role="region" aria-label="Table 1 of this page">',
        ),
        (
            accessible.wide_equations_take_focus,
            '<div class="math notranslate nohighlight" id="e">',
            '<div tabindex="0" class="math notranslate nohighlight" id="e">',
        ),
        (
            accessible.exercises_share_no_id,
            '<section id="exercise-content"><section id="solution-content">',
            '<section class="exercise-content"><section class="solution-content">',
        ),
    ],
)
def test_a_mend_does_what_its_name_says_and_does_it_once(step, before: str, after: str) -> None:
    assert step(before) == after
    assert step(after) == after


@pytest.mark.parametrize("step", accessible.STEPS)
def test_a_page_without_faults_stays_as_it_is(step) -> None:
    page = '<h1>Title</h1><p>The <code>pre</code> tag; a <pre tabindex="0">block</pre>.</p>'
    assert step(page) == page
