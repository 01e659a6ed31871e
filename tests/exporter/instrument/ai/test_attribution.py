"""What calls were for and how they turned out, by labels that stay bounded."""

import asyncio
import contextvars
import logging
import threading

import pytest

from exporter.instrument.ai import CATEGORIES
from tests.exporter.instrument.ai.driving import ASK, QUICK

CALL = {"provider": "openai", "model": "m", "operation": "chat", "duration_seconds": 1.0, "cost_usd": 1.0}


def features(watched):
    return watched.by("ai_cost_usd_total", "feature")


def free(watched):
    """Every call costs a dollar."""
    watched.ledger.prices.ask = lambda call, then: then(1.0)
    return watched.obs.ai


def test_calls_inside_have_the_name(watched, sync):
    """Nested, the innermost; afterwards the one around, then none."""
    ai = free(watched)

    async def case(sdk):
        create = sdk.openai.chat.completions.create
        await sdk.do(create(**ASK))
        async with sdk.entered(ai.feature("search")):
            await sdk.do(create(**ASK))
            async with sdk.entered(ai.feature("rerank")):
                await sdk.do(create(**ASK))
            await sdk.do(create(**ASK))

    watched.run(case, sync=sync)
    assert features(watched) == {"none": 1, "search": 2, "rerank": 1}


def test_the_name_goes_into_tasks_and_threads_and_out_of_none(watched):
    """Where contextvars go, it goes; what a task names for itself stays there."""
    ai = free(watched)

    async def case(sdk):
        async def own(name):
            with ai.feature(name):
                await asyncio.sleep(0)
                await sdk.openai.chat.completions.create(**ASK)

        with ai.feature("summary"):
            await asyncio.create_task(sdk.openai.chat.completions.create(**ASK))
            await asyncio.to_thread(ai.record, **CALL)
            await asyncio.gather(own("a"), own("b"))
            await sdk.openai.chat.completions.create(**ASK)

    watched.run(case, sync=False)
    assert features(watched) == {"summary": 3, "a": 1, "b": 1}


def test_a_stream_belongs_to_where_it_began(watched, sync):
    """It may be read after the block, as a web framework does with what a view returns."""
    ai = free(watched)

    async def case(sdk):
        with ai.feature("summary"):
            options = {"include_usage": True}
            stream = await sdk.do(
                sdk.openai.chat.completions.create(**ASK, stream=True, stream_options=options)
            )
        await sdk.all(stream)

    watched.run(case, sync=sync)
    assert features(watched) == {"summary": 1}


def test_a_name_that_ends_in_another_context_is_left_in_peace(watched):
    """A generator that is closed elsewhere raises nothing."""
    feature = watched.obs.ai.feature("summary")
    contextvars.copy_context().run(feature.__enter__)
    feature.__exit__(None, None, None)
    feature.__exit__(None, None, None)


def test_an_exception_passes_the_block(watched):
    """The application's errors are its own."""
    with pytest.raises(KeyError), watched.obs.ai.feature("summary"):
        raise KeyError


def test_with_a_list_only_its_names_are_labels(watched):
    """The rest is `other`, what was seen before the list as well; no name stays `none`."""
    ai = watched.obs.ai
    ai.record(**CALL, feature="early")
    ai.features("summary", "search")
    ai.features("chat")
    for name in ("summary", "search", "chat", "early", "user-4711", ""):
        ai.record(**CALL, feature=name)
    assert features(watched) == {"early": 1, "summary": 1, "search": 1, "chat": 1, "other": 2, "none": 1}


@pytest.mark.parametrize("names", [(), ("",), ("x" * 201,), (5,)])
def test_a_list_of_no_names_is_refused(watched, names):
    """At the start, with the value."""
    with pytest.raises(ValueError, match="a name of 1 to 200 characters is needed, not"):
        watched.obs.ai.features(*names)


def test_without_a_list_fifty_names_are_kept(watched):
    """Whoever puts a user's number there by mistake fills no server."""
    for number in range(60):
        with watched.obs.ai.feature(f"f{number}"):
            watched.obs.ai.record(**CALL)
    found = features(watched)
    assert len(found) == 51
    assert found["other"] == 10


def test_feedback_is_counted_by_task_and_result(watched):
    """All four results are there from the first word on a task, because a share needs all of them."""
    feedback = watched.obs.ai.feedback
    feedback("fraud", "fp")
    feedback("fraud", "tp", model="gpt-5.6-mini")
    feedback("fraud", "tp", model="gpt-5.6-mini")
    counted = watched.samples("ai_feedback_total")
    assert counted == {("fraud", "none", "fp"): 1, ("fraud", "gpt-5.6-mini", "tp"): 2}
    page = watched.obs.store.page().decode()
    assert 'ai_feedback_total{task="fraud",model="gpt-5.6-mini",result="fn"} 0' in page


def test_a_wrong_result_is_counted_and_said_once(watched, caplog):
    """It raises nothing in the request that it comes with."""
    with caplog.at_level(logging.WARNING, "watchkeeper"):
        for _ in range(3):
            watched.obs.ai.feedback("fraud", "right")
    assert watched.seen["failures"] == {"feedback": 3}
    assert watched.samples("ai_feedback_total") == {}
    assert [record.getMessage() for record in caplog.records] == [
        "feedback is one of tp, fp, tn, fn, not 'right'"
    ]


def test_tasks_of_feedback_are_bounded(watched):
    """As features are, and models as everywhere."""
    for number in range(60):
        watched.obs.ai.feedback(f"t{number}", "tn")
    assert len(watched.samples("ai_feedback_total")) == 51
    watched.obs.ai.feedback(["no", "name"], "tn")
    assert watched.samples("watchkeeper_instrumentation_errors_total") == {("ai",): 1}


def test_categories_of_errors_begin_at_zero_with_the_first_call(watched):
    """So that an alert sees the first error as an increase; for twenty models, not for a crowd."""
    watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
    page = watched.obs.store.page().decode()
    for category in CATEGORIES:
        line = f'ai_api_errors_total{{provider="openai",model="{ASK["model"]}",category="{category}"}} 0'
        assert line in page
    for number in range(30):
        watched.obs.ai.record(**CALL | {"model": f"m{number}"})
    assert watched.obs.store.page().decode().count("\nai_api_errors_total{") == 20 * len(CATEGORIES)


def lines(caplog):
    return [record for record in caplog.records if record.name == "watchkeeper.ai"]


def test_one_line_a_call(watched, sync, caplog):
    """With retries, tokens, cost and feature, and not a word of what was asked or answered."""
    ai = free(watched)
    secret, answer = "my prompt is a secret", "so is the answer"

    async def case(sdk):
        watched.fake.fail(429, headers=QUICK)
        watched.fake.say(text=answer, input=100, cached=60, output=20, reasoning=5)
        with ai.feature("summary"):
            messages = [{"role": "user", "content": secret}]
            await sdk.do(sdk.openai.chat.completions.create(model="m", messages=messages))

    with caplog.at_level(logging.INFO, "watchkeeper.ai"):
        watched.run(case, sync=sync)
    (line,) = lines(caplog)
    told = vars(line)
    assert line.getMessage() == "ai_call"
    expected = {
        "provider": "openai",
        "model": "m",
        "operation": "chat",
        "outcome": "success",
        "status": 200,
        "attempts": 2,
        "tokens": dict(watched.fake.told),
        "cost_usd": 1.0,
        "feature": "summary",
        "request_id": "req_1",
    }
    assert {name: told[name] for name in expected} == expected
    assert told["duration_ms"] > 0
    assert not {"ttfc_ms", "category", "trace_id"} & set(told)
    assert secret not in str(told)
    assert answer not in str(told)


def test_the_line_of_a_failed_stream_says_so(watched, sync, caplog):
    """Category, status and the first chunk's time are there; cost and tokens are not, as nobody knows."""

    async def case(sdk):
        watched.fake.say(error_after=2, type="server_error")
        stream = await sdk.do(sdk.openai.chat.completions.create(**ASK, stream=True))
        with pytest.raises(Exception, match="told to fail"):
            await sdk.all(stream)

    with caplog.at_level(logging.INFO, "watchkeeper.ai"):
        watched.run(case, sync=sync)
    (line,) = lines(caplog)
    assert (line.outcome, line.category, line.status) == ("error", "provider_error", 200)
    assert 0 < line.ttfc_ms <= line.duration_ms
    assert not {"cost_usd", "tokens"} & set(vars(line))


def test_the_line_has_the_trace_of_the_code_that_called(watched, caplog):
    """Though the price came later and from another thread."""
    from exporter.instrument import _context

    gate, seen = threading.Event(), []

    def later(call, then):
        def work():
            gate.wait(10)
            then(1.0)

        seen.append(threading.Thread(target=work))
        seen[0].start()

    watched.ledger.prices.ask = later
    context = _context.Context("0af7651916cd43dd8448eb211c80319c")
    with caplog.at_level(logging.INFO, "watchkeeper.ai"):
        token = _context.CURRENT.set(context)
        watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
        _context.CURRENT.reset(token)
        gate.set()
        seen[0].join()
    (line,) = lines(caplog)
    assert line.trace_id == context.trace_id


def test_without_a_request_the_trace_is_that_of_the_span(watched, caplog):
    """In a worker that OpenTelemetry watches."""
    trace = pytest.importorskip("opentelemetry.trace")
    span = trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, False, trace.TraceFlags(1)))
    with caplog.at_level(logging.INFO, "watchkeeper.ai"), trace.use_span(span):
        watched.obs.ai.record(**CALL)
    assert lines(caplog)[0].trace_id == f"{0xABC:032x}"


def test_lines_are_off_where_nobody_wants_them(watched, caplog):
    """Nothing is even prepared while the logger is not enabled, and the application can say no."""
    with caplog.at_level(logging.WARNING, "watchkeeper.ai"):
        watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
    watched.obs.ai.log_calls(False)
    with caplog.at_level(logging.INFO, "watchkeeper.ai"):
        watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
        watched.obs.ai.record(**CALL)
    assert lines(caplog) == []
    assert watched.seen["failures"] == {}


def test_two_observers_write_one_line(watched, caplog):
    """The first that wants lines; a call is one call."""
    from tests.exporter.instrument.ai.driving import Watched

    watched.obs.ai.log_calls(False)
    others = [Watched(watched.fake) for _ in range(2)]
    try:
        with caplog.at_level(logging.INFO, "watchkeeper.ai"):
            watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
    finally:
        for other in others:
            other.obs.uninstrument()
    assert len(lines(caplog)) == 1


def test_a_handler_that_fails_is_our_problem(watched, caplog):
    """A filter of the application's own may raise; the answer arrives, and the failure is counted."""

    class Broken(logging.Filter):
        def filter(self, record):
            raise RuntimeError("theirs")

    logger, broken = logging.getLogger("watchkeeper.ai"), Broken()
    logger.addFilter(broken)
    try:
        with caplog.at_level(logging.INFO, "watchkeeper.ai"):
            watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
    finally:
        logger.removeFilter(broken)
    assert watched.samples("watchkeeper_instrumentation_errors_total") == {("ai",): 1}
    assert watched.seen["calls"] == {("openai", ASK["model"], "chat", "success"): 1}
