"""The demo SaaS on a real Postgres and Redis: what its routes answer, and what its metrics say of it."""

import json

import pytest
from websockets.sync.client import connect

from examples.seed import DAMAGED_PRODUCT
from scripts.stack.demo import WORKERS
from tests.waiting import wait_for


def test_home_tells_where_to_go_on(demo):
    """Whoever opens the demo finds its pages, and they exist."""
    links = demo.http.get("/").json()
    for page in ("products", "documentation", "metrics"):
        assert demo.http.get(links[page]).status_code == 200


def test_products_are_listed_and_shown(demo):
    """Every listed product can be read, except the damaged one."""
    products = demo.http.get("/products").json()
    shown = {one["id"]: demo.http.get(f"/products/{one['id']}").status_code for one in products}
    assert len(shown) == 24
    assert shown.pop(DAMAGED_PRODUCT) == 500
    assert set(shown.values()) == {200}


def test_damaged_product_is_a_counted_exception(demo):
    """The demo's own bug shows in the metrics by the exception's name."""
    labels = {"route": "/products/{product_id}", "exception": "JSONDecodeError"}
    before = demo.metric("http_exceptions_total", **labels)
    demo.http.get(f"/products/{DAMAGED_PRODUCT}")
    assert demo.metric("http_exceptions_total", **labels) == before + 1


def test_second_read_comes_from_redis(demo):
    """A product that was just read is a cache hit."""
    demo.http.get("/products/7")
    hits = demo.metric("cache_requests_total", cache="products", result="hit")
    demo.http.get("/products/7")
    assert demo.metric("cache_requests_total", cache="products", result="hit") == hits + 1


def test_sign_up_makes_an_account_on_the_free_plan(demo):
    """A new visitor has an account, a session and the free plan; the address is taken from then on."""
    answer = demo.http.post("/signup", json={"email": "new@example.com"})
    assert answer.status_code == 201
    user_id, session = answer.json()["user_id"], answer.json()["session"]
    account = demo.http.get(f"/account/{user_id}", headers={"X-Session": session})
    assert account.json() == {
        "id": user_id,
        "email": "new@example.com",
        "plan": "free",
        "currency": "USD",
        "monthly_price_cents": 0,
    }
    assert demo.http.post("/signup", json={"email": "new@example.com"}).status_code == 409


def test_checkout_changes_the_plan_and_books_the_payment(demo):
    """What the business figures count: a subscription at its price and a succeeded payment."""
    email = "buyer@example.com"
    demo.http.post("/signup", json={"email": email})
    user_id, session = demo.session(email)
    assert demo.http.post("/checkout", json={"plan": "team"}, headers=session).status_code == 201
    assert demo.rows(
        f"SELECT plan, status, monthly_price_cents FROM subscriptions WHERE user_id = {user_id}"
    ) == [{"plan": "team", "status": "active", "monthly_price_cents": 9_900}]
    assert demo.rows(f"SELECT amount_cents, status FROM payments WHERE user_id = {user_id}") == [
        {"amount_cents": 9_900, "status": "succeeded"}
    ]


def test_declined_card_books_a_failed_payment_and_keeps_the_plan(demo):
    """A payment that fails is kept as failed; the customer stays where they were."""
    email = "poor@example.com"
    demo.http.post("/signup", json={"email": email})
    user_id, session = demo.session(email)
    order = {"plan": "pro", "card": "declined"}
    assert demo.http.post("/checkout", json=order, headers=session).status_code == 402
    assert demo.rows(f"SELECT status FROM payments WHERE user_id = {user_id}") == [{"status": "failed"}]
    assert demo.http.get(f"/account/{user_id}", headers=session).json()["plan"] == "free"


def test_cancelled_subscription_keeps_its_row(demo):
    """Cancelling marks the subscription; a second time there is nothing to cancel; buying again works."""
    email = "leaver@example.com"
    demo.http.post("/signup", json={"email": email})
    user_id, session = demo.session(email)
    assert demo.http.delete("/subscription", headers=session).status_code == 200
    assert demo.http.delete("/subscription", headers=session).status_code == 404
    assert demo.http.post("/checkout", json={"plan": "pro"}, headers=session).status_code == 201
    assert demo.rows(f"SELECT status FROM subscriptions WHERE user_id = {user_id} ORDER BY id") == [
        {"status": "cancelled"},
        {"status": "active"},
    ]


def test_account_is_for_its_owner(demo):
    """No session, a wrong one and another's are refused."""
    user_id, session = demo.session()
    assert demo.http.get(f"/account/{user_id}").status_code == 401
    assert demo.http.get(f"/account/{user_id}", headers={"X-Session": "wrong"}).status_code == 401
    assert demo.http.get(f"/account/{user_id + 1}", headers=session).status_code == 403
    assert demo.http.get(f"/account/{user_id}", headers=session).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/signup", {"email": "no address"}),
        ("POST", "/signup", {"email": "zero\x00byte@example.com"}),
        ("POST", "/signup", {"email": "a" * 300 + "@example.com"}),
        ("POST", "/signup", {}),
        ("POST", "/signup", [1]),
        ("POST", "/login", {"email": None}),
        ("POST", "/checkout", {"plan": "gold"}),
        ("POST", "/summaries", {"text": ""}),
        ("POST", "/summaries", {"text": "x" * 6_000}),
        ("GET", "/products/0", None),
        ("GET", "/products/99999999999999999999", None),
        ("GET", "/products/one", None),
        ("GET", "/account/99999999999999999999", None),
    ],
)
def test_bad_input_is_the_visitors_fault(demo, method, path, body):
    """Input that makes no sense is answered with a 4xx, never with a 5xx."""
    _, session = demo.session()
    answer = demo.http.request(method, path, content=json.dumps(body), headers=session)
    assert 400 <= answer.status_code < 500


def test_unknown_paths_share_one_route_label(demo):
    """A scanner adds no series."""
    for path in ("/wp-login.php", "/.env", "/products/1/2/3"):
        assert demo.http.get(path).status_code == 404
    page = demo.http.get("/metrics").text
    assert demo.metric("http_requests_total", route="unmatched", status="404") >= 3
    assert "wp-login" not in page


def test_updates_come_over_a_websocket(demo):
    """A visitor of the updates page gets the time each second and is one active connection."""
    with connect(demo.app.url.replace("http", "ws") + "/ws/updates", proxy=None) as socket:
        first, second = (json.loads(socket.recv(timeout=5))["time"] for _ in range(2))
        assert 0.5 < second - first < 3
        assert demo.metric("active_connections", route="/ws/updates") == 1
    wait_for(lambda: demo.metric("active_connections", route="/ws/updates") == 0)


def test_summary_is_recorded_with_tokens_and_cost(demo):
    """An AI call counts once, its tokens by disjoint types, its cost under its feature."""
    names = ("input_uncached", "input_cache_read", "output_text", "output_reasoning")

    def figures() -> dict[str, float]:
        return {
            "calls": demo.metric("ai_api_calls_total", outcome="success", model="gpt-5.6-mini"),
            "cost": demo.metric("ai_cost_usd_total", feature="summary"),
            **{name: demo.metric("ai_tokens_total", type=name) for name in names},
        }

    demo.http.post("/summaries", json={"text": "a note"})
    before = figures()
    for _ in range(8):
        assert demo.http.post("/summaries", json={"text": "a note"}).json()["summary"]
    used = {name: value - before[name] for name, value in figures().items()}
    assert used["calls"] == 8
    assert all(used[name] > 0 for name in names)
    million = 1_000_000
    assert used["cost"] == pytest.approx(
        used["input_uncached"] * 0.25 / million
        + used["input_cache_read"] * 0.025 / million
        + (used["output_text"] + used["output_reasoning"]) * 2 / million
    )
    assert demo.metric("ai_unpriced_calls_total") == 0


def test_invoices_are_sent_in_steps_and_sometimes_fail(demo):
    """The invoice job sends what was paid; its runs and steps are counted, the failing ones too."""
    wait_for(lambda: demo.metric("workflow_executions_total", workflow="invoice_sync", status="failure"))
    assert demo.metric("workflow_step_executions_total", step="send", status="failure") >= 1
    assert demo.metric("workflow_executions_total", workflow="invoice_sync", status="success") >= 2
    for step in ("fetch", "render", "send"):
        assert demo.metric("workflow_step_executions_total", step=step, status="success") >= 2
    unsent = (
        "SELECT count(*) AS n FROM payments LEFT JOIN invoices ON payment_id = payments.id"
        " WHERE status = 'succeeded' AND payment_id IS NULL"
    )
    wait_for(lambda: demo.rows(unsent) == [{"n": 0}])


def test_pool_is_watched(demo):
    """The size of the workers' pools together and their waits are on the metrics page."""
    assert demo.metric("database_pool_size_max", pool="main") == 10 * WORKERS
    assert demo.metric("database_pool_wait_seconds_count", pool="main") > 0
    assert demo.metric("database_pool_timeouts_total", pool="main") >= 0


def test_exporters_role_may_read_the_business_tables(demo):
    """The role that only monitors can count all, but reads neither addresses nor the sessions' tokens."""
    rights = demo.rows(
        "SELECT relname, has_any_column_privilege('watchkeeper', oid, 'SELECT') AS may FROM pg_class"
        " WHERE relname IN ('users', 'subscriptions', 'payments', 'sessions', 'products')"
    )
    assert {row["relname"]: row["may"] for row in rights} == {
        "payments": True,
        "products": False,
        "sessions": True,
        "subscriptions": True,
        "users": True,
    }
    secrets = demo.rows(
        "SELECT has_column_privilege('watchkeeper', 'users', 'email', 'SELECT')"
        " OR has_column_privilege('watchkeeper', 'sessions', 'token', 'SELECT') AS may"
    )
    assert secrets == [{"may": False}]


def test_logins_second_factors_and_features_are_kept(demo):
    """What the figures about accounts and features are counted from."""

    def count(table: str, where: str = "true") -> int:
        return demo.rows(f"SELECT count(*) AS n FROM {table} WHERE {where}")[0]["n"]

    failures, entries = count("logins", "result = 'failure'"), count("audit_log")
    assert demo.http.post("/login", json={"email": "nobody@example.com"}).status_code == 401
    user_id, session = demo.session("user3@example.com")
    assert demo.http.post("/mfa", headers=session).status_code == 201
    assert demo.http.post("/mfa", headers=session).status_code == 201
    assert demo.http.post("/mfa").status_code == 401
    assert demo.http.post("/summaries", json={"text": "a note"}, headers=session).status_code == 200
    assert count("logins", "result = 'failure'") == failures + 1
    assert count("mfa_devices", f"user_id = {user_id}") == 1
    assert count("audit_log") == entries + 3
    used = f"user_id = {user_id} AND feature = 'summaries' AND last_used_at > now() - interval '1 minute'"
    assert count("feature_uses", used) == 1


def test_flags_are_counted_by_variant(demo):
    """Each look at an account asks for a flag, and gets the same answer each time."""
    user_id, session = demo.session("user7@example.com")
    query = "SELECT variant, evaluations FROM feature_flag_evaluations WHERE flag = 'dark_mode'"
    before = {row["variant"]: row["evaluations"] for row in demo.rows(query)}
    for _ in range(3):
        assert demo.http.get(f"/account/{user_id}", headers=session).status_code == 200
    after = {row["variant"]: row["evaluations"] for row in demo.rows(query)}
    assert sorted(after[name] - before[name] for name in after) == [0, 3]
