"""Tools of your own: every function under `@tool` is one.

Try them with a recorded model:
dovetail run --model replay:examples/everest.jsonl --tools examples/tools.py "How high is Mount Everest in feet?"
"""

import asyncio

from dovetail import Example, tool

HEIGHTS = {"Mount Everest": 8849, "Mont Blanc": 4806, "Burj Khalifa": 828}

# Plans to learn from: the two nearest to a question are shown to the planner.
EXAMPLES = [
    Example(
        "How high is Mont Blanc in feet?",
        'Thought: its height is needed first.\n1. height("Mont Blanc")\n2. feet($1)\n3. join()',
    ),
]


@tool(read_only=True)
async def height(name: str) -> int:
    """The height of a mountain or a building in metres.

    Args:
        name: its name, such as Mont Blanc.
    """
    await asyncio.sleep(0.3)  # as a service would take
    if name not in HEIGHTS:
        raise ValueError(f"no height is known of {name}")
    return HEIGHTS[name]


@tool(read_only=True)
def feet(metres: float) -> float:
    """Metres in feet."""
    return round(metres / 0.3048)
