"""Whoever reads a figure finds the command that made it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_benchmark_has_a_section_that_begins_with_its_command() -> None:
    text = (ROOT / "docs/reference/benchmarks.md").read_text()
    titles = "\n".join(re.findall(r"^## .*$", text, re.MULTILINE)).replace("-", "_")
    names = [path.stem for folder in ("bench_*.py", "probe_*.py") for path in (ROOT / "benchmarks").glob(folder)]
    assert names
    assert [name for name in names if name not in titles] == []


def test_each_result_file_says_how_it_was_made() -> None:
    told = (ROOT / "docs/evidence/README.md").read_text()
    files = [path.name for path in (ROOT / "docs/evidence").glob("*.json")]
    assert files
    assert [name for name in files if f"`{name}`" not in told] == []
