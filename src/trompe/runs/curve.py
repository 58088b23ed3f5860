"""A curve of any length in a bounded number of points, from which the eye misses none."""

Point = tuple[float, float]
_Bin = tuple[Point, Point]  # the lowest and the highest

_BINS = 1000  # at most; a plot is rarely wider in pixels


class Curve:
    """Points that come from left to right, thinned as they come.

    Up to 1,000 points are kept as they are. Of more, the lowest and the highest are kept in each of
    500 to 1,000 bins of equally many, and the first and the last: no spike is lost.

    Attributes:
        count: points that were added.
    """

    def __init__(self) -> None:
        self.count = 0
        self._bins: list[_Bin] = []
        self._per_bin = 1
        self._first = self._last = (0.0, 0.0)

    def add(self, x: float, y: float) -> None:
        """Add a point on the right."""
        point = (x, y)
        if self.count % self._per_bin:
            low, high = self._bins[-1]
            if y < low[1] or y > high[1]:
                self._bins[-1] = (point, high) if y < low[1] else (low, point)
        else:
            if len(self._bins) == _BINS:
                self._bins = _halved(self._bins)
                self._per_bin *= 2
            self._bins.append((point, point))
        if not self.count:
            self._first = point
        self._last = point
        self.count += 1

    def is_thinned(self, most: int) -> bool:
        """Whether some of its points are left out of so many bins."""
        return self._per_bin > 1 or len(self._bins) > most

    def points(self, most: int) -> list[Point]:
        """What is left of it, from left to right, in at most so many bins of two points."""
        bins = self._bins
        while len(bins) > max(most, 1):
            bins = _halved(bins)
        ends = {self._first, self._last} if self.count else set()
        return sorted(ends.union(*bins))


def _merged(a: _Bin, b: _Bin) -> _Bin:
    return (
        min(a[0], b[0], key=lambda point: point[1]),
        max(a[1], b[1], key=lambda point: point[1]),
    )


def _halved(bins: list[_Bin]) -> list[_Bin]:
    pairs = [_merged(*pair) for pair in zip(bins[::2], bins[1::2], strict=False)]
    return pairs + bins[len(pairs) * 2 :]
