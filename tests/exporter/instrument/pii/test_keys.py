"""Which names are sensitive, however they are written, and which only look so."""

import pytest

from exporter.instrument.pii import DEFAULT_KEYS
from exporter.instrument.pii.keys import Keys

SENSITIVE = """
password Password PASSWORD passwd user_password userPassword user-password new.password password2
passwordConfirm dbpassword DB_PASSWORD PGPASSWORD passphrase secret client_secret clientSecret
SECRET_KEY_BASE django_secret_key token access_token accessToken X-Auth-Token csrfmiddlewaretoken id_token
refreshToken api_key apiKey API-KEY x-api-key apikey openai_api_key aws_secret_access_key authorization
Authorization proxy-authorization HTTP_AUTHORIZATION cookie Set-Cookie cookies HTTP_COOKIE session
session_id sessionId JSESSIONID PHPSESSID csrf csrf_token X-CSRFToken xsrf dsn SENTRY_DSN
connection_string private_key privateKey credentials otp pin cvv CVC cvv2 card_number cardNumber cc-number
ssn social_security_number aadhaar aadhaar_number pan_number iban account_number passport_number dob
date_of_birth phone phone_number mobile phoneNumber jwt user_jwt webhook_secret bearer
"""
HARMLESS = """
token_count max_tokens prompt_tokens tokens total_tokens token_type token_bucket tokenizer author authors
authority keyboard key keys primary_key keyword monkey secretary secretariat passenger compass passed
bypass password_changed_at has_password password_reset_required session_count session_timeout cookie_name
cookie_consent cookie_domain pinned spin opinion mapping shipping spinach panel pants company span expand
ssnake cardinality card_count cards phone_verified microphone headphones mobile_enabled name email user id
city amount status route num_cookies count_sessions description dashboard hash basic x
"""


@pytest.mark.parametrize("name", SENSITIVE.split())
def test_a_sensitive_name_is_known(name):
    """In any case, joined in any way, with words before and after it."""
    assert Keys(DEFAULT_KEYS)(name)


@pytest.mark.parametrize("name", HARMLESS.split())
def test_a_harmless_name_is_left_alone(name):
    """Counts, limits, times and words that only contain one."""
    assert not Keys(DEFAULT_KEYS)(name)


def test_names_from_outside_do_not_fill_the_memory():
    """Only so many answers are kept, and none for very long names."""
    keys = Keys(DEFAULT_KEYS)
    for number in range(10_000):
        keys(f"name{number}")
    assert keys("x" * 10_000 + "_password")
    assert len(keys._known) <= 4096
    assert max(map(len, keys._known)) <= 100
