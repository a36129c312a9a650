"""The getting-started checklist as a list to tick: `course_lib.finops.checklist`'s items, and nothing of its own.

book/_static/checklist.js keeps the ticks in the browser, copies commands, and reads the output of
`course finops checklist --json` that is pasted in. Nothing leaves the page.
"""

from html import escape

from IPython.display import HTML

from course_lib.finops.checklist import ITEMS, PEOPLE, Item


def checklist(id_: str = "checklist-list") -> HTML:
    """The list; put it last in a cell.

    Args:
        id_: Anchor on the page; parts of the list take it as the beginning of theirs.
    """
    account = "".join(_item(item, id_) for item in ITEMS)
    people = "".join(_item(item, id_) for item in PEOPLE)
    return HTML(
        f'<section class="kit-checklist" id="{id_}" aria-label="Getting-started checklist">'
        '<p class="kit-count" role="status" aria-live="polite"></p>'
        f"<p><strong>What the account answers</strong></p><ol>{account}</ol>"
        f"<p><strong>What only you can say</strong></p><ul>{people}</ul>"
        f'<label for="{id_}-answer">Your own account: paste the output of '
        "<code>course finops checklist --json</code></label>"
        f'<textarea id="{id_}-answer" rows="3" spellcheck="false"></textarea>'
        '<p class="kit-buttons"><button type="button" data-do="read">Show it in the list</button>'
        '<button type="button" data-do="clear">Clear all ticks</button></p>'
        '<p class="kit-said" role="status" aria-live="polite"></p>'
        "<noscript><p>Without JavaScript the ticks are not kept, and nothing is copied for you.</p></noscript>"
        "</section>"
    )


def _item(item: Item, id_: str) -> str:
    box = f"{id_}-{item.name}"
    command = (
        f'<span class="kit-command"><code>{escape(item.command)}</code>'
        f'<button type="button" data-copy="{escape(item.command)}" aria-label="Copy: {escape(item.command)}">Copy'
        "</button></span>"
        if item.command
        else ""
    )
    return (
        f'<li><input type="checkbox" id="{box}" value="{item.name}" autocomplete="off">'
        f'<label for="{box}">{escape(item.title)}</label>'
        f'<p>{escape(item.why)}</p>{command}<p class="kit-evidence"></p></li>'
    )
