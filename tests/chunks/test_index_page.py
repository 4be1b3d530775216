"""Pages that are lists of links, and pages that only have some."""

import pytest

from embedstack.chunks.index_page import is_index
from support.work import WASTED, growth

LINKS = "\n".join(f"* [Chapter {n}](ch{n:02}.htm)" for n in range(12))
PROSE = "The river froze in January and the ferries wait behind the breakwater until the ice is thin again. " * 3


@pytest.mark.parametrize(
    "text",
    [
        LINKS,
        f"# Works of a writer, in the order of their years\n\n{LINKS}\n\nLast change in 2003",
        "\n".join(f"[Letter to {n}][l{n}], 1897" for n in "ABCDEFG"),
        "\n".join(f"https://example.org/page/{n}" for n in range(9)),
        "\n".join(f"- [![a picture](p{n}.png)](p{n}.htm)" for n in range(9)),
        "\n".join(f"{n}. [Chapter {n}](c{n}.htm) ... {n * 10}" for n in range(9)),
        "| Year | Work |\n|---|---|\n" + "\n".join(f"| 19{n} | [Work](w{n}.htm) |" for n in range(10, 30)),
        "\n".join(f"* 5 May 19{n}: [A Letter](l{n}.htm)" for n in range(10, 30)),
    ],
)
def test_a_list_of_links_is_an_index(text: str) -> None:
    assert is_index(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROSE,
        f"{PROSE}\n\n{LINKS}",
        LINKS * 4 + "\n\n" + "\n".join(["ten words of a paragraph that somebody wrote by hand"] * 3),
        "\n".join(LINKS.splitlines()[:4]),
        "\n".join(f"- [{n}](a.htm) tells of the river in winter and of its ferries" for n in range(20)),
        "```\n" + "x = [1](2)\n" * 3 + "```",
    ],
)
def test_a_page_with_something_to_read_is_none(text: str) -> None:
    assert not is_index(text)


def test_what_links_lead_to_is_no_line_of_an_index() -> None:
    assert not is_index("A short text.\n\n" + "\n".join(f"[{n}]: https://example.org/{n}" for n in range(40)))


@pytest.mark.parametrize("text", ["[", "[a](", "![", "[a]["])
def test_brackets_without_end_are_work_that_grows_as_they_do(text: str) -> None:
    assert growth(lambda size: is_index(text * size), 2000) < WASTED
