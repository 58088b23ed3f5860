"""A run's curves as one table, for a spreadsheet or pandas."""

import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

from trompe.files import whole_file
from trompe.lines import append_line, cut_back
from trompe.loggers.tracker import Tracker
from trompe.runs.reading import Unreadable, opened


class CSVFile(Tracker):
    """Writes ``metrics.csv`` into the run folder: one row per record, ``kimg`` first.

    Columns stand in the order of their first appearance. A record with a new one replaces the file,
    so a reader never sees half a table. Numbers only: pictures and config stand beside it in the
    run folder.
    """

    def _open(self) -> None:
        self.path = self.folder / "metrics.csv"
        self._columns: list[str] = []
        end = float("inf") if self.resume_kimg is None else self.resume_kimg
        # A killed writer may leave half a line, without a newline.
        cut_back(self.path, lambda line, is_whole: is_whole and _kimg(line) <= end)
        with self._rows() as rows:
            self._columns = list(rows.fieldnames or [])
        if not self._columns:
            self._rewrite(["kimg"])
        elif self._columns[0] != "kimg":
            raise Unreadable(self.path, "its first column is not kimg; the run does without it")

    def _write_record(self, record: dict[str, float], kimg: float) -> None:
        new = [name for name in record if name not in self._columns]
        if new:
            self._rewrite(new)
        row = io.StringIO()
        writer = csv.DictWriter(row, self._columns, lineterminator="")
        writer.writerow({name: repr(float(value)) for name, value in record.items()})
        append_line(self.path, row.getvalue())

    def _rewrite(self, new: list[str]) -> None:
        """Add columns; a row at a time is in memory."""
        columns = [*self._columns, *new]
        with whole_file(self.path) as file, self._rows() as rows:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        self._columns = columns

    @contextmanager
    def _rows(self) -> Iterator["csv.DictReader[str]"]:
        """What there is, row by row.

        Raises:
            Unreadable: if it is no table.
        """
        if not os.path.lexists(self.path):
            yield csv.DictReader([])
            return
        try:
            with opened(self.path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
                yield csv.DictReader(text)
        except csv.Error as error:
            raise Unreadable(self.path, str(error)) from error

    def _close(self, status: str) -> None: ...


def _kimg(line: bytes) -> float:
    """Of a row; of the header, which is always kept, and of what is no row, as little as can be."""
    try:
        return float(line.partition(b",")[0])
    except ValueError:
        return -float("inf")
