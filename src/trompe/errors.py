"""Errors that the user can fix: one clear line, exit code 2, no traceback."""


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do about it.

    Attributes:
        is_told: whether another process prints it.
    """

    is_told = False


def check_count(key: str, value: object, least: int = 1) -> None:
    """Refuse anything but a whole number of at least `least`.

    Raises:
        UserError: naming the config's `key`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{key}={value} must be a whole number of at least {least}")


def check_positive(key: str, value: object) -> None:
    """Refuse anything but a number above 0.

    Raises:
        UserError: naming the config's `key`.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise UserError(f"{key}={value} must be a number above 0")
