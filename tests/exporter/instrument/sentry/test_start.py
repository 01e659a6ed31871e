"""When Sentry is on, who may start it, and that nothing is imported while it is off."""

import re

from tests.exporter.instrument.sentry.conftest import run

DSN = "http://4bf92f3577b34da6a3ce929d0e0e4736@127.0.0.1:9/42"


def test_nothing_is_imported_while_it_is_off():
    """Without a DSN, with SENTRY_ENABLED=false and with sentry=False; the helpers do nothing then."""
    program = run(
        f"""
        cases = [
            (None, dict()),
            (None, dict(SENTRY_DSN="")),
            (None, dict(SENTRY_DSN="{DSN}", SENTRY_ENABLED="false")),
            (False, dict(SENTRY_DSN="{DSN}")),
        ]
        for wanted, environment in cases:
            os.environ.update(environment)
            instrument(sentry=wanted)
            for name in environment: del os.environ[name]
            say([name for name in sys.modules if name.startswith("sentry_sdk")])
        sentry.set_user_context(7, email="x")
        sentry.set_transaction_context("x", y=1)
        say([sentry.capture_exception_with_context(ValueError("x"), user_id=7), sentry.health()["status"]])
        say(sentry.delivery())
        """
    )
    assert program.said == [[], [], [], [], [None, "off"], "stopped"]


def test_the_environment_is_never_guessed_as_production():
    """Unset is development, with a warning; the release is the git revision, read without a process."""
    program = run(
        """
        import subprocess
        class Refused(subprocess.Popen):
            def __init__(self, *arguments, **options): raise AssertionError(arguments)
        subprocess.Popen = Refused
        instrument(sentry={"sdk": LIGHT})
        import sentry_sdk
        options = sentry_sdk.get_client().options
        say([options["environment"], options["release"]])
        """,
        SENTRY_DSN=DSN,
    )
    ((environment, release),) = program.said
    assert environment == "development"
    assert re.fullmatch("[0-9a-f]{40}", release)
    assert "set SENTRY_ENVIRONMENT" in program.log
    assert "Sentry is on, project 42 at 127.0.0.1: environment development" in program.log


def test_a_later_start_by_somebody_else_is_refused(own_receiver):
    """It would send unscrubbed; the warning names the place, and errors go on to the right project."""
    program = run(
        """
        instrument(sentry={"sdk": LIGHT})
        import sentry_sdk
        sentry_sdk.init(dsn="http://other@127.0.0.1:9/7", auto_enabling_integrations=False)
        sentry_sdk.capture_message("mail a.person@leak-planted.example")
        sentry_sdk.flush(5)
        say(sentry.health()["status"])
        """,
        SENTRY_DSN=own_receiver.dsn,
    )
    assert program.said == ["healthy"]
    assert "sentry_sdk.init() was called at <string>:" in program.log
    assert [event["message"] for event in own_receiver.events()] == ["mail [email]"]


def test_a_client_of_the_applications_own_is_left_alone_unless_asked(own_receiver):
    """By the environment alone we do not take over; with sentry=True we do, and close the other one."""
    program = run(
        """
        import sentry_sdk
        sentry_sdk.init(dsn=os.environ["SENTRY_DSN"], auto_enabling_integrations=False)
        theirs = sentry_sdk.get_client()
        instrument()
        say(sentry_sdk.get_client() is theirs)
        instrument(sentry={"sdk": LIGHT})
        say(sentry_sdk.get_client() is theirs)
        sentry_sdk.capture_message("mail a.person@leak-planted.example")
        sentry_sdk.flush(5)
        """,
        SENTRY_DSN=own_receiver.dsn,
    )
    assert program.said == [True, False]
    assert "sentry=True takes over" in program.log
    assert [event["message"] for event in own_receiver.events()] == ["mail [email]"]


def test_the_last_observer_stops_it(own_receiver):
    """uninstrument() sends what waits, and nothing afterwards; then the application may start its own."""
    program = run(
        """
        from fastapi import FastAPI
        one, two = instrument(FastAPI(), sentry={"sdk": LIGHT}), instrument(FastAPI(), sentry={"sdk": LIGHT})
        import sentry_sdk
        one.uninstrument()
        sentry_sdk.capture_message("first")
        two.uninstrument()
        say(sentry.health()["status"])
        sentry_sdk.capture_message("second")
        sentry_sdk.init(dsn=os.environ["SENTRY_DSN"], auto_enabling_integrations=False)
        sentry_sdk.capture_message("third")
        sentry_sdk.flush(5)
        """,
        SENTRY_DSN=own_receiver.dsn,
    )
    assert program.said == ["off"]
    assert [event["message"] for event in own_receiver.events()] == ["first", "third"]


def test_bad_settings_stop_the_start_when_asked_for_and_are_logged_otherwise():
    """sentry=True raises; by the environment alone, the application starts without."""
    program = run(
        """
        instrument()
        say(sentry.health()["status"])
        try:
            instrument(sentry=True)
        except ValueError as error:
            say(str(error))
        """,
        SENTRY_DSN=DSN,
        SENTRY_TRACES_SAMPLE_RATE="5%",
    )
    assert program.said == ["off", "SENTRY_TRACES_SAMPLE_RATE: '5%' is not a share from 0 to 1"]
    assert "Sentry is off: SENTRY_TRACES_SAMPLE_RATE" in program.log


def test_flask_has_routes_and_traces_too(own_receiver):
    """The rule is the name, a traceparent continues, and a raw path is nowhere."""
    run(
        """
        import flask
        app = flask.Flask("shop")
        @app.get("/orders/<number>")
        def order(number): raise ValueError(f"no {number}")
        instrument(app, sentry={"sdk": LIGHT})
        import sentry_sdk
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        client = app.test_client()
        client.get("/orders/a.person@leak-planted.example?q=hunter2", headers={"traceparent": trace})
        client.get("/nowhere/hunter2")
        sentry_sdk.flush(5)
        """,
        SENTRY_DSN=own_receiver.dsn,
        SENTRY_TRACES_SAMPLE_RATE="1",
    )
    (event,) = own_receiver.events()
    assert event["transaction"] == "/orders/<number>"
    assert event["contexts"]["trace"]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    names = [item.json["transaction"] for item in own_receiver.items("transaction")]
    assert names == ["/orders/<number>", "unmatched"]
    wire = b"".join(envelope.text for envelope in own_receiver.envelopes)
    assert b"hunter2" not in wire
    assert b"leak-planted" not in wire


def test_django_has_routes_and_traces_too(own_receiver):
    """As Flask."""
    run(
        """
        import django
        from django.conf import settings
        from django.http import HttpResponse
        from django.urls import path
        def order(request, number): raise ValueError(f"no {number}")
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DEBUG=False)
        urlpatterns = [path("orders/<str:number>", order)]
        django.setup()
        from django.core.wsgi import get_wsgi_application
        from werkzeug.test import Client
        app = get_wsgi_application()
        instrument(app, sentry={"sdk": LIGHT})
        import sentry_sdk
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        client = Client(app)
        client.get("/orders/a.person@leak-planted.example?q=hunter2", headers={"traceparent": trace})
        client.get("/nowhere/hunter2")
        sentry_sdk.flush(5)
        """,
        SENTRY_DSN=own_receiver.dsn,
        SENTRY_TRACES_SAMPLE_RATE="1",
    )
    (event,) = [each for each in own_receiver.events() if "exception" in each]
    assert event["transaction"] == "/orders/{number}"
    assert event["contexts"]["trace"]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    wire = b"".join(envelope.text for envelope in own_receiver.envelopes)
    assert b"hunter2" not in wire
    assert b"leak-planted" not in wire
