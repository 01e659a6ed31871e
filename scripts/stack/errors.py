"""The one error that a person at the terminal sees as a message instead of a traceback."""


class SetupError(Exception):
    """What is wrong, where, and what to do; ends the command with exit code 2."""
