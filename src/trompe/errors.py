"""Errors that are the user's to mend: one clear line, exit code 2, no traceback."""


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do about it."""
