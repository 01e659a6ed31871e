"""What becomes of envelopes when Sentry refuses, when scrubbing fails, and when processes fork."""

import json
import socket

import pytest

from tests.exporter.instrument.sentry.conftest import run


def numbers(page):
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line[0] != "#"
    }


def test_a_rate_limit_is_said_and_ends(own_receiver):
    """429 makes health degraded until the time that Sentry named; what is held back meanwhile is counted."""
    answers = iter([(429, {"Retry-After": "1"})])
    own_receiver.answer = lambda: next(answers, (200, {}))
    said = run(
        """
        import time, sentry_sdk
        sentry.init_sentry(sentry.SentryOptions(sdk=LIGHT))
        def report():
            sentry_sdk.capture_message("x")
            sentry_sdk.flush(5)
            say({**sentry.health(), "delivery": sentry.delivery()})
        say(sentry.delivery())
        report(), report()
        time.sleep(max(0, sentry.health()["rate_limited_until"] - time.time()) + 0.05)
        report()
        """,
        SENTRY_DSN=own_receiver.dsn,
    ).said
    before, limited, still, after = said
    assert before is None
    assert (limited["status"], limited["reason"], limited["delivery"]) == (
        "degraded",
        "rate_limited",
        "rate_limited",
    )
    assert (limited["dropped"], limited["delivered"], limited["last_delivery"]) == (1, 0, None)
    assert still["dropped"] >= 2
    assert still["rate_limited_until"] is not None
    assert (after["status"], after["delivery"], after["rate_limited_until"]) == ("healthy", "", None)
    assert len(own_receiver.events()) == 1


@pytest.mark.parametrize(("answer", "outcome"), [(500, "refused"), (None, "unreachable")])
def test_a_lost_envelope_is_counted_and_health_says_so(own_receiver, answer, outcome):
    """Whether Sentry does not want it or nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://key@127.0.0.1:{closed.getsockname()[1]}/42"
    own_receiver.answer = lambda: (answer, {})
    health, page = run(
        """
        import sentry_sdk
        from exporter.store import Store
        sentry.init_sentry(sentry.SentryOptions(sdk=LIGHT))
        sentry_sdk.capture_message("x")
        sentry_sdk.flush(5)
        say(sentry.health())
        say(Store.of().page().decode())
        """,
        SENTRY_DSN=own_receiver.dsn if answer else nowhere,
    ).said
    assert (health["status"], health["reason"]) == ("degraded", outcome)
    assert numbers(page)[f'sentry_envelopes_total{{outcome="{outcome}"}}'] >= 1
    assert numbers(page)['sentry_envelopes_total{outcome="sent"}'] == 0


def test_what_cannot_be_scrubbed_stays_in_the_process(own_receiver):
    """A scrubber that fails costs the event and not the secret; the loss is counted by kind."""
    health, page = run(
        """
        import sentry_sdk
        from exporter.instrument.pii import Scrubber
        from exporter.store import Store
        class Broken(Scrubber):
            def value(self, value):
                if "hunter2" in str(value):
                    raise RuntimeError("broken")
                return super().value(value)
        sentry.init_sentry(sentry.SentryOptions(scrubber=Broken(), sdk=LIGHT))
        sentry_sdk.capture_message("about hunter2")
        sentry_sdk.capture_message("about the weather")
        sentry_sdk.flush(5)
        say(sentry.health())
        say(Store.of().page().decode())
        """,
        SENTRY_DSN=own_receiver.dsn,
    ).said
    assert [event["message"] for event in own_receiver.events()] == ["about the weather"]
    assert b"hunter2" not in b"".join(envelope.text for envelope in own_receiver.envelopes)
    assert health["withheld_items"] == 1
    assert numbers(page)['sentry_items_withheld_total{kind="event"}'] == 1


def test_a_forked_worker_reports_its_own_errors_once(own_receiver):
    """What waits in the parent's queue is not sent by the child as well, and the child can send."""
    run(
        """
        import sentry_sdk, time
        sentry.init_sentry(sentry.SentryOptions(sdk=LIGHT))
        transport = sentry_sdk.get_client().transport
        for number in range(5):
            sentry_sdk.capture_message(f"parent {number}")
        child = os.fork()
        sentry_sdk.capture_message("after the fork in " + ("the parent" if child else "the child"))
        sentry_sdk.flush(5)
        if not child:
            assert sentry.health()["delivered"] == 1, sentry.health()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """,
        SENTRY_DSN=own_receiver.dsn,
    )
    found = sorted(event["message"] for event in own_receiver.events())
    wanted = [f"parent {number}" for number in range(5)]
    assert found == ["after the fork in the child", "after the fork in the parent", *wanted]


def test_the_sdks_other_ways_out_are_shut(own_receiver):
    """Neither Spotlight nor the printing of envelopes shows what is not scrubbed."""
    program = run(
        """
        import sentry_sdk
        sentry.init_sentry(sentry.SentryOptions(sdk=LIGHT))
        sentry_sdk.capture_message("mail a.person@leak-planted.example")
        sentry_sdk.flush(5)
        """,
        SENTRY_DSN=own_receiver.dsn,
        SENTRY_PRINT_ENVELOPES="1",
        SENTRY_SPOTLIGHT=f"{own_receiver.url}/stream",
    )
    assert [event["message"] for event in own_receiver.events()] == ["mail [email]"]
    assert own_receiver.other == []
    assert "leak-planted" not in program.log
    assert "SENTRY_PRINT_ENVELOPES is ignored" in program.log


def test_payment_security_and_fatal_errors_are_never_sampled_away(own_receiver):
    """At a sample rate of 0 they all arrive, and nothing else does."""
    run(
        """
        import sentry_sdk
        class CardDeclinedError(Exception): pass
        class AuthenticationFailed(Exception): pass
        class OddError(Exception): pass
        sentry.init_sentry(sentry.SentryOptions(sdk=LIGHT))
        for number in range(5):
            for error in (CardDeclinedError(number), AuthenticationFailed(number), OddError(number)):
                sentry.capture_exception_with_context(error)
        sentry.capture_exception_with_context(OddError("bad"), level="fatal")
        sentry.capture_exception_with_context(OddError("of money"), category="payment")
        sentry_sdk.flush(5)
        """,
        SENTRY_DSN=own_receiver.dsn,
        SENTRY_SAMPLE_RATE="0",
    )
    kinds = [event["exception"]["values"][0]["type"] for event in own_receiver.events()]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counts == {"CardDeclinedError": 5, "AuthenticationFailed": 5, "OddError": 2}


def test_values_that_json_does_not_have_do_not_stop_the_rest(own_receiver):
    """Not-a-number and objects of the application arrive as texts, or are withheld; other events go on."""
    run(
        """
        import sentry_sdk
        sentry.init_sentry(sentry.SentryOptions(sdk=LIGHT))
        odd = {"nan": float("nan"), "object": object(), "deep": [[[[[[1]]]]]], 7: "seven"}
        sentry_sdk.set_context("odd", odd)
        sentry_sdk.capture_message("odd")
        with sentry_sdk.new_scope() as scope:
            scope.clear()
            scope.capture_message("plain")
        sentry_sdk.flush(5)
        """,
        SENTRY_DSN=own_receiver.dsn,
    )
    events = {event["message"]: event for event in own_receiver.events()}
    assert "plain" in events
    assert json.dumps(events["odd"]["contexts"]["odd"])
