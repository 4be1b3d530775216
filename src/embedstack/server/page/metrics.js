// The text that Prometheus scrapes to numbers, and two of them at different times to rates. Pure.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Samples by name: {labels, value} each. */
function parseMetrics(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : SAMPLE.exec(line);
    if (!match) continue;
    const [, name, inside = "", value] = match;
    const labels = Object.fromEntries([...inside.matchAll(LABEL)].map(([, key, held]) => [key, held]));
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: value === "+Inf" ? Infinity : Number(value) });
  }
  return samples;
}

/** The sum of a series over its labels; null where there is no such series. */
function total(samples, name) {
  const rows = samples.get(name);
  return rows ? rows.reduce((sum, { value }) => sum + value, 0) : null;
}

/** Requests by the seconds they took at most: [[upper bound, how many at or below it], …], over all labels. */
function bucketsOf(samples, name) {
  const sums = new Map();
  for (const { labels, value } of samples.get(`${name}_bucket`) ?? []) {
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    sums.set(bound, (sums.get(bound) ?? 0) + value);
  }
  return [...sums].sort((a, b) => a[0] - b[0]);
}

/** What came between two scrapes; a server that was started again began at 0. */
function bucketsBetween(before, after) {
  const old = new Map(before);
  const between = after.map(([bound, count]) => [bound, count - (old.get(bound) ?? 0)]);
  return between.some(([, count]) => count < 0) ? after : between;
}

/** The value that a share of the requests stayed below, evenly spread inside its bucket; null for no requests. */
function quantile(buckets, share) {
  const all = buckets.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  const wanted = share * all;
  let [lower, below] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= wanted)
      return bound === Infinity ? lower : lower + ((bound - lower) * (wanted - below)) / Math.max(1e-9, count - below);
    [lower, below] = [bound, count];
  }
  return lower;
}
