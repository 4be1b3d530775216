// Vectors and scores to numbers about them. Pure.

function dot(a, b) {
  let sum = 0;
  for (let place = 0; place < a.length; place += 1) sum += a[place] * b[place];
  return sum;
}

const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));

/** The cosine of each row with each column. */
const cosines = (rows, columns) => rows.map((row) => columns.map((column) => cosine(row, column)));

/** Places of the values, the largest first; equal ones keep their order. */
const order = (values) => values.map((_, place) => place).sort((a, b) => values[b] - values[a] || a - b);

/** The numbers above the diagonal: each pair once. */
const pairsOf = (matrix) => matrix.flatMap((row, place) => row.slice(place + 1));

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The place of each value among them, from 1; equal values share the mean of their places. */
function ranks(values) {
  const sorted = order(values);
  const found = new Array(values.length);
  for (let first = 0; first < sorted.length;) {
    let next = first;
    while (next < sorted.length && values[sorted[next]] === values[sorted[first]]) next += 1;
    for (let place = first; place < next; place += 1) found[sorted[place]] = (first + 1 + next) / 2;
    first = next;
  }
  return found;
}

/** Spearman's correlation; null where one side has no two different values. */
function rankCorrelation(a, b) {
  const [left, right] = [ranks(a), ranks(b)].map((values) => values.map((value) => value - mean(values)));
  const size = Math.sqrt(dot(left, left) * dot(right, right));
  return size > 0 ? dot(left, right) / size : null;
}

const SAME = 5e-7; // what float32 leaves between 1 and the cosine of a vector with itself

/** With two digits, or more where the value would look like 1 or -1 and is not. */
function cosineText(value, digits = 2) {
  const isOne = 1 - Math.abs(value) < SAME;
  let text = value.toFixed(digits);
  for (let more = digits + 1; !isOne && Math.abs(Number(text)) === 1; more += 1) text = value.toFixed(more);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "\u2212");
}
