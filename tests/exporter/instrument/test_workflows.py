"""Workflows: every ending is told apart, on every kind of function, nested or side by side."""

import asyncio
import time

import pytest

from exporter import instrument


@pytest.fixture
def obs(observed):
    return observed.obs


def executions(observed, name):
    return {
        status: observed.value("workflow_executions_total", workflow=name, status=status)
        for status in ("success", "failure", "cancelled", "timeout")
    }


def test_the_series_exist_before_the_first_run(observed, obs):
    """increase() sees the very first failure only when the series was 0 before."""
    obs.workflow("sync")
    assert executions(observed, "sync") == {"success": 0, "failure": 0, "cancelled": 0, "timeout": 0}
    assert observed.value("workflow_executions_in_progress", workflow="sync") == 0


def test_functions_of_every_kind_are_counted_and_keep_their_value(observed, obs):
    """Plain, async, generator and async generator functions: one call is one execution."""

    @obs.workflow("sync")
    def plain(x):
        return x

    @obs.workflow("sync")
    async def coroutine(x):
        return x

    @obs.workflow("sync")
    def generator(x):
        got = yield x
        return got

    @obs.workflow("sync")
    async def async_generator(x):
        yield x

    assert plain(1) == 1
    assert asyncio.run(coroutine(2)) == 2
    steps = generator(3)
    assert next(steps) == 3
    with pytest.raises(StopIteration) as end:
        steps.send("sent")
    assert end.value.value == "sent"

    async def drain():
        return [item async for item in async_generator(4)]

    assert asyncio.run(drain()) == [4]
    assert executions(observed, "sync")["success"] == 4
    assert plain.__name__ == "plain"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("x"), "failure"),
        (TimeoutError(), "timeout"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
def test_endings_are_told_apart_and_exceptions_pass_through(observed, obs, error, status):
    """The exception that ends a run leaves it as the same object."""

    @obs.workflow("sync")
    def run():
        raise error

    with pytest.raises(type(error)) as caught:
        run()
    assert caught.value is error
    assert executions(observed, "sync") == {"success": 0, "failure": 0, "cancelled": 0, "timeout": 0} | {
        status: 1
    }
    assert observed.value("workflow_last_success_timestamp_seconds", workflow="sync") is None


def test_a_task_that_is_cancelled_counts_as_cancelled(observed, obs):
    """Cancellation from outside is neither a success nor a failure."""

    @obs.workflow("sync")
    async def forever():
        await asyncio.Event().wait()

    async def run():
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        assert observed.value("workflow_executions_in_progress", workflow="sync") == 1
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(run())
    assert executions(observed, "sync")["cancelled"] == 1
    assert observed.value("workflow_executions_in_progress", workflow="sync") == 0


def test_steps_belong_to_the_run_they_stand_in(observed, obs):
    """obs.step finds its run in decorated functions, run.step has it; nested runs do not mix."""

    @obs.workflow("inner")
    def inner():
        with obs.step("fetch"):
            pass

    with obs.workflow("outer") as run:
        with run.step("prepare"):
            inner()
        with pytest.raises(LookupError), obs.step("send"):
            raise LookupError
    count = lambda **labels: observed.value("workflow_step_executions_total", **labels)  # noqa: E731
    assert count(workflow="inner", step="fetch", status="success") == 1
    assert count(workflow="outer", step="prepare", status="success") == 1
    assert count(workflow="outer", step="send", status="failure") == 1
    assert observed.value("workflow_step_duration_seconds_count", workflow="outer", step="prepare") == 1


def test_a_step_outside_every_run_is_still_counted(observed, obs):
    """It breaks nothing and shows under the workflow `none`."""
    with obs.step("lonely"):
        pass
    assert (
        observed.value("workflow_step_executions_total", workflow="none", step="lonely", status="success")
        == 1
    )


def test_runs_side_by_side_keep_their_own_steps(observed, obs):
    """Concurrent tasks each have their own current run."""

    async def one(name, gate):
        async with obs.workflow(name):
            await gate.wait()
            with obs.step("only"):
                pass

    async def run():
        gate = asyncio.Event()
        tasks = [asyncio.create_task(one(name, gate)) for name in ("a", "b", "a")]
        await asyncio.sleep(0)
        assert observed.value("workflow_executions_in_progress", workflow="a") == 2
        gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    for name, times in (("a", 2), ("b", 1)):
        labels = {"workflow": name, "step": "only", "status": "success"}
        assert observed.value("workflow_step_executions_total", **labels) == times


def test_the_oldest_run_shows_its_age_while_it_runs(observed, obs):
    """A stuck workflow is visible before it ends."""
    with obs.workflow("sync"):
        first = observed.value("workflow_oldest_running_age_seconds", workflow="sync")
        assert observed.value("workflow_oldest_running_age_seconds", workflow="sync") > first > 0
    assert observed.value("workflow_oldest_running_age_seconds", workflow="sync") == 0


def test_a_success_leaves_its_time(observed, obs):
    """The last success is a Unix timestamp, so that its age can be computed."""
    with obs.workflow("sync"):
        pass
    at = observed.value("workflow_last_success_timestamp_seconds", workflow="sync")
    assert abs(time.time() - at) < 60


def test_generators_hear_what_is_sent_and_thrown_into_them(obs):
    """Decorating one changes nothing for those who talk to it."""

    @obs.workflow("sync")
    def plain():
        try:
            yield (yield "first")
        except ValueError:
            yield "caught"

    @obs.workflow("sync")
    async def asynchronous():
        try:
            yield (yield "first")
        except ValueError:
            yield "caught"

    steps = plain()
    assert [next(steps), steps.send("sent"), steps.throw(ValueError())] == ["first", "sent", "caught"]

    async def talk():
        steps = asynchronous()
        return [await anext(steps), await steps.asend("sent"), await steps.athrow(ValueError())]

    assert asyncio.run(talk()) == ["first", "sent", "caught"]


def test_a_generator_that_is_left_early_ends_its_inner_one(observed, obs):
    """Closing it runs the inner one's clean-up, and the execution counts as cancelled."""
    cleaned = []

    @obs.workflow("sync")
    def plain():
        try:
            yield 1
        finally:
            cleaned.append("plain")

    @obs.workflow("sync")
    async def asynchronous():
        try:
            yield 1
        finally:
            cleaned.append("async")

    next(steps := plain())
    steps.close()

    async def leave():
        await anext(steps := asynchronous())
        await steps.aclose()

    asyncio.run(leave())
    assert cleaned == ["plain", "async"]
    assert executions(observed, "sync")["cancelled"] == 2


def test_a_generator_that_waits_is_not_its_callers_run(observed, obs):
    """Between two items the caller's steps are the caller's."""

    @obs.workflow("items")
    def items():
        for item in range(2):
            with obs.step("make"):
                pass
            yield item

    for _ in items():
        with obs.step("use"):
            pass
    count = lambda **labels: observed.value("workflow_step_executions_total", **labels)  # noqa: E731
    assert count(workflow="items", step="make", status="success") == 2
    assert count(workflow="none", step="use", status="success") == 2
    assert count(workflow="items", step="use", status="success") is None


def test_observers_of_one_registry_share_their_workflows(observed, obs):
    """An application made twice in one process shows each figure once."""
    other = instrument(registry=observed.registry)
    with obs.workflow("sync"), other.workflow("sync"):
        assert observed.value("workflow_executions_in_progress", workflow="sync") == 2
