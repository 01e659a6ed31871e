"""Logs are switched on with the application and off without a trace; what goes wrong stays with us."""

import asyncio
import json
import logging

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from exporter import instrument
from exporter.instrument.logs import LogOptions, asgi, pipeline


@pytest.fixture(autouse=True)
def quiet_root():
    """The root logger as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def get(app, path="/", **headers):
    async def ask():
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


async def hello(request):
    logging.getLogger("shop").info("hello")
    return PlainTextResponse(request.headers.get("traceparent", "none"))


def application():
    return Starlette(routes=[Route("/", hello)])


def lines_of(file, logger):
    return [line for line in map(json.loads, file.read_text().splitlines()) if line["logger"] == logger]


def test_off_again_nothing_is_written_and_the_root_logger_is_as_before(tmp_path):
    """The application goes on without us."""
    app, file = application(), tmp_path / "log"
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    obs = instrument(app, registry=CollectorRegistry(), logs=LogOptions(file=file), ai=False)
    assert get(app).text.startswith("00-")
    obs.uninstrument()
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
    assert get(app).text == "none"
    assert len(lines_of(file, "shop")) == len(lines_of(file, "watchkeeper.access")) == 1


def test_an_application_inside_another_writes_no_second_line(tmp_path):
    """Both are instrumented; the outer one has the request in hand."""
    inner, file = application(), tmp_path / "log"
    outer = Starlette(routes=[Mount("/inner", app=inner)])
    registry = CollectorRegistry()
    observers = [instrument(app, registry=registry, logs={"file": file}, ai=False) for app in (inner, outer)]
    get(outer, "/inner/")
    for obs in reversed(observers):
        obs.uninstrument()
    (line,) = lines_of(file, "watchkeeper.access")
    assert line["endpoint"] == "/inner/"
    assert {one["trace_id"] for one in lines_of(file, "shop")} == {line["trace_id"]}


def test_a_level_above_info_has_no_access_lines_but_those_of_errors(tmp_path):
    """As LOG_LEVEL=ERROR promises."""

    async def boom(request):
        raise RuntimeError("boom")

    app, file = Starlette(routes=[Route("/", hello), Route("/boom", boom)]), tmp_path / "log"
    obs = instrument(app, registry=CollectorRegistry(), logs={"file": file, "level": "error"}, ai=False)
    get(app)
    get(app, "/boom")
    obs.uninstrument()
    assert [line["status_code"] for line in lines_of(file, "watchkeeper.access")] == [500]


def test_what_fails_on_our_side_never_reaches_a_request(tmp_path, monkeypatch):
    """It is counted, and the answer is the same."""
    app, registry = application(), CollectorRegistry()
    obs = instrument(app, registry=registry, logs={"file": tmp_path / "log"}, ai=False)

    def broken(*_):
        raise RuntimeError("ours")

    with monkeypatch.context() as patch:
        patch.setattr(asgi, "of_scope", broken)
        assert get(app).status_code == 200
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_with_context", broken)
        assert get(app).status_code == 200
    obs.uninstrument()
    assert registry.get_sample_value("watchkeeper_instrumentation_errors_total", {"part": "logs"}) >= 3


def test_a_file_that_cannot_be_opened_is_said_at_the_start(tmp_path):
    """Rather than with the first line that is lost; and the application is left as it was."""
    app, handlers = application(), list(logging.getLogger().handlers)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        instrument(app, registry=CollectorRegistry(), logs={"file": tmp_path / "nowhere" / "log"}, ai=False)
    assert not hasattr(app, "_watchkeeper")
    assert logging.getLogger().handlers == handlers
    assert get(app).text == "none"
    with pytest.raises(TypeError, match="colour"):
        instrument(application(), registry=CollectorRegistry(), logs={"colour": 1}, ai=False)
