from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from modelgrid.gateway.holding import HeldError, Holding
from modelgrid.gateway.upstream import AbandonedError, Call


def never() -> bool:
    return False


def waiting(holding: Holding, **changes: Any) -> asyncio.Task[None]:
    options: dict[str, Any] = {"size": 1, "seconds": 10.0, "most": 10, "call": Call()}
    released = changes.pop("released", never)
    return asyncio.get_running_loop().create_task(holding.wait(released, **(options | changes)))


async def begun(*tasks: asyncio.Task[None]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


def test_those_that_are_released_go_on_in_the_order_in_which_they_came() -> None:
    async def main() -> None:
        holding = Holding(lambda: None)
        open_routes: set[str] = set()
        order: list[str] = []
        tasks = []
        for name in ("a", "b", "c", "b"):
            task = waiting(holding, released=partial(open_routes.__contains__, name))
            task.add_done_callback(partial(lambda name, _: order.append(name), name))
            tasks.append(task)
        await begun(*tasks)
        open_routes |= {"b", "c"}
        holding.wake()
        await asyncio.wait(tasks[1:])

        assert order == ["b", "c", "b"]
        assert holding.count == 1
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert holding.count == 0

    asyncio.run(main())


def test_bodies_beyond_what_may_wait_are_told_to_come_back() -> None:
    async def main() -> None:
        holding = Holding(lambda: None, most_bytes=100)
        first = waiting(holding, size=60)
        await begun(first)
        with pytest.raises(HeldError):
            await waiting(holding, size=41)
        second = waiting(holding, size=40)
        await begun(second)
        first.cancel()
        await asyncio.wait([first])
        third = waiting(holding, size=60)
        await begun(second, third)
        assert holding.count == 2
        for task in (second, third):
            task.cancel()
        await asyncio.wait([second, third])

    asyncio.run(main())


def test_each_change_of_the_count_is_told() -> None:
    async def main() -> None:
        counts: list[int] = []
        holding = Holding(lambda: counts.append(holding.count))
        call = Call()
        task = waiting(holding, call=call)
        await begun(task)
        call.abandon()
        with pytest.raises(AbandonedError):
            await task
        with pytest.raises(HeldError):
            await waiting(holding, seconds=0.01)
        assert counts == [1, 0, 1, 0]

    asyncio.run(main())
