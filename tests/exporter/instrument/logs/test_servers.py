"""Lines on real servers: nothing that is bound is lost, every request has one line, none of it is doubled."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from websockets.sync.client import connect

from tests.exporter.instrument.logs.servers import COMMANDS, PLACES, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
CASES = [f"/{how}/{place}" for how in ("plain", "behind") for place in PLACES]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving("uvicorn", tmp_path_factory.mktemp("uvicorn")) as server:
        yield server


def access(server, count=1, **fields):
    return server.wait_for(count, logger="watchkeeper.access", **fields)


def ask(server, path):
    assert server.get(f"{path}/{user_of(path)}").status_code == 200


def user_of(path):
    return path.strip("/").replace("/", "-")


def check_context(server, path):
    user = user_of(path)
    (line,) = access(server, user_id=user)
    (inside,) = server.wait_for(message="at work", user_id=user)
    assert line["trace_id"] == inside["trace_id"]
    assert line["endpoint"] == inside["endpoint"] == f"{path}/{{user}}"
    return line


@pytest.mark.parametrize("path", CASES)
def test_what_is_bound_anywhere_is_on_the_access_line_and_on_all_later_lines(served, path):
    """The twelve places: sync and async endpoints and dependencies, child tasks, threads, bare and behind."""
    ask(served, path)
    line = check_context(served, path)
    assert (line["level"], line["service"], line["status_code"], line["method"]) == (
        "INFO",
        "shop",
        200,
        "GET",
    )
    assert line["duration_ms"] > 0
    assert line["message"] == f"GET {path}/{{user}} 200"
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("kind", [kind for kind in COMMANDS if kind != "uvicorn"])
def test_the_same_holds_on_every_server_and_with_several_workers(kind, tmp_path):
    """All places again; and the servers' own lines are JSON as well, their access lines gone."""
    with serving(kind, tmp_path) as server:
        for path in CASES:
            ask(server, path)
        for path in CASES:
            check_context(server, path)
        answered = len(access(server, len(CASES) + 1))
        server.get("/boom")
        access(server, status_code=500)
        server.stop()
        assert len(server.lines(logger="watchkeeper.access")) == answered + 1
        others = [line for line in server.text().splitlines() if "watchkeeper.access" not in line]
        assert "GET /plain/" not in "".join(others)
        ids = [line["event_id"] for line in server.lines()]
        assert len(ids) == len(set(ids))
        if kind in ("uvicorn", "script", "two workers"):
            assert server.lines(logger="uvicorn.error", message="Application startup complete.")
            assert server.lines(logger="uvicorn.error", message="Application shutdown complete.")


def test_a_callers_trace_goes_on(served):
    """The id of traceparent, or of sentry-trace, is in the lines, and what goes out continues it."""
    told = served.get("/out", traceparent=PARENT).json()["traceparent"]
    (line,) = access(served, trace_id=TRACE)
    assert told == f"00-{TRACE}-{line['span_id']}-01"
    assert line["span_id"] != PARENT.split("-")[2]
    other = TRACE[::-1]
    told = served.get("/out", **{"sentry-trace": f"{other}-00f067aa0ba902b7-0"}).json()["traceparent"]
    assert told.startswith(f"00-{other}-")
    assert told.endswith("-00")


@pytest.mark.parametrize("header", ["", "00-0-0-01", f"ff-{TRACE}-00f067aa0ba902b7-01", "x" * 5000])
def test_a_request_without_a_trace_gets_one(served, header):
    """So does one with a malformed header; the client is told, and no two requests share one."""
    traces = set()
    for _ in range(2):
        answer = served.get("/out", **({"traceparent": header} if header else {}))
        version, trace, span, flags = answer.headers["traceparent"].split("-")
        assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
        access(served, trace_id=trace)
        traces.add(trace)
    assert len(traces) == 2


def test_an_exemplar_a_line_and_the_application_see_one_trace(served):
    """The page's exemplar leads to the lines of that very request."""
    trace = served.get("/plain/async_endpoint/exemplar").headers["traceparent"].split("-")[1]
    page = served.get("/metrics", accept="application/openmetrics-text; version=1.0.0").text
    assert f'trace_id="{trace}"' in page
    access(served, trace_id=trace)


def test_an_error_has_its_trace_and_its_traceback_in_one_line(served):
    """The server logs it after the request has left us, and still with the request's trace."""
    trace = served.get("/boom").headers.get("traceparent") or served.lines(status_code=500)[-1]["trace_id"]
    (line,) = access(served, status_code=500)
    (error,) = served.wait_for(logger="uvicorn.error", level="ERROR")
    assert error["trace_id"] == line["trace_id"] and line["trace_id"] in trace
    assert error["endpoint"] == line["endpoint"] == "/boom"
    assert (error["exception"]["type"], error["exception"]["message"]) == ("RuntimeError", "out of order")
    assert error["exception"]["stack_trace"].endswith("RuntimeError: out of order\n")


def test_threads_of_the_applications_own_are_carried_along(served):
    """`carry` takes the context where Python does not copy it."""
    served.get("/threads/carried")
    (line,) = served.wait_for(message="from a thread")
    assert line["user_id"] == "carried"
    assert access(served, user_id="carried")[0]["trace_id"] == line["trace_id"]


def test_what_nobody_routes_is_unmatched_and_pages_have_no_line(served):
    """Paths stay out of the lines, and neither the metrics page nor a skipped path has one."""
    assert served.get("/nope/secret?token=hidden").status_code == 404
    served.get("/metrics")
    served.get("/skipped")
    (line,) = access(served, status_code=404)
    assert line["endpoint"] == "unmatched"
    assert "hidden" not in served.text() and "secret" not in served.text()
    assert served.lines(endpoint="/metrics") == []


def test_a_connection_has_a_line_when_it_closes(served):
    """So do the lines inside have its trace."""
    with connect(served.url.replace("http", "ws") + "/chat") as socket:
        socket.send("hello")
    (inside,) = served.wait_for(message="said hello")
    (line,) = access(served, method="WEBSOCKET")
    assert (line["endpoint"], line["trace_id"]) == ("/chat", inside["trace_id"])
    assert "status_code" not in line


def test_lines_of_several_workers_do_not_mix_in_a_pipe(tmp_path):
    """Lines far longer than what a pipe keeps apart arrive whole, from both workers at once."""
    file = tmp_path / "piped"
    with (
        file.open("wb") as end,
        subprocess.Popen([sys.executable, "-c", SLOW_CAT], stdin=-1, stdout=end) as cat,
    ):
        with serving("two workers", tmp_path, output=cat.stdin) as server, ThreadPoolExecutor(4) as pool:
            answers = []
            while len(set(answers)) < 2 or len(answers) < 8:  # until both workers have written
                answers += pool.map(lambda _: httpx.get(f"{server.url}/long/25", timeout=30).json(), range(4))
            server.stop()
        cat.stdin.close()
        cat.wait(20)
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.startswith("{")]
    assert len([line for line in lines if "xxx" in line["message"]]) == 25 * len(answers)


# It reads in small pieces, so that the pipe is full again and again.
SLOW_CAT = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer, 4096)"


def test_audit_lines_survive_a_kill(tmp_path):
    """They are written before the call returns: even SIGKILL at that moment loses none."""
    with serving("uvicorn", tmp_path) as server:
        server.get("/kept/200")
        server.process.kill()
        server.process.wait(5)
        numbers = [line["extra"]["number"] for line in server.lines(log_class="audit")]
        assert numbers == list(range(200))


def test_a_signal_loses_no_line(tmp_path):
    """uvicorn lets the signal end its process at once; by then everything is written, to the last line."""
    with serving("uvicorn", tmp_path) as server:
        server.stop()
        assert len(server.lines(logger="shop")) == 1000
        assert server.lines(logger="uvicorn.error")[-1]["message"].startswith("Finished server process")
