"""Where studies are kept, and the lock that all workers of a study share, wherever they run."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from trompe.errors import UserError
from trompe.extras import need
from trompe.locks import Lock
from trompe.masking import real_storage

# Storages that are files of the sweep's folder; all others are URLs of databases.
OWN_FILES = {"sqlite": "study.db", "journal": "study.log"}
_FILE_LOCK = ".claim.lock"
# What Optuna raises for a journal that is none.
_DAMAGED = (AssertionError, AttributeError, LookupError, TypeError)
_WAIT_SECONDS = 60  # of a sqlite database for another that writes


class StudyStorage:
    """Optuna's storage, with a lock that one process holds at a time.

    Optuna makes tables, studies and trials by several statements each, and asks in between: two
    workers that do so at once queue a grid twice, exceed the number of trials or die of a unique
    violation. Inside `exclusively` none of that can happen.

    Args:
        kind: ``sqlite`` or ``journal``, files of the sweep's folder; or the URL of a database.
        folder: of the sweep.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.is_private = kind in OWN_FILES
        self._kind = kind
        self._folder = folder
        self._url = None if self.is_private else _parse(real_storage(kind, os.environ))
        self._engine: Engine | None = None
        self._database: RDBStorage | None = None
        self._study: BaseStorage | None = None

    def __str__(self) -> str:
        """Where it is, without a password."""
        if self._url is None:
            return str(self._folder / OWN_FILES[self._kind])
        return self._url.render_as_string(hide_password=True)

    @property
    def study(self) -> BaseStorage:
        """Optuna's storage, opened by the first who needs it.

        Raises:
            UserError: if it cannot be opened.
        """
        if self._study is None:
            try:
                self._study = get_storage(self._open())
            except (*_DAMAGED, SQLAlchemyError, StorageInternalError, OSError, ValueError) as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise UserError(f"cannot open the study's storage {self}: {reason}") from error
        return self._study

    def _open(self) -> BaseStorage:
        if self._kind == "journal":
            return JournalStorage(JournalFileBackend(str(self._folder / OWN_FILES["journal"])))
        if self._url is None:
            url = f"sqlite:///{self._folder / OWN_FILES['sqlite']}"
        else:
            url = self._url.render_as_string(hide_password=False)
        if self._url is None or self._dialect == "sqlite":
            # Several workers write: they wait for each other.
            options: dict[str, Any] = {"connect_args": {"timeout": _WAIT_SECONDS}}
        else:
            # A connection that a server has closed meanwhile is replaced.
            options = {"pool_pre_ping": True}
        with self.exclusively("tables"):
            self._database = RDBStorage(url, engine_kwargs=options)
        return self._database

    def close(self) -> None:
        """Close all connections and files; it can be used again."""
        if self._database is not None:
            self._database.remove_session()
            self._database.engine.dispose()
        self._database = self._study = None

    @contextmanager
    def exclusively(self, what: str) -> Iterator[None]:
        """Inside is one process at a time, of all that work on the same thing in this storage.

        It is free however that process ends: the lock belongs to a connection, or an open file.

        Args:
            what: the study's name, say.

        Raises:
            UserError: if the lock cannot be had.
        """
        if self._url is None or self._dialect == "sqlite":
            with Lock(self._lock_file()):
                yield
            return
        connection = self._lock_engine().connect()
        try:
            # The transaction holds the lock: it works through a connection pooler too.
            connection.begin()
            _lock(connection, self._dialect, what)
            yield
        finally:
            connection.close()

    def _lock_file(self) -> Path:
        if self._url is None:
            return self._folder / _FILE_LOCK
        database = Path(str(self._url.database)).resolve()  # a link is the same database
        return database.with_name(f".{database.name}.lock")

    def _lock_engine(self) -> Engine:
        assert self._url is not None
        if self._engine is None:
            # No pool: a closed connection is gone, and its lock with it.
            self._engine = create_engine(self._url, poolclass=NullPool)
        return self._engine

    @property
    def _dialect(self) -> str:
        assert self._url is not None
        return self._url.get_backend_name()


def _parse(kind: str) -> URL:
    """The URL of a database of a kind that has locks, whose driver is installed.

    Raises:
        UserError: if it is none.
    """
    try:
        url = make_url(kind)
        dialect = url.get_backend_name()
        url.get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        shown = f"storage={url.drivername}://"
        raise UserError(need(error.name or dialect, shown)) from error
    except SQLAlchemyError as error:
        hint = "; write postgresql://" if kind.startswith("postgres://") else ""
        raise UserError(
            "cannot open the study's storage: storage= must be sqlite, journal or the URL of a "
            f"database: {str(error).splitlines()[0]}{hint}"
        ) from error
    if dialect not in ("sqlite", "postgresql", "mysql"):
        raise UserError(
            f"storage={url.drivername}:// cannot be shared by workers: use sqlite, journal, "
            "sqlite:///FILE, postgresql:// or mysql+pymysql://"
        )
    if dialect == "sqlite" and url.database in (None, "", ":memory:"):
        raise UserError("storage=sqlite:// keeps nothing: give a file, as in sqlite:////FILE")
    return url


def _lock(connection: Any, dialect: str, what: str) -> None:
    """Wait for a lock of the server's that has this name, until the connection closes."""
    digest = hashlib.sha256(f"trompe {what}".encode()).digest()
    if dialect == "postgresql":
        key = int.from_bytes(digest[:8], "big", signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
    else:
        name = f"trompe-{digest.hex()[:32]}"
        connection.execute(text("SELECT GET_LOCK(:name, -1)"), {"name": name})
