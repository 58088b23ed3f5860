// The filter box: words, and the conditions of `trompe runs where=`.
const TESTS = {
  "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "!=": (a, b) => a !== b, "==": (a, b) => a === b,
  "=": (a, b) => a === b, "<": (a, b) => a < b, ">": (a, b) => a > b,
};
// A condition, its value after spaces or not, or a phrase in quotes, or a word. After spaces, a word with
// a sign behind it is no value: it begins the next condition.
const PARTS = /([^\s<>=!"]+)\s*(<=|>=|!=|==|=|<|>)(?:("[^"]*"|[^\s"]+)|\s+("[^"]*"|(?![^\s<>=!"]+\s*(?:[<>=]|!=))[^\s"]+))?|"([^"]*)"?|[^\s"]+/g;

// [a test of a run's number, what is wrong with the text]; what is wrong tests nothing.
function parseFilter(text) {
  const tests = [];
  const faults = [];
  for (const [word, name, sign, near, far, phrase] of text.matchAll(PARTS)) {
    const value = near ?? far;
    if (sign && value === undefined) faults.push(`${name}${sign} needs a value`);
    else if (sign) addCondition(name, sign, value.replaceAll('"', ""), tests, faults);
    else if (phrase === undefined) tests.push(has(word));
    else if (phrase.trim()) tests.push(hasPhrase(phrase));
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
    faults.push(text ? `${name} is a number, ${text} is not` : `${name}${sign} needs a value`);
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

const said = (run) => [run.name, run.id, run.label, run.experiment, run.notes];
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");

// A word anywhere; a number only as a whole, and not among the many of a path.
function has(word) {
  if (/^\d+(\.\d+)?(e-?\d+)?$/i.test(word)) {
    const whole = new RegExp(`(?<![\\w.])${escaped(word)}(?!\\w|\\.\\d)`, "i");
    return (i) => said(data.runs[i]).some((text) => whole.test(text));
  }
  const low = word.toLowerCase();
  return (i) => [...said(data.runs[i]), data.runs[i].path, data.runs[i].status].some((text) => text.toLowerCase().includes(low));
}

// A phrase in quotes, as it is; "trial 1" is not in "trial 10".
function hasPhrase(phrase) {
  const [before, after] = [/^\d/.test(phrase) ? "(?<!\\d)" : "", /\d$/.test(phrase) ? "(?!\\d)" : ""];
  const pattern = new RegExp(before + escaped(phrase) + after, "i");
  return (i) => [...said(data.runs[i]), data.runs[i].path, data.runs[i].status].some((text) => pattern.test(text));
}
