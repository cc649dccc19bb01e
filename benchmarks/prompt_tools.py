"""The tools that planners are told of when their prompts are counted: plain functions, for Dovetail and its peer alike.

Imports nothing of ours: the interpreter that drives the peer reads this file too. Annotations are real and not
postponed, because the peer writes them into its prompt as they stand.
"""

from typing import Any, Literal

__all__ = ["functions"]

_THINGS = ("city", "river", "film", "song", "hotel", "recipe", "stock", "match", "museum", "flight")


def functions(count: int, arguments_told: bool) -> list[Any]:
    """So many functions, at most 40, each with its name, its arguments' types and a sentence that says what it does.

    Args:
        count: how many.
        arguments_told: whether their docstrings say more: what each argument is, and what is returned.
    """
    made = [function for thing in _THINGS for function in _of(thing, arguments_told)]
    return made[:count]


def _of(thing: str, arguments_told: bool) -> list[Any]:
    def find(query: str, limit: int = 5) -> list[str]:
        raise NotImplementedError

    def get(name: str) -> dict[str, Any]:
        raise NotImplementedError

    def rate(name: str, scale: Literal["stars", "points", "percent"] = "stars") -> float:
        raise NotImplementedError

    def rank(names: list[str], by: str, descending: bool = True) -> list[str]:
        raise NotImplementedError

    told = {
        find: (
            f"Finds a {thing} by a few words and returns the names that fit, the best first.",
            {"query": "A few words that say what is looked for.", "limit": "The largest number of names to return."},
            "The names, the best first.",
        ),
        get: (
            f"Returns what is known of a {thing}: its full name, where it is, and its most important numbers.",
            {"name": f"The name of the {thing}."},
            "What is known, by name.",
        ),
        rate: (
            f"Returns how people rate a {thing}, on the scale that is asked for.",
            {"name": f"The name of the {thing}.", "scale": "Up to five stars, up to ten points, or up to 100 percent."},
            "The mean of all ratings.",
        ),
        rank: (
            f"Puts several of the kind {thing} in order by one of their numbers and returns their names.",
            {"names": "What to put in order.", "by": "The name of the number.", "descending": "The largest first."},
            "The names in their order.",
        ),
    }
    for function, (sentence, arguments, returned) in told.items():
        function.__name__ = function.__qualname__ = f"{function.__name__}_{thing}"
        function.__doc__ = sentence
        if arguments_told:
            listed = "".join(f"    {name}: {meaning}\n" for name, meaning in arguments.items())
            function.__doc__ += f"\n\nArgs:\n{listed}\nReturns:\n    {returned}\n"
    return list(told)
