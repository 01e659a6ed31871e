"""A receiver that speaks as much of Elasticsearch as shippers and our own commands ask for."""

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Bulk:
    """Keeps documents by index and id, as `_bulk` with `create` does, and whatever is PUT.

    Started anew on its port after `stop()`, it has what it had. `refuse` makes it answer 429 for so many
    documents before it takes them; while it is `away` it hangs up on everybody,
    and while it is `sick` it answers 503.
    """

    def __init__(self):
        self.documents = {}
        self.repeated = 0
        self.refuse = 0
        self.away = self.sick = False
        self.turned_away = 0
        self.put = {}
        self.requests = []
        self.port = 0
        self._server = None
        self._connections = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        bulk = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                bulk._connections.append(self.connection)

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if bulk.away:
                    bulk.turned_away += 1
                    self.close_connection = True
                    return
                bulk.requests.append((self.command, self.path))
                status, said = bulk.say(self.command, self.path, body)
                data = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("X-elastic-product", "Elasticsearch")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - as the library calls them

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:  # those that are kept alive end as well
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections = []
        self._thread.join(5)

    def of(self, index):
        """The documents of an index, by id."""
        return {name: one for (at, name), one in self.documents.items() if at == index}

    def say(self, method, path, body):
        path = path.partition("?")[0]
        if self.sick:
            return 503, {"error": {"type": "cluster_block_exception"}, "status": 503}
        if path.endswith("_bulk"):
            return 200, self._take(body.decode().rstrip("\n").split("\n"))
        if method == "PUT":
            self.put[path.lstrip("/")] = json.loads(body)
            return 200, {"acknowledged": True}
        if path == "/" or path.startswith("/_cat"):
            return 200, {"version": {"number": "8.17.0"}, "cluster_name": "test"}
        known = self.put.get(path.lstrip("/"))
        return (200, known) if known is not None else (404, {"error": "missing"})

    def _take(self, lines):
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            ((verb, told),) = json.loads(action).items()
            key = (told["_index"], told.get("_id"))
            status = 201
            if verb != "create":
                status = 400
            elif self.refuse > 0:
                self.refuse -= 1
                status = 429
            elif key in self.documents:
                self.repeated += 1
                status = 409
            else:
                self.documents[key] = json.loads(document)
            item = {"_index": key[0], "_id": key[1], "status": status}
            if status >= 300:
                item["error"] = {"type": "refused", "reason": "a test wants it"}
            items.append({verb: item})
        errors = any(item["status"] >= 300 for each in items for item in each.values())
        return {"took": 1, "errors": errors, "items": items}
