// The server's metrics, about once a second while somebody looks, as small charts.

const KEPT = 61; // scrapes: a minute
const LATENCY_WINDOW = 10; // scrapes that a latency is reckoned over
const QUEUE = [
  ["embedstack_queue_tokens", "tokens"],
  ["embedstack_queue_items", "items"],
]; // the first that is there is drawn
const [WIDTH, HEIGHT] = [240, 56];

const scrapes = []; // {at_s, requests, tokens, latency, flying, queue}
const live = { isWatching: false, cards: new Map() };

function openLive() {
  const cards = [
    ["requests", "Requests per second"],
    ["tokens", "Tokens per second"],
    ["latency", "Latency: median · 99th percentile"],
    ["flying", "Being answered"],
    ["queue", "Waiting for the device"],
    ["own", "This page's last request"],
  ];
  for (const [name, title] of cards) live.cards.set(name, card(title));
  byId("live-charts").append(...[...live.cards.values()].map(({ root }) => root));
  onSelected.add(watch);
  document.addEventListener("visibilitychange", watch);
}

function card(title) {
  const value = make("p", { class: "value" }, "–");
  const line = draw("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": "no data yet",
  });
  const note = make("p", { class: "hint" });
  return {
    root: make("figure", { class: "card" }, make("figcaption", {}, title), value, line, note),
    value,
    line,
    note,
  };
}

const isSeen = () => selected() === "live" && !document.hidden;

/** Scrapes while the panel is seen, and only then; a slow server is asked again only after it has answered. */
async function watch() {
  if (live.isWatching) return;
  live.isWatching = true;
  while (isSeen()) {
    const began_ms = performance.now();
    await scrape();
    await pause(Math.max(0, 1 - (performance.now() - began_ms) / 1000));
  }
  live.isWatching = false;
}

async function scrape() {
  try {
    const { data } = await call("/metrics", { isText: true });
    keep(scraped(parseMetrics(data)));
    byId("live-state").textContent = "";
  } catch (error) {
    keep(null);
    byId("live-state").textContent = `No metrics: ${error.message}`;
  }
  showLive();
}

function scraped(samples) {
  const [queue, unit] = QUEUE.find(([name]) => samples.has(name)) ?? [];
  return {
    at_s: performance.now() / 1000,
    requests: total(samples, "embedstack_requests_total") ?? 0,
    tokens: total(samples, "embedstack_tokens_total") ?? 0,
    latency: bucketsOf(samples, "embedstack_request_seconds"),
    flying: total(samples, "embedstack_requests_in_flight"),
    queue: queue ? total(samples, queue) : null,
    unit,
  };
}

function keep(one) {
  if (one === null) scrapes.length = 0;
  else scrapes.push(one);
  if (scrapes.length > KEPT) scrapes.shift();
}

function showLive() {
  showLine("requests", rates("requests"), (value) => short(value), "none came while you looked");
  showLine("tokens", rates("tokens"), (value) => short(value), "none was read while you looked");
  showLatency();
  showLine(
    "flying",
    scrapes.map((one) => one.flying),
    String,
    "",
  );
  showLine(
    "queue",
    scrapes.map((one) => one.queue),
    (value) => plural(value, (scrapes.at(-1)?.unit ?? "items").replace(/s$/, "")),
    "",
  );
  showOwn();
}

/** How much a counter grew each second; a server that was started again counts from 0. */
function rates(name) {
  return scrapes.slice(1).map((one, place) => {
    const before = scrapes[place];
    const grown = one[name] < before[name] ? one[name] : one[name] - before[name];
    return grown / (one.at_s - before.at_s);
  });
}

function showLine(name, values, text, ifQuiet) {
  const { value, line, note, root } = live.cards.get(name);
  const known = values.filter((one) => one !== null && one !== undefined);
  if (!known.length) return showNothing(name, values.length ? "This server does not tell it." : "No data yet.");
  const highest = Math.max(...known);
  value.textContent = text(known.at(-1));
  note.textContent = highest === 0 ? ifQuiet : `highest in the last minute ${text(highest)}`;
  line.setAttribute(
    "aria-label",
    `${root.querySelector("figcaption").textContent}: now ${text(known.at(-1))}, highest ${text(highest)}`,
  );
  line.replaceChildren(...curve(values, highest, "main"));
  return undefined;
}

function showNothing(name, why) {
  const { value, line, note } = live.cards.get(name);
  value.textContent = "–";
  note.textContent = why;
  line.setAttribute("aria-label", "no data");
  line.replaceChildren();
}

function showLatency() {
  const windows = scrapes.map((one, place) =>
    bucketsBetween(scrapes[Math.max(0, place - LATENCY_WINDOW)].latency, one.latency),
  );
  const [medians, tails] = [0.5, 0.99].map((share) => windows.map((buckets) => inMillis(quantile(buckets, share))));
  if (!tails.some((tail) => tail !== null))
    return showNothing("latency", scrapes.length > 1 ? "no request came while you looked" : "No data yet.");
  const { value, line, note } = live.cards.get("latency");
  const now = [medians.at(-1), tails.at(-1)];
  value.textContent = now[1] === null ? "–" : `${millis(now[0])} · ${millis(now[1])}`;
  note.textContent =
    now[1] === null
      ? `no request in the last ${LATENCY_WINDOW} s`
      : `last ${LATENCY_WINDOW} s, from the histogram's buckets`;
  line.setAttribute(
    "aria-label",
    now[1] === null
      ? "Latency: no request now"
      : `Latency: median ${millis(now[0])}, 99th percentile ${millis(now[1])}`,
  );
  const highest = Math.max(...tails.filter((tail) => tail !== null));
  line.replaceChildren(...curve(tails, highest, "tail"), ...curve(medians, highest, "main"));
  return undefined;
}

const inMillis = (seconds) => (seconds === null ? null : seconds * 1000);

function showOwn() {
  const { value, note, line } = live.cards.get("own");
  line.remove();
  value.textContent = lastCall.took_ms === null ? "–" : millis(lastCall.took_ms);
  note.textContent =
    lastCall.took_ms === null ? "none yet" : `${lastCall.path}, status ${lastCall.status}, as seen from this browser`;
}

/** Lines through the values, the newest at the right; where a value is missing the line has a gap. */
function curve(values, highest, kind) {
  const shown = values.slice(1 - KEPT);
  const x = (place) => WIDTH - (shown.length - 1 - place) * (WIDTH / (KEPT - 2));
  const y = (value) => HEIGHT - 2 - (value / (highest || 1)) * (HEIGHT - 6);
  const runs = [[]];
  shown.forEach((value, place) => {
    if (value === null || value === undefined) runs.push([]);
    else runs.at(-1).push(`${x(place).toFixed(1)},${y(value).toFixed(1)}`);
  });
  return runs
    .filter((run) => run.length)
    .map((run) => draw("polyline", { class: kind, points: (run.length > 1 ? run : [run[0], run[0]]).join(" ") }));
}

const short = (value) =>
  value >= 1000 ? Math.round(value).toLocaleString("en") : value >= 10 ? value.toFixed(0) : value.toFixed(1);
