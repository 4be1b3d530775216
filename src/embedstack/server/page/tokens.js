// A text to the pieces that a model reads, and which of them it would never see.

const MOST_PIECES = 3000; // drawn; more would only slow the page down
const FATES = { special: "special token", cut: "cut away", read: "read" };

async function tokens({ model, text, role, side }, options) {
  mustBeServed(model, "model", "embedstack serve all-MiniLM-L6-v2");
  const reply = await call(PATHS.tokens, { ...options, body: tokensBody(model, text, role) });
  const limit = await limitOf(model, options);
  const pieces = withFates(reply.data[0], limit, side);
  const counts = countsOf(pieces, limit);
  return {
    said: spoken(counts),
    nodes: [
      ...warnings(reply, counts),
      gauge(counts),
      pieceFlow(pieces),
      pieces.length > MOST_PIECES ? make("p", { class: "hint" }, `The first ${MOST_PIECES} pieces are shown.`) : null,
      pieceTable(pieces),
      madeBy(reply),
    ],
  };
}

const tokensCode = ({ model, text, role }) => [
  { kind: "tokens", name: "pieces", model, text, role },
  printed(
    ['print(len(pieces[0]), [piece["text"] for piece in pieces[0]])'],
    ["console.log(pieces[0].length, pieces[0].map((piece: { text: string }) => piece.text));"],
  ),
];

/** How many tokens the model reads; null where the server does not say. */
async function limitOf(model, options) {
  const known = served.find((one) => one.id === model);
  if (known?.limit || served.length !== 1) return known?.limit ?? null;
  try {
    return (await call("/tei/info", options)).data.max_input_length;
  } catch (error) {
    if (error instanceof ServerError && error.status === 404) return null;
    throw error;
  }
}

/** Each piece with its fate: special tokens are always kept, and one end of the rest is cut at the limit. */
function withFates(pieces, limit, side) {
  const plain = pieces.filter((piece) => !piece.special).length;
  const room = limit === null ? plain : limit - (pieces.length - plain);
  const [first, last] = side === "left" ? [plain - room, plain] : [0, room];
  let place = -1;
  return pieces.map((piece) => {
    if (piece.special) return { ...piece, fate: "special" };
    place += 1;
    return { ...piece, fate: place >= first && place < last ? "read" : "cut" };
  });
}

function countsOf(pieces, limit) {
  const count = (fate) => pieces.filter((piece) => piece.fate === fate).length;
  return { all: pieces.length, special: count("special"), cut: count("cut"), limit };
}

function spoken({ all, special, cut, limit }) {
  const most =
    limit === null
      ? "the server does not say how many the model reads"
      : `the model reads ${limit.toLocaleString("en")}`;
  return `${plural(all, "token")}; ${most}. ${special} special, ${cut} cut away.`;
}

/** What would be cut. The server counts that by itself; where the two differ, both are told. */
function warnings(reply, { cut, limit }) {
  const told = reply.headers.get("x-embedstack-dropped-tokens");
  const said = [];
  if (cut)
    said.push(
      `The model reads ${limit.toLocaleString("en")} tokens: ${plural(cut, "token")} of this text would be cut away.`,
    );
  if (told !== null && Number(told) !== cut)
    said.push(`By the server's own count ${plural(Number(told), "token")} would be cut away.`);
  return said.map((text) => make("p", { class: "warning" }, text));
}

/** Of the limit what is used, or of a longer text what is read. */
function gauge({ all, limit }) {
  if (limit === null) return null;
  const label = `${all.toLocaleString("en")} of ${limit.toLocaleString("en")}`;
  return make("p", { class: "gauge" }, bar(Math.min(all, limit) / Math.max(all, limit)), make("span", {}, label));
}

function pieceFlow(pieces) {
  const items = pieces
    .slice(0, MOST_PIECES)
    .map(({ text, fate }) =>
      make(
        "li",
        { class: fate },
        fate === "cut" ? make("s", {}, text) : text,
        fate === "read" ? null : unseen(` (${FATES[fate]})`),
      ),
    );
  return make("ol", { class: "pieces", "aria-label": "Pieces in order" }, ...items);
}

function pieceTable(pieces) {
  const rows = pieces.slice(0, MOST_PIECES).map((piece, place) => {
    const where = piece.start === null ? "" : `${piece.start} to ${piece.stop}`;
    const cells = [place + 1, piece.id, piece.text, where, FATES[piece.fate]];
    return make("tr", { class: piece.fate }, ...cells.map((value) => make("td", {}, String(value))));
  });
  const names = ["Place", "Id", "Piece", "Characters", "Fate"];
  const head = make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))));
  const caption = make("caption", { class: "unseen" }, "Pieces with their ids");
  const table = make("table", { class: "plain" }, caption, head, make("tbody", {}, ...rows));
  return make(
    "details",
    { class: "more" },
    make("summary", {}, "As a table with ids"),
    scrolling("Pieces with their ids", table),
  );
}
