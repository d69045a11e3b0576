"""The models' page carries the numbers that were measured."""

from pathlib import Path

import pytest

from card import filled, tables

MODELS = Path(__file__).parent.parent


def test_the_tables_of_the_models_page_are_the_measured_ones():
    page = (MODELS / "README.md").read_text()
    assert filled(page, tables(MODELS)) == page


def test_a_table_replaces_what_stood_in_its_place_and_nothing_else():
    page = "a\n<!-- evaluation -->\nold\n<!-- end of evaluation -->\nb"
    assert filled(page, {"evaluation": "| new |\n"}) == page.replace("old", "| new |")


def test_a_page_without_the_place_is_refused():
    with pytest.raises(SystemExit, match="'evaluation'"):
        filled("nothing", {"evaluation": ""})
