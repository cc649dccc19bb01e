"""What a plan is bound to beside its tools."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.grammar.schema import MAX_STRING

__all__ = ["Terms"]


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a plan may be, and what it may refer to.

    Attributes:
        max_tasks: how many tasks it may have.
        first_id: the id of its first task.
        earlier_ids: the tasks of earlier plans that may be referred to, ascending.
        thought: whether a thought may come first.
        max_string: how many characters a string may have, unless a schema demands more.

    Raises:
        ValueError: ``max_tasks``, ``first_id`` or ``max_string`` is less than 1, or an earlier id is not less than
            ``first_id``.
    """

    max_tasks: int = 16
    first_id: int = 1
    earlier_ids: tuple[int, ...] = ()
    thought: bool = False
    max_string: int = MAX_STRING

    def __post_init__(self) -> None:
        for name, value in (
            ("max_tasks", self.max_tasks),
            ("first_id", self.first_id),
            ("max_string", self.max_string),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.earlier_ids and self.earlier_ids[-1] >= self.first_id:
            raise ValueError(f"earlier task {self.earlier_ids[-1]} is not earlier than the first id {self.first_id}")
