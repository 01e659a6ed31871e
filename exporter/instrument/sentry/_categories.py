"""Which kind of error it is: payment, security, database, ai_ml or api."""

from collections.abc import Iterator, Mapping

CATEGORIES = ("payment", "security", "database", "ai_ml", "api")
# By the package that an exception class comes from.
_BY_PACKAGE = {
    "payment": (
        "adyen braintree checkout_sdk gocardless_pro mollie paypalrestsdk paypalserversdk plaid "
        "razorpay square stripe "
    ),
    "security": ("authlib cryptography itsdangerous jose joserfc jwt oauthlib passlib "),
    "database": (
        "aiomysql aiosqlite asyncpg cassandra clickhouse_connect clickhouse_driver duckdb "
        "elasticsearch motor MySQLdb mysql oracledb peewee pymongo pymssql pymysql psycopg "
        "psycopg2 pyodbc redis sqlalchemy sqlite3 sqlmodel tortoise "
    ),
    "ai_ml": (
        "anthropic cohere google.genai google.generativeai groq huggingface_hub jax keras "
        "langchain langchain_core litellm llama_index mistralai ollama onnxruntime openai "
        "replicate sentence_transformers sklearn tensorflow tiktoken together torch transformers "
        "vllm xgboost "
    ),
    "api": (
        "aiohttp botocore fastapi graphql grpc httpcore httpx httpx2 pydantic pydantic_core "
        "requests rest_framework starlette urllib3 websockets werkzeug "
    ),
}
_PACKAGES = {name: category for category, names in _BY_PACKAGE.items() for name in names.split()}
_PACKAGES |= {"django.db": "database", "django.http": "api"}
# By what the application calls its own classes.
_BY_WORD = (
    ("payment", ("payment", "card", "charge", "refund", "payout", "invoice", "billing", "checkout")),
    ("security", ("authentication", "authorization", "permissiondenied", "forbidden", "security", "csrf")),
)
# The category of what stands at the end of a chain counts less than that of what the application raised.
_LONGEST_CHAIN = 8


class Categories:
    """Gives errors their category. `added` maps classes or modules, in full, to categories of the user's."""

    def __init__(self, added: Mapping[str, str]) -> None:
        self._added = dict(added)

    def of(self, error: BaseException | None, asked: object = None, *, in_request: bool = False) -> str:
        """Return the category, "" for none. `asked` is what the application says itself."""
        if isinstance(asked, str) and asked:
            return asked
        for each in _chain(error):
            for kind in type(each).__mro__:
                found = self._of_class(kind)
                if found:
                    return found
        return "api" if in_request else ""

    def _of_class(self, kind: type) -> str:
        full = f"{kind.__module__}.{kind.__qualname__}"
        for name in _prefixes(full):
            if name in self._added:
                return self._added[name]
            if name in _PACKAGES:
                return _PACKAGES[name]
        if kind.__module__ == "builtins":
            return ""
        word = kind.__name__.lower()
        return next((category for category, parts in _BY_WORD if any(part in word for part in parts)), "")


def _prefixes(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_LONGEST_CHAIN):
        if error is None:
            return
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
