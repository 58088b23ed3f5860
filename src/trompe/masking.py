"""Secrets, by their looks: passwords, tokens and keys are neither printed nor written.

All patterns are here. What is masked is the secret alone, so that what is left still tells what
was done.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trompe.errors import UserError

MASK = "***"

# Words at the end of a name that say what its value is.
_PASSWORD = "password|passwd|passphrase|pwd"
_TOKEN = "token|secret|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|credentials?"
_NAME = re.compile(f"(?i)(?:(?P<password>{_PASSWORD})|{_TOKEN})$")
# A name and its value: `--key=value`, `key: "value"`, `key: str = 'value'`, `?key=value`.
_PAIR = re.compile(
    rf"""(?ix)(?P<name>{_PASSWORD}|{_TOKEN})
    (?P<sep>["']?\s{{0,3}}(?::\s{{0,3}}[\w.]{{1,20}}\s{{0,3}}=|[:=])\s{{0,3}})
    (?:(?P<quote>["'])(?P<quoted>[^"'\n]+)(?P=quote)|(?P<bare>[^\s"',;&{{}}()\[\]]+))"""
)
# The password of a URL, up to the last @ of it: one may hold an @ itself.
_URL = re.compile(r"""(?i)([a-z][a-z0-9+.-]*://[^\s:/@"']*:)[^\s"']+(?=@)""")
_KNOWN = re.compile(
    r"""(?x)
    \bhf_[A-Za-z0-9]{30,}                         # Hugging Face
    | \bgh[opsur]_[A-Za-z0-9]{36,}                # GitHub
    | \bgithub_pat_[A-Za-z0-9_]{22,}
    | \bglpat-[A-Za-z0-9_-]{20,}                  # GitLab
    | \bwandb_v1_[A-Za-z0-9_]{20,}                # Weights & Biases
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b               # Amazon
    | \bAIza[A-Za-z0-9_-]{35}                     # Google
    | \bsk-[A-Za-z0-9_-]{20,}                     # OpenAI and others
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,}            # Slack
    | \beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}  # JSON web tokens
    """
)
_HEADER = re.compile(r"(?i)\b(bearer|authorization: basic)\s+[A-Za-z0-9._~+/=-]{16,}")
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)


def mask(value: Any, key: str = "") -> Any:
    """The same value with every secret in it replaced by ``***``.

    Args:
        value: a text, or nested dicts and lists of anything.
        key: what a text is the value of.
    """
    if isinstance(value, Mapping):
        return {name: mask(entry, str(name)) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [mask(entry, key) for entry in value]
    if isinstance(value, str):
        return MASK if _is_secret(key, value) else _mask_text(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return MASK if is_number and _is_secret(key, str(value)) else value


def has_mask(value: Any) -> bool:
    """Whether a secret was masked in a text, or in nested dicts and lists of them."""
    if isinstance(value, Mapping):
        return any(has_mask(entry) for entry in value.values())
    if isinstance(value, list | tuple):
        return any(has_mask(entry) for entry in value)
    return isinstance(value, str) and MASK in value


def _mask_text(text: str) -> str:
    text = _PRIVATE_KEY.sub(rf"\1{MASK}", text)
    text = _URL.sub(rf"\1{MASK}", text)
    text = _KNOWN.sub(MASK, text)
    text = _HEADER.sub(rf"\1 {MASK}", text)
    is_code = "\n" in text
    return _PAIR.sub(lambda found: _mask_pair(found, is_code), text)


def _mask_pair(found: re.Match[str], is_code: bool) -> str:
    """A name with its value masked, if it is a secret.

    In code a bare value is mostly a name: it has to look like a secret and end its line.
    """
    value = found["quoted"] or found["bare"]
    if found["bare"] and is_code:
        rest = found.string[found.end() : found.end() + 1]
        if rest not in ("", "\n", "\r") or "." in value or not _looks_random(value):
            return found[0]
    if not _is_secret(found["name"], value):
        return found[0]
    quote = found["quote"] or ""
    return f"{found['name']}{found['sep']}{quote}{MASK}{quote}"


def _is_secret(name: str, value: str) -> bool:
    """Whether a name says that its value is a secret, and the value does not say otherwise.

    A token has a digit or is long, unlike the `token` of a model: `cls`, `learned`.
    """
    match = _NAME.search(name)
    if match is None or value in ("", MASK, "null", "None", "???") or value.startswith("${"):
        return False
    return bool(match["password"]) or _looks_random(value) or len(value) >= 32


def _looks_random(value: str) -> bool:
    return len(value) >= 8 and any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def real_storage(stored: str, environment: Mapping[str, str]) -> str:
    """The URL of a study's storage with its password, which no folder holds.

    Args:
        stored: as in sweep.yaml.
        environment: with the whole URL in ``TROMPE_STORAGE``, or what PostgreSQL's own client
            takes a password from: ``PGPASSWORD``, ``PGPASSFILE`` or ``~/.pgpass``.

    Raises:
        UserError: if the password was masked and there is none, or that of another storage.
    """
    given = environment.get("TROMPE_STORAGE", "")
    if given and mask(given) == mask(stored):
        return given
    if not _URL.search(stored) or f":{MASK}@" not in stored:
        return stored
    if given:
        raise UserError(f"TROMPE_STORAGE is another storage than that of the sweep: {stored}")
    pgpass = Path(environment.get("PGPASSFILE", "~/.pgpass")).expanduser().is_file()
    if stored.startswith("postgresql") and (pgpass or environment.get("PGPASSWORD")):
        return stored.replace(f":{MASK}@", "@", 1)
    raise UserError(
        f"the password of {stored} is not recorded: set TROMPE_STORAGE to the whole URL"
        + (", or PGPASSWORD to the password" if stored.startswith("postgresql") else "")
    )
