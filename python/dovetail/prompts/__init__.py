"""What models are told: of tools, examples, questions and outputs."""

from dovetail.prompts.joiner_prompt import JoinerPrompt
from dovetail.prompts.planner_prompt import PlannerPrompt

__all__ = ["JoinerPrompt", "PlannerPrompt"]
