"""A program that counts, tells its page in short, and does what it is told on its standard input."""

import json
import logging
import shutil
import sys

from exporter.catalog import Metric
from exporter.store import Store, family
from tests.exporter.workers.servers import parsed

DONE = Metric("done_total", "counter", "Done.")
OTHERS = Metric("others_total", "counter", "Others.", ("name",))


def tell(store):
    page = parsed(store.page().decode())
    told = {name: sum(page.get(name, {}).values()) for name in ("done_total", "others_total")}
    told["degraded"] = page["watchkeeper_store_degraded"][()]
    print(json.dumps(told), flush=True)


def main():
    logging.disable()
    store = Store.of()
    made = 0
    for line in sys.stdin:
        match line.split():
            case ["count", times]:
                for _ in range(int(times)):
                    DONE.on(store).inc()
            case ["series", times]:
                for made in range(made, made + int(times)):  # noqa: B020 - goes on where it was
                    OTHERS.on(store).labels(f"{made}" * 40).inc()
                made += 1
            case ["remove"]:
                shutil.rmtree(family.folder())
        tell(store)


if __name__ == "__main__":
    main()
