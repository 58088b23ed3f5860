// Ranges of axes, and where their ticks stand.

// What an axis can show.
const canShow = (v, isLog) => Number.isFinite(v) && !(isLog && v <= 0);

function extent(lines, logX, logY, crop) {
  const box = { x: [Infinity, -Infinity], y: [Infinity, -Infinity] };
  const take = (side, v, isLog) => {
    if (!canShow(v, isLog)) return;
    if (v < box[side][0]) box[side][0] = v;
    if (v > box[side][1]) box[side][1] = v;
  };
  for (const line of lines) {
    for (const x of line.xs) take("x", x, logX);
    for (const y of line.ys) take("y", y, logY);
  }
  if (box.x[0] > box.x[1] || box.y[0] > box.y[1]) return null;
  if (crop) {
    const fences = fencesOf(lines.flatMap((line) => line.ys.filter((y) => canShow(y, logY))));
    box.y = [Math.max(box.y[0], fences[0]), Math.min(box.y[1], fences[1])];
  }
  return { x: padded(box.x, logX, 0), y: padded(box.y, logY, 0.06) };
}

// The range of a chart; an axis on which nothing could be drawn is linear instead.
function fitted(lines, { logX = false, logY = false, crop = false }) {
  for (const [isLogX, isLogY] of [[logX, logY], [logX, false], [false, logY], [false, false]]) {
    const box = extent(lines, isLogX && logX, isLogY && logY, crop);
    if (box) return { box, logX: isLogX, logY: isLogY, fell: logX !== isLogX || logY !== isLogY };
  }
  return null;
}

// Tukey 1977: what lies further from the quartiles than 1.5 times their distance is an outlier.
function fencesOf(values) {
  const order = Float64Array.from(values).sort();
  const [low, high] = [0.25, 0.75].map((part) => order[Math.round(part * (order.length - 1))]);
  const reach = 1.5 * (high - low);
  return reach ? [low - reach, high + reach] : [order[0], order.at(-1)];
}

function padded([low, high], isLog, part) {
  if (low === high) return isLog ? [low / 2, high * 2] : [low - (Math.abs(low) * 0.1 || 1), high + (Math.abs(high) * 0.1 || 1)];
  if (isLog) return [low / (high / low) ** part, high * (high / low) ** part];
  return [low - part * (high - low), high + part * (high - low)];
}

// Multiples of 1, 2 or 5 times a power of ten, as many as keep their distance; as two at least, if they can.
function roundTicks(low, high, gap, distance) {
  const start = Math.floor(Math.log10(high - low)) - 2;
  let few = [];
  for (let n = 0; n < 12; n++) {
    const each = [1, 2, 5][n % 3] * 10 ** (start + Math.floor(n / 3));
    const first = Math.ceil(low / each - 1e-9);
    const count = Math.floor(high / each + 1e-9) - first + 1;
    const ticks = Array.from({ length: count }, (_, k) => Number(((first + k) * each).toPrecision(12)));
    if (count < 2) return few.length ? few : ticks;
    if (distance(high - each, high) >= gap) return ticks;
    few = [ticks[0], ticks.at(-1)];
  }
  return few;
}

// Digits that are named in every decade, and how close two of them come there.
const DIGITS = [[[1, 2, 3, 4, 5, 6, 7, 8, 9], Math.log10(10 / 9)], [[1, 2, 5], Math.log10(2)], [[1, 3], Math.log10(3)], [[1], 1]];
const FEW_DECADES = 1.3; // below them the ticks are those of a linear axis

function logTicks(low, high, pixels, gap) {
  const decades = Math.log10(high / low);
  const each = pixels / decades;
  const ticks = [];
  if (decades >= FEW_DECADES) {
    const [digits] = DIGITS.find(([, part]) => each * part >= gap) ?? DIGITS.at(-1);
    const step = Math.max(1, digits.length === 1 ? Math.ceil(gap / each) : 1);
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
      if (power % step === 0) ticks.push(...digits.map((digit) => Number((digit * 10 ** power).toPrecision(12))));
    }
  }
  const seen = ticks.filter((v) => v >= low && v <= high);
  if (seen.length > 1) return seen;
  return roundTicks(low, high, gap, (a, b) => (a > 0 ? each * Math.log10(b / a) : Infinity)).filter((v) => v > 0);
}
