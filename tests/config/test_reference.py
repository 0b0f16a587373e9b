"""The generated reference pages say what the code says."""

from pathlib import Path

from config.management.commands.write_reference import PAGES

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


def test_the_generated_pages_are_up_to_date():
    stale = [name for name, page in PAGES.items() if (REFERENCE / name).read_text() != page()]

    assert stale == [], "run manage.py write_reference"
