"""Exemplars of several workers, as Prometheus stores them."""

import contextlib
import json
import os
import signal
import time
import urllib.parse
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from scripts.stack.process import HOST, Process, http_ok
from tests.exporter.workers.servers import serving

CONFIG = """
scrape_configs:
  - job_name: application
    scrape_interval: 200ms
    scrape_timeout: 200ms
    static_configs: [{{targets: ["{target}"]}}]
"""


@contextlib.contextmanager
def prometheus(programs, folder, url):
    """A Prometheus that keeps exemplars and scrapes the server at this URL."""
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(target=url.removeprefix("http://")))
    process = Process(
        "prometheus",
        lambda port: [
            programs["prometheus"].path,
            "--enable-feature=exemplar-storage",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={HOST}:{port}",
        ],
        log=folder / "prometheus.log",
        ready=http_ok("/-/ready"),
    )
    process.start()
    try:
        yield process
    finally:
        process.stop()


def stored(url):
    """Return {trace id: route} of what Prometheus has stored in the last hour."""
    now = time.time()
    query = urllib.parse.urlencode(
        {"query": "http_request_duration_seconds_bucket", "start": now - 3600, "end": now + 60}
    )
    with urllib.request.urlopen(f"{url}/api/v1/query_exemplars?{query}") as answer:
        data = json.load(answer)["data"]
    return {
        exemplar["labels"]["trace_id"]: series["seriesLabels"]["route"]
        for series in data
        for exemplar in series["exemplars"]
    }


def noted(client):
    """Return {trace id: route} of a worker's page."""
    page = client.get("/metrics", headers={"accept": "application/openmetrics-text"}).text
    families = text_string_to_metric_families(page)
    found = [sample for family in families for sample in family.samples if sample.exemplar]
    return {sample.exemplar.labels["trace_id"]: sample.labels["route"] for sample in found}


def test_prometheus_stores_the_traces_of_every_worker(programs, tmp_path):
    """Each worker's page has those of all, also of one that is killed."""
    with serving("uvicorn") as workers, prometheus(programs, tmp_path, workers.url) as server:
        clients = workers.clients()
        expected = {}
        for number, (pid, client) in enumerate(clients.items()):
            path, trace = ("/", "/block")[number], f"{pid:032x}"
            client.get(path, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
            expected[trace] = path
        for client in clients.values():
            workers.wait_for(lambda client=client: noted(client) == expected, "the traces of both")
        (killed, _), (_, left) = clients.items()
        os.kill(killed, signal.SIGKILL)
        workers.wait_for(lambda: workers.now("watchkeeper_workers", left) == 2, "a new worker")
        assert len(workers.files()) == 2  # the killed one's is folded away
        assert noted(left) == expected
        workers.wait_for(lambda: stored(server.url) == expected, "Prometheus has the traces of both")
