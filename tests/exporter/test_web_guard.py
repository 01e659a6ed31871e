"""TLS and credentials on a real server: who gets in, who does not, and what changes without a restart."""

import concurrent.futures
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import bcrypt
import httpx
import pytest
from starlette.websockets import WebSocket

from exporter import web_auth
from exporter.config import ConfigError
from exporter.web_guard import Guard, exposure
from tests.exporter.doors import APP, PASSWORD, Authority, guarded, hashed
from tests.waiting import wait_for

TOKEN = "correct-horse-battery-staple-4711"
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
USERS = f"basic_auth_users:\n  prometheus: {hashed()}\n"
CLIENTS = "  client_ca_file: ca.crt\n  client_auth_type: "
PATHS = [
    "/",
    "/metrics",
    "/probe?target=x",
    "/targets",
    "/-/reload",
    "/nothing",
    "/-/healthy/",
    "//-/healthy",
]


def told(value):
    """A test's name, the same in every process."""
    return value._auth_header if isinstance(value, httpx.BasicAuth) else str(value)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("ca"))
    authority.sign("server")
    authority.sign("prometheus", "DNS:prometheus.internal,IP:fd00::1,URI:spiffe://x/prometheus")
    authority.sign("stranger", "DNS:elsewhere")
    return authority


@pytest.fixture
def folder(authority, tmp_path):
    """A folder with `server.crt`, `server.key` and `ca.crt` for a file to name."""
    for name in ("server.crt", "server.key", "ca.crt"):
        shutil.copy(authority.folder / name, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """The URL of a server that asks for a password or a token."""
    folder = tmp_path_factory.mktemp("door")
    (folder / "token").write_text(f"{TOKEN}\nthe-one-that-comes-next-month\n")
    with guarded(guard(folder, f"{USERS}bearer_token_file: token\n")) as url:
        yield url


def guard(folder, text):
    (folder / "web.yml").write_text(text)
    return Guard(folder / "web.yml")


def trust(authority, client=None):
    context = ssl.create_default_context(cafile=authority.cert)
    if client:
        context.load_cert_chain(authority.folder / f"{client}.crt", authority.folder / f"{client}.key")
    return context


def serial(url, authority):
    """The serial number of the certificate that the server shows now."""
    host, port = url.removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port))) as raw,
        trust(authority).wrap_socket(raw, server_hostname=host) as secure,
    ):
        return secure.getpeercert()["serialNumber"]


def test_it_speaks_https_and_nothing_else(folder, authority):
    """The page comes over TLS with a certificate that clients verify; plain HTTP gets no answer."""
    with guarded(guard(folder, TLS)) as url:
        answer = httpx.get(f"{url}/metrics", verify=trust(authority))
        assert (answer.status_code, answer.text) == (200, "things 1\n")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url.replace("https", "http"))


def test_curl_takes_it(folder, authority):
    """Another TLS library, with user and password."""
    with guarded(guard(folder, TLS + USERS)) as url:
        command = [
            "curl",
            "-sS",
            "--cacert",
            authority.cert,
            "--user",
            f"prometheus:{PASSWORD}",
            f"{url}/metrics",
        ]
        done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("things 1\n", "")


def test_a_certificate_in_the_file_itself_serves(folder, authority):
    """The inline form of newer exporters."""
    inline = {
        key: "\n".join(f"    {line}" for line in (folder / file).read_text().splitlines())
        for key, file in {"cert": "server.crt", "key": "server.key", "client_ca": "ca.crt"}.items()
    }
    text = "tls_server_config:\n" + "".join(f"  {key}: |\n{value}\n" for key, value in inline.items())
    text += "  client_auth_type: RequireAndVerifyClientCert\n"
    with guarded(guard(folder, text)) as url:
        assert httpx.get(url, verify=trust(authority, "prometheus")).status_code == 200


@pytest.mark.parametrize(
    ("mode", "client", "gets_in"),
    [
        ("RequireAndVerifyClientCert", "prometheus", True),
        ("RequireAndVerifyClientCert", None, False),
        ("RequireAndVerifyClientCert", "forged", False),
        ("VerifyClientCertIfGiven", None, True),
        ("VerifyClientCertIfGiven", "prometheus", True),
        ("VerifyClientCertIfGiven", "forged", False),
    ],
)
def test_clients_show_certificates(mode, client, gets_in, folder, authority, tmp_path):
    """One of the right authority is let in; none, or another authority's, as the mode says."""
    if client == "forged":
        forger = Authority(tmp_path, "forger")
        forger.sign("forged", "DNS:prometheus.internal")
        context = trust(authority)
        context.load_cert_chain(tmp_path / "forged.crt", tmp_path / "forged.key")
    else:
        context = trust(authority, client)
    with guarded(guard(folder, f"{TLS}{CLIENTS}{mode}\n")) as url:
        if gets_in:
            assert httpx.get(url, verify=context).status_code == 200
        else:
            with pytest.raises(httpx.TransportError):
                httpx.get(url, verify=context)


@pytest.mark.parametrize("name", ["prometheus.internal", "fd00:0::1", "spiffe://x/prometheus"])
def test_only_named_clients_get_in(name, folder, authority):
    """A good certificate with none of the allowed names is not enough, and no request of it is read."""
    asked = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            asked.append(scope["path"])
        await APP(scope, receive, send)

    text = f"{TLS}{CLIENTS}RequireAndVerifyClientCert\n  client_allowed_sans: ['{name}']\n"
    with guarded(guard(folder, text), app) as url:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/stranger", verify=trust(authority, "stranger"))
        assert httpx.get(url, verify=trust(authority, "prometheus")).status_code == 200
    assert asked == ["/"]


@pytest.mark.parametrize(
    ("lines", "client", "gets_in"),
    [
        ("min_version: TLS13", ssl.TLSVersion.TLSv1_2, False),
        ("min_version: TLS12", ssl.TLSVersion.TLSv1_2, True),
        ("max_version: TLS12", ssl.TLSVersion.TLSv1_3, False),
        ("cipher_suites: [TLS_AES_128_GCM_SHA256]", ssl.TLSVersion.TLSv1_2, False),
        ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", ssl.TLSVersion.TLSv1_2, False),
        ("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", ssl.TLSVersion.TLSv1_2, True),
        ("prefer_server_cipher_suites: false", ssl.TLSVersion.TLSv1_3, True),
        ("curve_preferences: [CurveP384]", ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_versions_and_ciphers_are_what_the_file_says(lines, client, gets_in, folder, authority):
    """A client of that version is let in or not; the certificate's key is of an elliptic curve."""
    context = trust(authority)
    context.minimum_version = context.maximum_version = client
    with guarded(guard(folder, f"{TLS}  {lines}\n")) as url:
        if gets_in:
            assert httpx.get(url, verify=context).status_code == 200
        else:
            with pytest.raises(httpx.ConnectError):
                httpx.get(url, verify=context)


def test_a_curve_can_be_demanded(folder, authority):
    """A client that knows another curve only is turned away."""
    context = trust(authority)
    context.set_ecdh_curve("prime256v1")
    file = f"{TLS}  curve_preferences: [CurveP384]\n"
    with guarded(guard(folder, file)) as url, pytest.raises(httpx.ConnectError):
        httpx.get(url, verify=context)


def test_a_renewed_certificate_is_shown_without_a_restart(folder, authority, tmp_path_factory):
    """The next connection has it; those that are open go on."""
    other = Authority(tmp_path_factory.mktemp("renewal"))
    with guarded(guard(folder, TLS)) as url, httpx.Client(verify=trust(authority)) as old:
        assert old.get(url).status_code == 200
        before = serial(url, authority)
        cert, key = other.sign("server")
        Path(shutil.copy(key, folder / "new")).replace(folder / "server.key")
        # In between the two do not belong together: what was in force stays.
        assert serial(url, authority) == before
        Path(shutil.copy(cert, folder / "new")).replace(folder / "server.crt")
        assert wait_for(lambda: other_serial(url, other), 15, "new certificate") != before
        assert old.get(url).status_code == 200


def other_serial(url, authority):
    try:
        return serial(url, authority)
    except ssl.SSLError:
        return None


def test_a_new_ca_for_clients_is_in_force_without_a_restart(folder, authority, tmp_path_factory):
    """Not our certificate alone is fresh: a client of the old authority is out at its next connection."""
    other = Authority(tmp_path_factory.mktemp("other"))
    text = f"{TLS}{CLIENTS}RequireAndVerifyClientCert\n"
    with guarded(guard(folder, text)) as url:
        assert httpx.get(url, verify=trust(authority, "prometheus")).status_code == 200
        shutil.copy(other.cert, folder / "ca.crt")
        with pytest.raises(httpx.TransportError):
            httpx.get(url, verify=trust(authority, "prometheus"))


@pytest.mark.parametrize("path", PATHS)
def test_every_page_asks_for_credentials(path, door):
    """Without them nothing is told, not even which pages there are; the answer says how to come in."""
    for method in ("GET", "POST", "HEAD", "PUT"):
        answer = httpx.request(method, door + path)
        assert answer.status_code == 401
        assert answer.headers.get_list("www-authenticate") == [
            'Basic realm="Watchkeeper", charset="UTF-8"',
            'Bearer realm="Watchkeeper"',
        ]
        assert answer.text in ("Unauthorised.\n", "")


def test_liveness_is_open(door):
    """An orchestrator's probe has no password; it learns that the process lives."""
    assert httpx.get(f"{door}/-/healthy").status_code == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (httpx.BasicAuth("prometheus", PASSWORD), 200),
        (httpx.BasicAuth("prometheus", PASSWORD + "x"), 401),
        (httpx.BasicAuth("prometheus", ""), 401),
        (httpx.BasicAuth("", ""), 401),
        (httpx.BasicAuth("nobody", PASSWORD), 401),
        (httpx.BasicAuth("nobody", "................"), 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        ("Bearer the-one-that-comes-next-month", 200),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer", 401),
        (f"Basic {TOKEN}", 401),
        ("Basic ****", 401),
        ("Basic bm9jb2xvbg==", 401),
        ("Digest x", 401),
        ("", 401),
    ],
    ids=told,
)
def test_who_gets_in(header, status, door):
    """A user with the password or either token of the file; no one else, however the header looks."""
    auth = header if isinstance(header, httpx.Auth) else None
    headers = {} if auth else {"authorization": header}
    for _ in range(2):  # the second time from memory
        assert httpx.get(f"{door}/metrics", auth=auth, headers=headers).status_code == status


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", httpx.BasicAuth("prometheus", "")], ids=told)
def test_an_absent_kind_lets_nobody_in(header, folder):
    """With users alone no token is right."""
    auth = header if isinstance(header, httpx.Auth) else None
    with guarded(guard(folder, USERS)) as url:
        headers = {} if auth else {"authorization": header}
        assert httpx.get(url, auth=auth, headers=headers).status_code == 401


def test_long_passwords_are_cut_as_elsewhere(folder):
    """bcrypt reads 72 bytes; a hash made by htpasswd of a longer password lets it in."""
    long = "x" * 100
    line = bcrypt.hashpw(long[:72].encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")
    with guarded(guard(folder, f"basic_auth_users: {{a: '{line}'}}\n")) as url:
        assert httpx.get(url, auth=("a", long)).status_code == 200


@pytest.fixture
def compared(monkeypatch):
    """The hashes that were computed, as the pages go on."""
    costs = []
    real = web_auth._equal

    def counted(password, line):
        costs.append(int(line[4:6]))
        return real(password, line)

    monkeypatch.setattr(web_auth, "_equal", counted)
    return costs


def test_a_scrape_does_not_pay_for_the_hash(folder, compared):
    """It is computed the first time, and for a wrong password once too."""
    with guarded(guard(folder, USERS)) as url:
        for _ in range(5):
            assert httpx.get(url, auth=("prometheus", PASSWORD)).status_code == 200
            assert httpx.get(url, auth=("prometheus", "wrong")).status_code == 401
    assert len(compared) == 2


def test_an_unknown_user_takes_as_long_as_a_known_one(folder, compared):
    """Nobody learns from the time which names exist: the same hash is computed for all."""
    text = f"basic_auth_users:\n  a: {hashed(cost=6)}\n"
    with guarded(guard(folder, text)) as url:
        assert httpx.get(url, auth=("a", "wrong")).status_code == 401
        assert httpx.get(url, auth=("b", "wrong")).status_code == 401
    assert compared == [6, 6]


def test_guessing_does_not_cost_the_scrape_its_answer(folder, compared, monkeypatch):
    """While a flood of wrong passwords waits for its hash, the known password is answered at once."""
    hold = threading.Event()
    with guarded(guard(folder, USERS)) as url, concurrent.futures.ThreadPoolExecutor(30) as pool:
        assert httpx.get(url, auth=("prometheus", PASSWORD)).status_code == 200
        monkeypatch.setattr(web_auth, "_equal", lambda password, line: not hold.wait(10))
        guesses = [pool.submit(httpx.get, url, auth=("prometheus", str(n)), timeout=20) for n in range(30)]
        try:
            wait_for(lambda: sum(guess.done() for guess in guesses) >= 14)
            assert httpx.get(url, auth=("prometheus", PASSWORD), timeout=5).status_code == 200
        finally:
            hold.set()
        statuses = sorted(guess.result().status_code for guess in guesses)
    assert statuses == [401] * 16 + [429] * 14


def test_no_password_is_kept(folder):
    """What is remembered of a right and a wrong password is a digest with a key of this process."""
    door = guard(folder, USERS)
    with guarded(door) as url:
        httpx.get(url, auth=("prometheus", PASSWORD))
        httpx.get(url, auth=("prometheus", "wrong-one"))
        memory = repr(vars(door.current().passwords))
    assert PASSWORD not in memory
    assert "wrong-one" not in memory


def test_new_users_are_in_force_at_once(folder):
    """A password taken away is out although it was remembered."""
    door = guard(folder, USERS)
    with guarded(door) as url:
        assert httpx.get(url, auth=("prometheus", PASSWORD)).status_code == 200
        (folder / "web.yml").write_text(f"basic_auth_users:\n  prometheus: {hashed('new')}\n")
        assert httpx.get(url, auth=("prometheus", PASSWORD)).status_code == 401
        assert httpx.get(url, auth=("prometheus", "new")).status_code == 200


def test_a_bad_new_file_keeps_the_old_in_force(folder, caplog):
    """It never opens the door, and its fault is said once, with its line."""
    door = guard(folder, USERS)
    with guarded(door) as url:
        (folder / "web.yml").write_text("basic_auth_user:\n  prometheus: x\n")
        for _ in range(3):
            assert httpx.get(url).status_code == 401
            assert httpx.get(url, auth=("prometheus", PASSWORD)).status_code == 200
        with pytest.raises(ConfigError, match="unknown key 'basic_auth_user'"):
            door.reload()
        (folder / "web.yml").write_text(TLS + USERS)
        with pytest.raises(ConfigError, match="tls_server_config comes or goes at a restart only"):
            door.reload()
    said = [line for line in caplog.messages if "in force stays" in line]
    assert len([line for line in said if "unknown key" in line]) == 1


def test_headers_are_on_every_answer(folder):
    """Refusals and errors have them too; one that is left blank is not sent."""
    text = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection:  ''\n"
    with guarded(guard(folder, USERS + text)) as url:
        for auth in (None, ("prometheus", PASSWORD)):
            answer = httpx.get(f"{url}/nothing", auth=auth)
            assert answer.headers["x-frame-options"] == "deny"
            assert "x-xss-protection" not in answer.headers


def test_requests_are_limited_when_the_file_says_so(folder):
    """`burst` at once, then 429; liveness is not counted."""
    with guarded(guard(folder, "rate_limit:\n  interval: 1h\n  burst: 2\n")) as url:
        statuses = [httpx.get(url).status_code for _ in range(3)]
        assert httpx.get(f"{url}/-/healthy").status_code == 200
    assert statuses == [200, 200, 429]


def test_the_bucket_fills_again():
    """One request an interval, never more than the burst."""
    now = [0.0]
    bucket = web_auth.Bucket(2.0, 3, lambda: now[0])
    assert [bucket.let_in() for _ in range(4)] == [True, True, True, False]
    now[0] = 2.0
    assert [bucket.let_in() for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [bucket.let_in() for _ in range(4)] == [True, True, True, False]


def test_refusals_are_logged_without_what_was_sent(folder, caplog):
    """The operator sees that somebody is refused, and from where; a password mistyped as a name stays out."""
    with guarded(guard(folder, USERS)) as url:
        for _ in range(3):
            httpx.get(url, auth=("oops-my-password", "x"))
    said = [line for line in caplog.messages if "refused" in line]
    assert said == ["refused a request: wrong credentials, the last from 127.0.0.1"]
    assert "oops" not in caplog.text


def test_a_web_socket_gets_nothing(folder):
    """It is turned away even where no credentials are asked for."""
    reached = []

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            reached.append(scope)
            await WebSocket(scope, receive, send).accept()
        else:
            await APP(scope, receive, send)

    headers = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with guarded(guard(folder, ""), app) as url:
        assert httpx.get(f"{url}/metrics", headers=headers).status_code == 403
    assert not reached


def test_a_slow_handshake_holds_nobody_up(folder, authority):
    """A client that connects and says nothing costs the others no answer."""
    with guarded(guard(folder, TLS)) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)):
            assert httpx.get(url, verify=trust(authority), timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("host", "text", "advice"),
    [
        ("127.0.0.1", None, ""),
        ("::1", None, ""),
        ("localhost", None, ""),
        ("0.0.0.0", None, "everybody who reaches this address"),
        ("::", TLS, "everybody who reaches this address"),
        ("10.0.0.1", USERS, "in the clear"),
        ("10.0.0.1", TLS + USERS, ""),
        ("exporter.internal", TLS + CLIENTS + "RequireAndVerifyClientCert\n", ""),
    ],
)
def test_an_open_door_is_told(host, text, advice, folder):
    """Listening beyond this machine without credentials, or without TLS, deserves a line in the log."""
    door = guard(folder, text) if text else None
    said = exposure(host, door)
    assert advice in said
    assert bool(advice) == bool(said)


def test_prometheus_scrapes_by_password_over_tls(folder, authority, programs, tmp_path):
    """A real Prometheus with basic_auth and tls_config finds the target up, and one without password down."""
    with guarded(guard(folder, TLS + USERS)) as url, socket.create_server(("127.0.0.1", 0)) as free:
        address = url.removeprefix("https://")
        port = free.getsockname()[1]
        free.close()
        job = (
            "  scheme: https\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n"
            f"  tls_config: {{ca_file: {authority.cert}}}\n"
            f"  static_configs: [{{targets: ['{address}']}}]\n"
        )
        login = f"  basic_auth: {{username: prometheus, password: '{PASSWORD}'}}\n"
        (tmp_path / "prometheus.yml").write_text(
            f"scrape_configs:\n- job_name: right\n{job}{login}- job_name: none\n{job}"
        )
        process = subprocess.Popen(
            [
                programs["prometheus"].path,
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:

            def targets():
                try:
                    answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/targets", timeout=2)
                    answer = answer.raise_for_status().json()
                except httpx.HTTPError:  # it starts
                    return None
                found = {
                    t["labels"]["job"]: (t["health"], t["lastError"]) for t in answer["data"]["activeTargets"]
                }
                return found if {"up", "down"} == {health for health, _ in found.values()} else None

            found = wait_for(targets, 20)
        finally:
            process.terminate()
            process.wait(10)
    assert found == {"right": ("up", ""), "none": ("down", "server returned HTTP status 401 Unauthorized")}
