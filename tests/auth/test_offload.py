import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from auth.errors import Throttled
from auth.offload import GIVES_WAY, Offload


@pytest.fixture
def offload() -> Iterator[Offload]:
    opened = Offload("test", threads=1, waiting=1)
    yield opened
    opened.close()


def test_work_runs_in_another_thread_and_its_result_comes_back(offload: Offload) -> None:
    assert asyncio.run(offload.run(threading.get_ident)) != threading.get_ident()


def test_an_error_of_the_work_comes_back_too(offload: Offload) -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(offload.run(divmod, 1, 0))


@pytest.mark.parametrize("gives_way", [True, False])
def test_what_gives_way_is_nicer_than_the_rest_of_its_process_and_nothing_else_is(gives_way: bool) -> None:
    offload = Offload("test", threads=1, waiting=0, gives_way=gives_way)
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    theirs = asyncio.run(offload.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    offload.close()
    assert theirs == (min(19, ours + GIVES_WAY) if gives_way else ours)
    assert os.getpriority(os.PRIO_PROCESS, 0) == ours


def test_one_more_than_fits_is_refused_at_once_and_the_places_are_free_afterwards(offload: Offload) -> None:
    async def scenario() -> None:
        gate = threading.Event()
        inside = [asyncio.create_task(offload.run(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Throttled):
            await offload.run(gate.wait)
        gate.set()
        assert await asyncio.gather(*inside) == [True, True]
        assert await offload.run(gate.wait)

    asyncio.run(scenario())


def test_a_caller_who_goes_away_does_not_free_the_place_of_work_that_still_runs(offload: Offload) -> None:
    async def scenario() -> None:
        gate, started = threading.Event(), threading.Event()

        def work() -> bool:
            started.set()
            return gate.wait()

        running = asyncio.create_task(offload.run(work))
        await asyncio.to_thread(started.wait)
        running.cancel()
        waiting = asyncio.create_task(offload.run(gate.wait))
        await asyncio.sleep(0)
        with pytest.raises(Throttled):
            await offload.run(gate.wait)
        gate.set()
        assert await waiting

    asyncio.run(scenario())


def test_after_closing_nothing_runs(offload: Offload) -> None:
    offload.close()
    for _ in range(3):
        with pytest.raises(RuntimeError):
            asyncio.run(offload.run(threading.get_ident))
