"""The page says what the emulator assumes."""

from pathlib import Path

from embedstack.emulator.unknowns import Unknowns, rows, table

PAGE = Path(__file__).parents[2] / "docs/runpod.md"


def test_the_page_has_the_table_of_what_nobody_knows() -> None:
    assert table() in PAGE.read_text(), "put the output of embedstack.emulator.unknowns.table() in docs/runpod.md"


def test_every_value_has_a_reason() -> None:
    assert [name for name, _, why in rows() if not why] == []
    assert len(rows()) == len(Unknowns.__dataclass_fields__)
