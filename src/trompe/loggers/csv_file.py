"""A run's curves as one table, for a spreadsheet or pandas."""

import csv
import io

from trompe.files import whole_file
from trompe.loggers.tracker import Tracker


class CSVFile(Tracker):
    """Writes ``metrics.csv`` into the run folder: one row per record, ``kimg`` first.

    Columns stand in the order of their first appearance. A record with a new one replaces the file,
    so a reader never sees half a table. Numbers only: pictures and config stand beside it in the
    run folder.
    """

    def _open(self) -> None:
        self.path = self.folder / "metrics.csv"
        self._columns = ["kimg"]
        self._rows: list[dict[str, str]] = []
        if self.path.exists():
            # A killed writer may leave half a line, without a newline.
            whole = self.path.read_text(encoding="utf-8").rpartition("\n")[0]
            reader = csv.DictReader(io.StringIO(whole))
            self._columns = list(reader.fieldnames or self._columns)
            end = float("inf") if self.resume_kimg is None else self.resume_kimg
            self._rows = [row for row in reader if float(row["kimg"]) <= end]
        self._rewrite()

    def _write_record(self, record: dict[str, float], kimg: float) -> None:
        row = {name: repr(float(value)) for name, value in record.items()}
        self._rows.append(row)
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            self._rewrite()
            return
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)

    def _rewrite(self) -> None:
        with whole_file(self.path) as file:
            writer = csv.DictWriter(file, self._columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)

    def _close(self, status: str) -> None:
        self._rows = []
