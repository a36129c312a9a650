"""Only the icons in use travel with a page. Oracle: a script of the same form written by hand, and the theme's own."""

from pathlib import Path

import pydata_sphinx_theme
import pytest

from book._ext import icons

FILLER = ",".join(f'"filler-{i}":[8,8,[],"f{i}","M{i}"]' for i in range(icons.FEWEST_ENTRIES))
SCRIPT = f'var a={{bars:[448,512,["navicon"],"f0c9","M0"],x:[1,2,[10006],"f00d",["M1","M2"]]}};b={{{FILLER}}};run(a,b);'


def test_an_icon_in_use_stays_and_the_others_go() -> None:
    assert icons.trimmed(SCRIPT, {"bars"}) == 'var a={bars:[448,512,["navicon"],"f0c9","M0"],};b={};run(a,b);'


def test_an_icon_may_be_asked_for_by_an_alias() -> None:
    assert 'bars:[448,512,["navicon"],"f0c9","M0"]' in icons.trimmed(SCRIPT, {"navicon"})


def test_an_icon_without_drawing_is_named() -> None:
    with pytest.raises(ValueError, match="no drawing for unicorn"):
        icons.trimmed(SCRIPT, {"bars", "unicorn"})


def test_a_script_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="1 entries of the known form"):
        icons.trimmed('a={bars:[448,512,[],"f0c9","M0"]}', {"bars"})


def test_the_theme_s_script_shrinks_to_a_tenth() -> None:
    theme = Path(str(pydata_sphinx_theme.__file__)).parent / "theme/pydata_sphinx_theme/static/scripts/fontawesome.js"
    whole = theme.read_text(encoding="utf-8")
    assert len(icons.trimmed(whole, {"bars", "magnifying-glass", "moon"})) < len(whole) / 10


def test_modifiers_are_no_icons() -> None:
    assert icons.icons_in('class="theme-switch fa-solid fa-moon fa-lg"') == {"moon"}
