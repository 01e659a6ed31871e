"""Pieces that, repeated, make careless expressions look at a text again and again."""

UNITS = (
    "A", "1", "1 ", "12-", "4111 ", "4111-", "+1", "+49 ", "(0", "DE89 ", "DE12", "@", "a@", "@a.", "a.",
    "a-", "a_", ".", "%40", "%", "a+b=", "eyJ", "-eyJaaaaa", "eyJaaaaa.", "sk-", "SG.aaaaaaaaaaaaaaaaaaaaa",
    "AKIA", "github_pat_", "password", "password=", 'password="', "password='", 'password=\\"', "pin",
    "password is ", "password: ", "Cookie: ", "bearer ", "api key ", "-----BEGIN PRIVATE KEY-----", "-----",
    "Key (a)=(", "Failing row contains (", "[parameters: ", "Duplicate entry '", "invalid input syntax for ",
    "://", "://a:b", "://a@", "phone ", "call me ", "my number ", "ssn ", "pan ", "{", "[", '{"a":', '"',
    "'", "\\", "\\'", "--", "/*", "*/", "$a$", "$$", "$a$b$", "0x", "a=b&", "?", "#", "?#", " ", "\n",
    "[email]", "…[cut]",
)  # fmt: skip

# Has what every rule needs, so that none is skipped.
TAIL = (
    "\n password pin api token = a@example.com %40 :// bearer sk- akia hooks.slack.com --private key u- -u "
    "phone call me ssn pan 1234567 )=( failing row contains ( [parameters: duplicate entry ' "
    "invalid input :aa"
)
