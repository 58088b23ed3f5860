// Means with 95 % intervals (Student's t), and smoothing.
function interval(values) {
  const n = values.length;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  if (n < 2) return { mean, half: null, n };
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / (n - 1);
  const t = data.student[Math.min(n - 1, data.student.length) - 1];
  return { mean, half: t * Math.sqrt(variance / n), n };
}

function sayInterval(values) {
  if (!values.length) return "";
  const { mean, half } = interval(values);
  return half === null ? short(mean) : `${short(mean)} ± ${Number(half.toPrecision(2))}`;
}

// Exponential moving average that begins at the first values' own mean (as Adam corrects its own).
function smoothed(ys, weight) {
  let [sum, norm] = [0, 0];
  return ys.map((y) => {
    sum = weight * sum + (1 - weight) * y;
    norm = weight * norm + (1 - weight);
    return sum / norm;
  });
}

// Mean and interval of several curves, where at least two have begun and not ended.
function meanCurve(lines) {
  const xs = [...new Set(lines.flatMap((line) => line.xs))].sort((a, b) => a - b);
  const kept = xs.length > 400 ? xs.filter((_, i) => i % Math.ceil(xs.length / 400) === 0) : xs;
  const found = { xs: [], ys: [], low: [], high: [] };
  for (const x of kept) {
    const values = lines.filter((l) => l.xs[0] <= x && l.xs.at(-1) >= x).map((l) => between(l.xs, l.ys, x));
    if (values.length < Math.min(2, lines.length)) continue;
    const { mean, half } = interval(values);
    found.xs.push(x);
    found.ys.push(mean);
    found.low.push(mean - (half ?? 0));
    found.high.push(mean + (half ?? 0));
  }
  return found;
}

// Along the straight line between two points.
function between(xs, ys, x) {
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  if (high <= 0 || xs[low] >= x) return ys[Math.max(low, 0)];
  if (xs[high] <= x) return ys[high];
  return ys[low] + (ys[high] - ys[low]) * (x - xs[low]) / (xs[high] - xs[low]);
}
