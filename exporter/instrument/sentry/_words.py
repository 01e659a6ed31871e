"""The names of Sentry's fields that are told apart: what is left out, what is an address, what is SQL."""

import re

# Left out always: command lines, what was bound to SQL or to a message, what people say to an AI.
_NEVER = re.compile(
    r"""(?x)
    sys\.argv | process\.command_(args|line)
    | sentry\.message\.parameters?.* | db\.query\.parameters?.* | db\.params
    | messaging\.message\.body | graphql\.document.*
    | gen_ai\.(prompt|completion|system|system_instructions|request\.messages|request\.available_tools
        |input\..*|output\..*|response\.(text|tool_calls|object)|tool\.(input|output|call\..*)
        |embeddings\.input)
    """
)
# Left out unless personal data was asked for.
_PERSONAL = re.compile(
    r"""(?x)
    (http|url)\.(query|fragment)
    | url\.query.* | http\.request\.body.* | http\.response\.body.*
    | http\.(request|response)\.header\.(?!content-type$|content-length$|accept$).*
    | client\.(address|port|ip) | network\.peer\..* | user_agent\..*
    """
)
ADDRESSES = frozenset(
    {"url", "url.full", "http.url", "url.path", "url.template", "http.target", "http.route"}
)
QUERIES = frozenset({"http.query", "query_string", "url.query"})
SQL = frozenset({"db.statement", "db.query.text", "db.query.summary"})
# Of a request, what tells of its form and not of its sender.
HEADERS = frozenset({"accept", "content-length", "content-type", "host"})
# Lines of servers: raw paths, queries and addresses of clients. The route and the status are told anyway.
ACCESS_LOGGERS = frozenset(
    {
        "_granian",
        "aiohttp.access",
        "django.server",
        "granian.access",
        "gunicorn.access",
        "hypercorn.access",
        "uvicorn.access",
        "watchkeeper.access",
        "werkzeug",
    }
)
# Numbers of Sentry's own making: they are kept where they stand if they look so.
IDS = frozenset(
    {
        "event_id",
        "trace_id",
        "span_id",
        "parent_span_id",
        "profile_id",
        "profiler_id",
        "chunk_id",
        "check_in_id",
        "replay_id",
        "sid",
        "segment_id",
        "sentry.segment.id",
        "public_key",
        "org_id",
        "sent_at",
        "started",
        "timestamp",
        "start_timestamp",
        "end_timestamp",
        "sample_rate",
        "sample_rand",
        "sampled",
    }
)
_ID = re.compile(
    r"[0-9a-f]{16}|[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]{0,10}(Z|[+-]\d\d:?\d\d)?|[01]?\.\d{1,8}|\d{1,12}|true|false"
)
# A query within a text. What may stand before the first sign is bounded, so this is linear.
QUERY = re.compile(r"""\?[A-Za-z_%][\w.%\[\]-]{0,64}=[^\s"'<>]*""")
_PACKAGE = re.compile(r"[A-Za-z0-9._+!-]{1,100}")


def is_left_out(name: str, *, personal: bool) -> bool:
    """Whether a field or attribute is not sent at all, because nobody can tell what it holds."""
    return bool(_NEVER.fullmatch(name) or (not personal and _PERSONAL.fullmatch(name)))


def is_id(value: object) -> bool:
    """Whether a value looks like an id or a time of Sentry's own."""
    return isinstance(value, int | float) or (isinstance(value, str) and _ID.fullmatch(value) is not None)


def is_package(text: object) -> bool:
    """Whether a text looks like the name or version of a package."""
    return isinstance(text, str) and _PACKAGE.fullmatch(text) is not None
