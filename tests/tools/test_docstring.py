"""What a docstring says is found, in whatever shape it is written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dovetail.tools.docstring import Docstring


def test_the_description_ends_where_the_first_section_begins() -> None:
    docstring = Docstring.parse(
        "One.\n\n    Two:\n    three.\n\n    Raises:\n        X: never.\n    Args:\n        a: b\n"
    )
    assert docstring.description == "One.\n\nTwo:\nthree."
    assert docstring.arguments == {"a": "b"}


def test_a_line_that_only_looks_like_a_heading_is_text() -> None:
    docstring = Docstring.parse("Returns: nothing\n\nArgs:\nnot indented")
    assert docstring.description == "Returns: nothing\n\nArgs:\nnot indented"
    assert docstring.arguments == {}


def test_arguments_may_have_types_stars_and_several_lines() -> None:
    docstring = Docstring.parse(
        """Do it.

        Arguments:
            a (dict[str, int], optional): the first.
            *b: the second
              goes on: here.

            c: the third
            no entry
        Returns:
            dict[str, int] | None: the sum
        """
    )
    assert docstring.arguments == {"a": "the first.", "b": "the second goes on: here.", "c": "the third"}
    assert docstring.returns == "the sum"


def test_a_colon_in_the_return_text_stays() -> None:
    assert Docstring.parse("x\n\nReturns:\n    One of two: a or b.").returns == "One of two: a or b."


def test_no_docstring_is_an_empty_one() -> None:
    assert Docstring.parse(None) == Docstring()


@given(st.text(alphabet="Args:Returns \n\ta(*)", max_size=80))
def test_every_text_gives_something(text: str) -> None:
    Docstring.parse(text)
