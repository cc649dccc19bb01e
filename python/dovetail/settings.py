"""Settings of the command line."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr, field_validator

from dovetail.answer_schema import read_answer_schema
from dovetail.models.protocol import GrammarDialect  # noqa: TC001 - pydantic reads the annotations
from dovetail.prompts.planner_prompt import ExamplesAs  # noqa: TC001 - pydantic reads the annotations
from dovetail.runs.limits import Limits
from dovetail.runs.run_options import RunOptions, StrategyName
from dovetail.setting_layers import LayeredSettings, Names, split_names

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Settings", "load_settings"]

_LIMITS = ("deadline", "max_replans", "max_tasks", "max_parallel_calls", "max_tokens", "max_cost")


class Settings(LayeredSettings):
    """What the command line is told. None stands for what is left to Dovetail or to the provider."""

    files = frozenset({"answer_schema", "examples", "joiner_prompt", "prompt", "policies", "prices"})
    options = {"max_parallel_calls": "--max-parallel", "examples": "--example"}  # noqa: RUF012 - see the base

    model: str | None = None
    """The model that plans, as ``provider:name``."""
    joiner: str | None = None
    """The model that joins outputs into an answer; the planner's if None."""
    base_url: str | None = None
    """Where the API of the model's server is."""
    api_key: SecretStr | None = None
    timeout: float | None = Field(None, gt=0, allow_inf_nan=False)
    """How many seconds the model's server may be silent."""
    max_in_flight: int | None = Field(None, gt=0, lt=2**31)
    """How many requests may be in flight at a model's server."""
    grammar_dialect: GrammarDialect | None = None
    """The notation in which the model's server takes grammars."""
    tools: Names = ()
    """SPECs. In the environment separated by commas; in a file, paths are relative to it."""
    policies: Path | None = None
    """A file of policies (see `dovetail.tools.policy_file`)."""
    prices: Path | None = None
    """A file of what models cost (see `dovetail.prices`)."""
    allow: Names = ()
    """Names and patterns of the tools that runs may use; all if there are none."""
    deny: Names = ()
    """Names and patterns of those that they may not use."""
    require_approval: Names = ()
    """Which calls need approval, besides those of tools that say so (see `dovetail.calls.approval_rules`)."""
    max_tools: int | None = Field(None, gt=0, lt=2**31)
    """How many tools the planner is shown; of more, the most relevant."""
    examples: Names = ()
    """Files of examples."""
    max_examples: int | None = Field(None, gt=0, lt=2**31)
    """How many examples the planner is shown; of more, the nearest to the question."""
    examples_as: ExamplesAs | None = None
    """Where examples stand in the prompt."""
    prompt: Path | None = None
    """The file of the planner's prompt (see `dovetail.prompts.planner_prompt.PlannerPrompt`)."""
    joiner_prompt: Path | None = None
    """The file of the joiner's prompt (see `dovetail.prompts.joiner_prompt.JoinerPrompt`)."""
    strategy: StrategyName | None = None
    """How answers are found; ``compile`` if None."""
    answer_schema: Path | None = None
    """A file with the JSON Schema that answers must fit."""
    cite: bool = False
    """Whether answers name the tasks that they rest on."""
    notes: str | None = None
    """What the planner and the joiner are told besides."""
    replan_on_failure: bool = False
    """Whether a failed task leads to another plan."""
    deadline: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_replans: int | None = Field(None, ge=0, lt=2**31)
    max_tasks: int | None = Field(None, gt=0, lt=2**31)
    max_parallel_calls: int | None = Field(None, gt=0, lt=2**31)
    max_tokens: int | None = Field(None, gt=0, lt=2**63)
    max_cost: float | None = Field(None, gt=0, allow_inf_nan=False)

    _split = field_validator("tools", "examples", "allow", "deny", "require_approval", mode="before")(split_names)

    def limits(self) -> Limits:
        """The bounds of a run."""
        given = {name: getattr(self, name) for name in _LIMITS if getattr(self, name) is not None}
        return Limits(**given)

    def run_options(self) -> RunOptions:
        """What is asked of a run besides its question.

        Raises:
            UsageError: the file of the schema cannot be read, or an option cannot be used.
        """
        return RunOptions(cite=self.cite, replan_on_failure=self.replan_on_failure).but(
            strategy=self.strategy,
            notes=self.notes,
            answer_schema=None if self.answer_schema is None else read_answer_schema(self.answer_schema),
        )


def load_settings(options: Mapping[str, object] | None = None, *, config: str | Path | None = None) -> Settings:
    """Gather the settings of the command line, as `LayeredSettings.load` does.

    Raises:
        UsageError: the file cannot be read, or a setting is unknown or has the wrong type.
    """
    return Settings.load(options, config=config)
