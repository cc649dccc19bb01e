"""Gates under random schedules: what must never overlap never does, one call is made of many, nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.calls.gates import Gates
from dovetail.tools.call import Call
from dovetail.tools.definition import Tool
from dovetail.tools.policy import Policy
from dovetail.v1 import Failure, FailureReason

LOOKS = Policy(cache=60, max_parallel=3)
KEYED = [
    Policy(exclusive="a"),
    Policy(exclusive=("a", "b")),
    Policy(exclusive="b", max_parallel=2),
    Policy(exclusive="c"),
]


def tool(name: str, policy: Policy, *, read_only: bool = False) -> Tool:
    return Tool(name, "", {"type": "object"}, read_only=read_only, policy=policy)


class Runs:
    """Every run at once: has calls made through gates, and settles, fails and cancels them as the dice say."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.gates = Gates(self.enter)
        self.inside: list[Call] = []
        self.outcomes: dict[Call, str] = {}
        self.made: Counter[str] = Counter()

    # As the backend.

    def enter(self, call: Call) -> None:
        self.inside.append(call)
        self.made[call.arguments_json] += 1
        self.check()

    def check(self) -> None:
        keys = Counter(key for call in self.inside for key in call.tool.policy.exclusive)
        assert all(count == 1 for count in keys.values())
        tools = Counter(call.tool.name for call in self.inside)
        for call in self.inside:
            most = call.tool.policy.max_parallel
            assert most is None or tools[call.tool.name] <= most
        cached = Counter(call.arguments_json for call in self.inside if call.tool.policy.cache)
        assert all(count == 1 for count in cached.values())

    # As the owner of the calls.

    def waiting(self, call: Call, ahead: int) -> None:
        assert ahead >= 0

    def succeeded(self, call: Call, output_json: str, *, cached: bool) -> None:
        self.settle(call, "cached" if cached else "output")
        self.gates.succeeded(call, output_json)

    def failed(self, call: Call, failure: Failure, *, may_be_repeated: bool) -> None:
        self.settle(call, "failure")
        self.gates.failed(call, failure.reason)

    def settle(self, call: Call, outcome: str) -> None:
        assert call not in self.outcomes
        self.outcomes[call] = outcome
        call.over = True

    # What happens.

    def arrive(self, tool: Tool, number: int) -> Call:
        call = Call(self, tool, f"run-{number % 3}", number, f'{{"n":{self.dice.randrange(4)}}}')  # type: ignore[arg-type]
        self.gates.admit(call)
        return call

    def go_on(self) -> None:
        """One of those that are inside comes to an end."""
        call = self.inside.pop(self.dice.randrange(len(self.inside)))
        if self.dice.random() < 0.3:
            call.fail(FailureReason.FAILURE_REASON_TOOL_ERROR, "no")
        else:
            call.succeed('"yes"')

    def withdraw(self, call: Call) -> None:
        call.over = True
        self.outcomes[call] = "withdrawn"
        assert self.gates.let_through(call) == (call in self.inside)
        if call in self.inside:
            self.inside.remove(call)
        self.gates.withdraw(call)

    async def play(self, tools: list[Tool], count: int) -> list[Call]:
        """Calls come, end and are withdrawn in any order, until all that came have ended."""
        calls: list[Call] = []
        while len(calls) < count or self.inside:
            dice = self.dice.random()
            if len(calls) < count and (dice < 0.6 or not self.inside):
                calls.append(self.arrive(self.dice.choice(tools), len(calls)))
            elif dice < 0.9:
                self.go_on()
            elif waiting := [call for call in calls if not call.over]:
                self.withdraw(self.dice.choice(waiting))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return calls


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_calls_that_share_a_key_or_a_limit_never_overlap_and_all_of_them_end(seed: int) -> None:
    async def main() -> None:
        runs = Runs(seed)
        calls = await runs.play([tool(f"t{n}", policy) for n, policy in enumerate(KEYED)], 60)
        assert set(runs.outcomes) == set(calls)

    asyncio.run(asyncio.wait_for(main(), 20))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_of_identical_calls_one_is_made_and_all_have_its_output(seed: int) -> None:
    async def main() -> None:
        runs = Runs(seed)
        calls = await runs.play([tool("look", LOOKS, read_only=True)], 60)
        assert set(runs.outcomes) == set(calls)
        # After the first success nothing is called any more: what was made besides failed or was withdrawn.
        for arguments in {call.arguments_json for call in calls}:
            mine = [call for call in calls if call.arguments_json == arguments]
            assert sum(runs.outcomes[call] == "output" for call in mine) <= 1

    asyncio.run(asyncio.wait_for(main(), 20))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_an_open_circuit_lets_one_trial_through_at_a_time(seed: int) -> None:
    async def main() -> None:
        runs = Runs(seed)
        ill = tool("ill", Policy(breaker_failures=2, breaker_pause=1e-6))
        for number in range(2):
            runs.arrive(ill, number)
        for call in list(runs.inside):
            call.fail(FailureReason.FAILURE_REASON_TOOL_ERROR, "no")
        runs.inside.clear()
        await asyncio.sleep(0.001)
        late = [runs.arrive(ill, number) for number in range(2, 12)]
        assert len(runs.inside) == 1
        for _ in range(3):
            await asyncio.sleep(0)
        assert sum(runs.outcomes.get(call) == "failure" for call in late) == 9

    asyncio.run(asyncio.wait_for(main(), 20))
