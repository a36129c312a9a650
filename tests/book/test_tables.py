"""Tables can be walked by a screen reader. Oracle: W3C's table tutorial, checked on the HTML by another parser."""

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from book.kit.tables import table_html

PRICES = pd.DataFrame(
    {
        "instance": ["p5.48xlarge", "trn3 <new>"],
        "usd_per_hour": [55.04, None],
        "source": ["https://aws.amazon.com/ec2/", "looked for"],
    }
)


def soup(**options: object) -> BeautifulSoup:
    return BeautifulSoup(table_html(PRICES, "Prices of two machines.", **options), "html.parser")  # type: ignore[arg-type]


def test_every_header_cell_has_a_scope_and_the_first_column_heads_its_rows() -> None:
    page = soup()
    assert [cell["scope"] for cell in page.select("th")] == ["col"] * 3 + ["row"] * 2
    assert all(cell.get_text(strip=True) for cell in page.select("th"))


def test_the_scroll_box_takes_the_keyboard_and_has_a_name() -> None:
    box = soup().select_one("div[role=region][tabindex='0']")
    assert box is not None
    assert box["aria-label"] == "Prices of two machines."


def test_an_unknown_value_is_said_in_words_and_markup_is_escaped() -> None:
    second = soup(missing="price unknown").select("tbody tr")[1]
    assert [cell.get_text() for cell in second.select("th, td")] == ["trn3 <new>", "price unknown", "looked for"]


def test_an_address_becomes_a_link_named_by_its_site() -> None:
    link = soup().select_one("td a")
    assert link is not None
    assert (link["href"], link.get_text()) == ("https://aws.amazon.com/ec2/", "aws.amazon.com")


def test_formats_and_headers_are_applied() -> None:
    page = soup(formats={"usd_per_hour": "${:,.2f}"}, headers={"usd_per_hour": "price per hour"})
    assert page.select("thead th")[1].get_text() == "price per hour"
    assert page.select_one("tbody td").get_text() == "$55.04"  # type: ignore[union-attr]


@pytest.mark.parametrize("option", [{"formats": {"usd": "{}"}}, {"headers": {"usd": "x"}}, {"row_header": "usd"}])
def test_a_column_that_is_not_there_is_named_with_those_that_are(option: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no column 'usd'; its columns are instance, usd_per_hour, source"):
        soup(**option)


def test_a_table_without_caption_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a caption"):
        table_html(PRICES, " ")
