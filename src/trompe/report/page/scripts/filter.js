// The filter box: words, and the conditions of `trompe runs where=`.
const TESTS = {
  "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "!=": (a, b) => a !== b, "==": (a, b) => a === b,
  "<": (a, b) => a < b, ">": (a, b) => a > b,
};

// [a test of a run's number, what is wrong with the text]; what is wrong tests nothing.
function parseFilter(text) {
  const tests = [];
  const faults = [];
  for (const word of text.match(/"[^"]*"|[^\s"]+(?:"[^"]*")?/g) ?? []) {
    const match = /^([^<>=!]+)(<=|>=|!=|==|<|>)(.*)$/.exec(word);
    if (match) addCondition(match[1], match[2], match[3].replaceAll('"', ""), tests, faults);
    else tests.push(has(word.replaceAll('"', "").toLowerCase()));
  }
  return [(i) => tests.every((test) => test(i)), faults.join("; ")];
}

function addCondition(name, sign, text, tests, faults) {
  if (!data.runs.some((_, i) => lookUp(i, name) !== undefined)) {
    faults.push(`no run has a ${name}`);
    return;
  }
  const isNumber = data.runs.some((_, i) => typeof lookUp(i, name) === "number");
  if (isNumber && (text === "" || isNaN(Number(text)))) {
    if (text) faults.push(`${name} is a number, ${text} is not`);
    return;
  }
  tests.push((i) => {
    const value = lookUp(i, name);
    if (Array.isArray(value)) return value.includes(text) === (sign !== "!=");
    if (value === null || value === undefined) return false;
    if (typeof value === "number") return TESTS[sign](value, Number(text));
    return TESTS[sign](String(value).toLowerCase(), text.toLowerCase());
  });
}

function has(word) {
  return (i) => {
    const run = data.runs[i];
    const where = [run.name, run.id, run.label, run.experiment, run.path, run.status, run.notes];
    return where.some((text) => text.toLowerCase().includes(word));
  };
}
