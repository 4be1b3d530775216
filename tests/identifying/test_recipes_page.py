"""docs/identify.md shows what is proven, and nothing else."""

from support.recipes import PAGE, with_table


def test_the_table_is_that_of_the_recipes_that_are_tried() -> None:
    page = PAGE.read_text()

    assert page == with_table(page), "out of date; run: PYTHONPATH=tests python -m support.recipes"
