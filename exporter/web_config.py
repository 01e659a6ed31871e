"""The file that says who may read the pages, and how: Prometheus's web configuration, checked as a whole.

The format is that of exporter-toolkit (`--web.config.file` of the other exporters). What this adds is
`bearer_token_file`; what it refuses is what Python's TLS cannot do, and what protects nobody.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from exporter import _yaml
from exporter._config_problems import problems
from exporter.config import ConfigError

# Go's names, as the format has them, and OpenSSL's. Those of TLS 1.3 cannot be chosen, in Go neither.
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
}
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

# Headers that may be added, and their values where only some make sense.
_HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_HASH = re.compile(r"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNLOOKED = {
    "RequestClientCert": "asks for a certificate and never looks at it",
    "RequireAnyClientCert": "takes a certificate that anybody can make",
    "RequireClientCert": "takes a certificate that anybody can make",
}


def _client_auth(value: Any) -> Any:
    if value in _UNLOOKED:
        raise ValueError(
            f"the mode {value} {_UNLOOKED[value]}, which protects nothing, and which Python's TLS lacks; "
            "use RequireAndVerifyClientCert with client_ca_file, or leave the key out"
        )
    return value


def _version(value: Any) -> Any:
    if value in ("TLS10", "TLS11"):
        raise ValueError(f"version {value} is broken and not spoken here; use TLS12 or TLS13")
    return value


def _cipher(name: str) -> str:
    if name not in CIPHERS:
        raise ValueError(f"is no cipher suite known here; known are {', '.join(CIPHERS)}")
    return name


def _curve(name: str) -> str:
    if name not in CURVES:
        raise ValueError(f"is no curve known here; known are {', '.join(CURVES)}")
    return name


def _hash(value: SecretStr) -> SecretStr:
    if not _HASH.fullmatch(value.get_secret_value()):
        raise ValueError("is no bcrypt hash; make one with: htpasswd -nBC 10 '' | tr -d ':\\n'")
    return value


def _user(name: str) -> str:
    # A colon would end it in the request; the rest could not be sent at all.
    if not name or ":" in name or not name.isprintable():
        raise ValueError("a user's name is printable text without a colon")
    return name


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = _DURATION.findall(value)
    if "".join(number + unit for number, unit in parts) != value or not parts:
        raise ValueError("use a duration such as 500ms, 1s or 1m30s")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


Version = Annotated[Literal["TLS12", "TLS13"], BeforeValidator(_version)]
ClientAuth = Annotated[
    Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"],
    BeforeValidator(_client_auth),
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TlsServer(_Section):
    """Our certificate and key, and what is asked of clients."""

    cert: str = ""
    key: SecretStr = SecretStr("")
    client_ca: str = ""
    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    client_auth_type: ClientAuth = "NoClientCert"
    client_allowed_sans: list[str] | None = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: list[Annotated[str, AfterValidator(_cipher)]] = []
    prefer_server_cipher_suites: bool = True
    curve_preferences: list[Annotated[str, AfterValidator(_curve)]] = []

    @property
    def enabled(self) -> bool:
        """Whether the file asks for TLS at all."""
        return bool(self.model_fields_set)

    @property
    def files(self) -> list[Path]:
        """The files that it names."""
        return [path for path in (self.cert_file, self.key_file, self.client_ca_file) if path]


class HttpServer(_Section):
    """`http2` is read and has no effect: the pages are served by HTTP/1.1, which every client speaks."""

    # X-XSS-Protection: 0 is a number to YAML.
    model_config = ConfigDict(**_Section.model_config, coerce_numbers_to_str=True)

    http2: bool = True
    headers: dict[str, str] = {}


class RateLimit(_Section):
    """One request every `interval` seconds (0: no limit), and `burst` at once."""

    interval: Annotated[float, BeforeValidator(_seconds), Field(ge=0)] = 0.0
    burst: int = Field(default=0, ge=0)


class WebConfig(_Section):
    """The whole file. Paths are seen from the folder that it lies in."""

    tls_server_config: TlsServer = TlsServer()
    http_server_config: HttpServer = HttpServer()
    rate_limit: RateLimit = RateLimit()
    basic_auth_users: dict[
        Annotated[str, AfterValidator(_user)], Annotated[SecretStr, AfterValidator(_hash)]
    ] = {}
    bearer_token_file: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The files that it names."""
        return [*self.tls_server_config.files, *([self.bearer_token_file] if self.bearer_token_file else [])]


Places = Mapping[tuple[str, ...], str]


def load(path: Path) -> tuple[WebConfig, Places]:
    """Return the content, and the place (file and line) of every key.

    Raises ConfigError with a line for each fault; no secret is in it.
    """
    try:
        values, lines = _yaml.read(path)
    except _yaml.YamlError as error:
        raise ConfigError(str(error)) from None
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}:{lines[()]}: must be keys with values, such as 'tls_server_config:'")
    for name in ("tls_server_config", "http_server_config", "rate_limit", "basic_auth_users"):
        if values.get(name, 0) is None:  # "basic_auth_users:" with every line below it commented out
            del values[name]
    places = {tuple(map(str, place)): f"{path}:{line}" for place, line in lines.items() if place}
    try:
        config = WebConfig.model_validate(_beside(values, path.parent))
    except ValidationError as error:
        raise ConfigError(*problems(error, places, WebConfig)) from None
    wrong = [
        f"{places.get(keys, path)}: {'.'.join(keys)}: {text}"
        for keys, text in (*_wrong_tls(config.tls_server_config), *_wrong_http(config))
    ]
    if wrong:
        raise ConfigError(*wrong)
    return config, places


def _beside(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths relative to the folder of the file that they stand in."""
    return {
        key: _beside(value, folder)
        if key == "tls_server_config" and isinstance(value, dict)
        else str(folder / value)
        if key.endswith("_file") and isinstance(value, str) and value
        else value
        for key, value in values.items()
        if not (key.endswith("_file") and value in ("", None))  # left blank is left out, as upstream
    }


def _wrong_tls(tls: TlsServer) -> Iterator[tuple[tuple[str, ...], str]]:
    section = ("tls_server_config",)
    for one, file in (("cert", "cert_file"), ("key", "key_file"), ("client_ca", "client_ca_file")):
        given, given_file = bool(getattr(tls, one)), getattr(tls, file) is not None
        if given and given_file:
            yield (*section, one), f"give either {one} or {file}"
        elif tls.enabled and not given and not given_file and one != "client_ca":
            yield section, f"{one}_file is missing"
    has_ca = bool(tls.client_ca or tls.client_ca_file)
    if tls.client_auth_type == "NoClientCert":
        if has_ca:
            yield (
                section,
                "a client CA protects nothing without client_auth_type: RequireAndVerifyClientCert",
            )
    elif not has_ca:
        yield (*section, "client_auth_type"), "needs client_ca_file, the CA that signs the clients"
    if tls.client_allowed_sans is not None and tls.client_auth_type != "RequireAndVerifyClientCert":
        yield (*section, "client_allowed_sans"), "needs client_auth_type: RequireAndVerifyClientCert"
    if tls.min_version > tls.max_version:
        yield (*section, "max_version"), "is older than min_version"
    if len(tls.curve_preferences) > 1:
        yield (
            (*section, "curve_preferences"),
            "Python's TLS can be held to one curve only; name one, or leave the key out for OpenSSL's order",
        )


def _wrong_http(config: WebConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, value in config.http_server_config.headers.items():
        keys = ("http_server_config", "headers", name)
        allowed = _HEADERS.get(name)
        if allowed is None:
            yield keys, f"cannot be set; known are {', '.join(_HEADERS)}"
        elif value and allowed and value not in allowed:
            yield keys, f"must be {' or '.join(allowed)}"
        elif not value.isascii() or (not value.isprintable() and value):
            yield keys, "must be one line of ASCII text"
    if config.rate_limit.interval and not config.rate_limit.burst:
        yield ("rate_limit",), "burst is missing: without it no request is let in at all"
