"""Secrets, by their looks: passwords, tokens and keys are neither printed nor written.

All patterns are here. What is masked is the secret alone, so that what is left still tells what
was done.
"""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trompe.errors import UserError

MASK = "***"

# Words at the end of a name that say what its value is; several of them end in an s.
_PASSWORD = "password|passwd|passphrase|pwd"
_TOKEN = (
    "token|secret|(?:api|access|secret|private|account|wandb)[_-]?key|credential|authorization"
    "|x-(?:amz|goog)-signature"
)
_SHORT = "(?<![a-z])(?:pass|pw|auth|sig)"  # a word of its own: not of compass
_NAME = re.compile(
    f"(?i)(?:(?P<password>{_PASSWORD})|(?P<short>{_SHORT})|{_TOKEN})(?P<several>s)?$"
)
_WORDS = f"(?:{_PASSWORD}|{_SHORT}|{_TOKEN})s?"
_REFERENCE = r"\$\{[^{}]*\}"  # to the environment, or another key
# A name and its value: `--key=value`, `key: "value"`, `key: str = 'value'`, `?key=value`.
_PAIR = re.compile(
    rf"""(?ix)(?P<name>{_WORDS})
    (?P<sep>["']?\s{{0,3}}(?::\s{{0,3}}[\w.]{{1,20}}\s{{0,3}}=|[:=])\s{{0,3}})
    (?:(?P<quote>["'])(?P<quoted>[^"'\n]+)(?P=quote)
    |(?P<bare>{_REFERENCE}|[^\s"',;&{{}}()\[\]]+))"""
)
# A name and its values: `keys=a,b`, `keys=[a,b]`, `keys={x:a,y:b}`, `keys=choice(a,b)`.
_LIST = re.compile(
    rf"""(?ix)(?P<name>{_WORDS})(?P<sep>["']?\s{{0,3}}[:=]\s{{0,3}})
    (?P<values>(?:choice|shuffle)?[\[{{(](?:[^\[\]{{}}()\n]|[\[{{(][^\[\]{{}}()\n]*[\]}})])*
    |(?:[^\s"',;&{{}}()\[\]=:]+|"[^"\n]*"|'[^'\n]*')
     (?:,(?![^\s,]*[=:])(?:[^\s"',;&{{}}()\[\]]+|"[^"\n]*"(?!:)|'[^'\n]*'(?!:)))+)"""
)
_ITEM = re.compile(
    rf"""(?x){_REFERENCE} | "[^"\n]*"\s*: | '[^'\n]*'\s*:
    | (?P<quote>["'])(?P<quoted>[^"'\n]+)(?P=quote)
    | (?P<bare>[^\s"',:{{}}()\[\]]+)(?!\s*:|[^\s,:)\]}}]|\()"""
)
# The password of a URL, up to the last @ of it: one may hold an @ itself. Between quotation marks
# it may hold spaces and the other marks, and so it may where the URL is not in code. The longest
# is bounded, for the sake of speed.
_START = r"[a-z][a-z0-9+.-]{0,30}://[^\s:/@\"']*:"
_URL = re.compile(
    rf"""(?ix)(?P<start>(?<=")(?:{_START}))(?:\\.|[^"\\\n]){{1,1000}}(?=@)
    | (?P<start2>(?<=')(?:{_START}))(?:\\.|[^'\\\n]){{1,1000}}(?=@)
    | (?P<start3>{_START})[^\s"']{{1,1000}}(?=@)"""
)
_LOOSE_URL = re.compile(
    rf"""(?ix)(?P<start>{_START})
    (?!\d{{1,5}}(?:[/?\#\s"',;)\]]|$))  # a port
    [^\s"'@](?:\S{{1,1000}}|[^@\n]{{1,1000}})(?=@[\w.\[-])"""
)
# Who comes with a token alone, and a signature, which is one.
_USER = re.compile(r"""(?i)(?<=://)[\w-]{16,}(?=(?::[^\s/@"']*)?@)""")
_SIGNATURE = re.compile(r"""(?i)([?&](?:sig|signature)=)[^\s"'&#]+""")
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
    | \b[rs]k_(?:live|test)_[A-Za-z0-9]{10,}      # Stripe
    | \bnpm_[A-Za-z0-9]{30,}                      # npm
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,}            # Slack
    | \beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}  # JSON web tokens
    """
)
_HEADER = re.compile(
    r"(?i)(?P<word>\b(?:bearer|(?P<sure>authorization: )?basic)\s+)(?P<value>[\w.~+/-]{8,}={0,2})"
)
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)


def mask(value: Any, key: str = "") -> Any:
    """The same value with every secret in it replaced by ``***``.

    Args:
        value: a text, or nested dicts and lists of anything.
        key: what a text is the value of; what is in a list, or in a dict below a name of
            several secrets (``tokens``), is taken for one of them.
    """
    if isinstance(value, Mapping):
        return {name: mask(entry, _name_in(key, str(name), entry)) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [mask(entry, _name_in(key, key, entry)) for entry in value]
    if isinstance(value, str):
        return MASK if _is_secret(key, value) else _mask_text(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return MASK if is_number and _is_secret(key, str(value)) else value


def _name_in(key: str, name: str, entry: Any) -> str:
    """What `entry`, which is called `name` in the value of `key`, is the value of."""
    match = _NAME.search(key)
    if match is None or not match["several"] or (name != key and _NAME.search(name)):
        return name
    return key if isinstance(entry, Mapping | list | tuple) else key[:-1]


def has_mask(value: Any) -> bool:
    """Whether a secret was masked in a text, or in nested dicts and lists of them."""
    if isinstance(value, Mapping):
        return any(has_mask(entry) for entry in value.values())
    if isinstance(value, list | tuple):
        return any(has_mask(entry) for entry in value)
    return isinstance(value, str) and MASK in value


def _mask_text(text: str) -> str:
    is_code = "\n" in text
    text = _PRIVATE_KEY.sub(rf"\1{MASK}", text)
    text = _URL.sub(_mask_url, text)
    if not is_code:
        text = _LOOSE_URL.sub(_mask_url, text)
    text = _USER.sub(lambda found: MASK if _is_mixed(found[0]) else found[0], text)
    text = _SIGNATURE.sub(rf"\1{MASK}", text)
    text = _KNOWN.sub(MASK, text)
    text = _HEADER.sub(_mask_header, text)
    text = _LIST.sub(lambda found: _mask_list(found, is_code), text)
    return _PAIR.sub(lambda found: _mask_pair(found, is_code), text)


def _mask_url(found: re.Match[str]) -> str:
    start = next(text for text in found.groupdict().values() if text)
    password = found[0].removeprefix(start)
    return found[0] if re.fullmatch(_REFERENCE, password) else start + MASK


def _mask_header(found: re.Match[str]) -> str:
    """Basic is a common word: what comes after it has to be a name and a password."""
    value = found["value"]
    if found["word"].lower().startswith("bearer"):
        is_secret = len(value) >= 16 or _looks_random(value)
    else:
        is_secret = bool(found["sure"]) or _is_login(value)
    return found["word"] + MASK if is_secret else found[0]


def _is_login(value: str) -> bool:
    try:
        return b":" in base64.b64decode(value, validate=True)
    except ValueError:
        return False


def _mask_list(found: re.Match[str], is_code: bool) -> str:
    """A name with those of its values masked that are secrets; in code, only texts are values."""

    def one(item: re.Match[str]) -> str:
        value = item["quoted"] or item["bare"]
        if not value or (is_code and item["bare"]) or not _is_secret(name, value):
            return item[0]
        quote = item["quote"] or ""
        return f"{quote}{MASK}{quote}"

    name = _name_in(found["name"], found["name"], "")
    return found["name"] + found["sep"] + _ITEM.sub(one, found["values"])


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

    A token has a digit or is long, unlike the `token` of a model: `cls`, `learned`. Several have
    no number, which is how many there are, and no spaces or brackets: `<extra_id_0>`.
    """
    match = _NAME.search(name)
    if match is None or value in ("", MASK, "null", "None", "???") or value.startswith("${"):
        return False
    if match["several"] and re.fullmatch(r"[\d.]+", value):
        return False
    if match["password"]:
        return True
    if re.fullmatch(r"<.*>|\[.*\]", value) or (match["several"] and " " in value):
        return False
    if match["short"]:
        return len(value) >= 32 or bool(_looks_typed(value))
    return _looks_random(value) or len(value) >= 32


def _looks_random(value: str) -> bool:
    return len(value) >= 8 and any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def _looks_typed(value: str) -> bool:
    """Whether it looks like a password: not a plain word, nor a number."""
    has_letter = any(c.isalpha() for c in value)
    return len(value) >= 6 and has_letter and bool(re.search(r"[\d!@#$%^&*?+~]", value))


def _is_mixed(value: str) -> bool:
    """Whether letters and digits take turns, unlike in a name with a number at its end."""
    return len(re.findall(r"\d+|[A-Za-z]+", value)) >= 4 and _looks_random(value)


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
    if f":{MASK}@" not in stored:
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
