// A small client of `asof serve`, over Arrow Flight: enough to read from, and to copy.
//
//   const store = await connect("asof://localhost:8765");
//   const vector = await store.online("departure", { origin: "JFK", dest: "BOS" });
//   const table = await store.read("weather", { columns: ["wind"] });
//   store.close();

import { fileURLToPath } from "node:url";
import { credentials, loadPackageDefinition, Metadata, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { Message, tableFromIPC, tableToIPC } from "apache-arrow";
import { instant, pack, rows, unpack } from "./values.mjs";

export { date, decimal, instants, rows, time } from "./values.mjs";

const PROTOCOL = 1;
const CMD = 2;
const STATUSES = {
  P: "PRESENT", N: "NULL", M: "MISSING", E: "EXPIRED", R: "RETIRED", S: "STALE", U: "UNAVAILABLE",
};
const NO_TIME = -(2n ** 63n);

const definition = loadSync(fileURLToPath(new URL("flight.proto", import.meta.url)), { keepCase: true, defaults: true });
const { FlightService } = loadPackageDefinition(definition).arrow.flight.protocol;

/** The commits that a read table was made from, as a later read takes them: `{ commits: pins(table) }`. */
export const pins = (table) => JSON.parse(table.schema.metadata.get("asof")).commits;

/** What the server refuses, or could not do. `kind` is the error's class in Python, such as "NotFoundError". */
export class AsofError extends Error {
  constructor({ kind, what, where = "", todo = "", data = {} }) {
    super(`${what}${where && ` [${where}]`}${todo && ` -> ${todo}`}`);
    Object.assign(this, { name: kind, kind, what, where, todo, data });
  }
}

/**
 * Connect to a server by its address, as `asof.open` does: asof://host:port, or asof+tls://host:port.
 * Certificates of your own are named by the variable NODE_EXTRA_CA_CERTS, unless GRPC_DEFAULT_SSL_ROOTS_FILE_PATH is set.
 * `onWarning` gets texts; `onProgress` gets rows done and rows in all, of a historical read and of long actions.
 */
export async function connect(address, { key = process.env.ASOF_KEY, seconds = 60, onWarning, onProgress } = {}) {
  const tls = address.startsWith("asof+tls:");
  const url = new URL("/v1/server", address.replace(/^asof(\+tls)?:/, tls ? "https:" : "http:"));
  const served = await servedAt(url).catch((error) => {
    const what = `no server was reached: ${error.cause?.message ?? error.message}`;
    throw new AsofError({ kind: "TransientError", what, where: address, todo: "does `asof serve` run there?" });
  });
  if (served.protocol !== PROTOCOL || !served.flight_port) {
    const what = served.flight_port
      ? `the server speaks version ${served.protocol} of the protocol, this client ${PROTOCOL}`
      : "this server has no Flight";
    throw new AsofError({ kind: "UnsupportedError", what, where: address });
  }
  const channel = tls ? credentials.createSsl() : credentials.createInsecure();
  const options = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };
  const client = new FlightService(`${url.hostname}:${served.flight_port}`, channel, options);
  return new Store(client, { key, seconds, onWarning, onProgress });
}

const servedAt = async (url) => (await fetch(url)).json();

class Store {
  #client;
  #options;

  constructor(client, options) {
    this.#client = client;
    this.#options = options;
  }

  /** The newest values of one key set, or of each in an array: `{ values, statuses, eventTimes }`, by feature. */
  async online(view, keys, { request } = {}) {
    const asked = { view, keys: [keys].flat(), request: request === undefined ? null : JSON.stringify(request) };
    const { table, result } = await this.#exchange("online", asked);
    const vectors = rows(table).map((row) => vector(row, result));
    return Array.isArray(keys) ? vectors : vectors[0];
  }

  /**
   * The stored rows of a group as an Arrow table; words are those of `asof.wire.requests.Read`, such as `columns`.
   * `pins(table)` tells the commits that were read.
   */
  async read(group, words = {}) {
    const ticket = pair("read", { group, ...words });
    return (await this.#received(this.#client.DoGet({ ticket }, ...this.#call()))).table;
  }

  /** What was known for each row of a spine (an Arrow table): `{ table, commits, report }`, answers beside the spine. */
  async historical(view, spine, words = {}) {
    const asked = { view, progress: Boolean(this.#options.onProgress), ...words };
    const { table, result } = await this.#exchange("historical", asked, spine);
    return { table: spine.assign(table), ...result };
  }

  /** Any other verb of `asof.server.verbs`, such as "catalog.describe" or "push"; the fields are in `asof.wire.requests`. */
  async act(verb, request = {}) {
    const call = this.#client.DoAction({ type: verb, body: pack(request) }, ...this.#call());
    return (await this.#received(call)).result;
  }

  close() {
    this.#client.close();
  }

  #call() {
    const metadata = new Metadata();
    if (this.#options.key) metadata.set("authorization", `Bearer ${this.#options.key}`);
    return [metadata, { deadline: Date.now() + 1000 * this.#options.seconds }];
  }

  #exchange(verb, request, table) {
    const call = this.#client.DoExchange(...this.#call());
    const flight_descriptor = { type: CMD, cmd: pair(verb, request) };
    const [first = {}, ...more] = table ? messagesOf(table) : [];
    call.write({ flight_descriptor, ...first });
    for (const message of more) call.write(message);
    call.end();
    return this.#received(call);
  }

  /** The table of an answer, if it has one, and its result; what is told meanwhile is passed on. */
  async #received(call) {
    const { onWarning, onProgress } = this.#options;
    const parts = [];
    let result;
    const hear = (message) => {
      const [what, told] = unpack(message);
      if (what === "warning") onWarning?.(told);
      else if (what === "progress") onProgress?.(...told);
      else if (what === "done") result = told;
    };
    try {
      for await (const { body, data_header, app_metadata, data_body } of call) {
        if (data_header?.length) parts.push(...framed(data_header, data_body));
        const message = body ?? app_metadata;
        if (message.length) hear(message);
      }
    } catch (error) {
      throw failure(error);
    }
    return { table: parts.length ? tableFromIPC(Buffer.concat(parts)) : undefined, result };
  }
}

const pair = (verb, request) => pack([verb, pack(request)]);

/** A vector of the answer's row, which has a letter for each feature and a time for each look-up beside the values. */
function vector({ __statuses: letters, __event_times: times, ...values }, [, , , , card]) {
  const micros = new DataView(times.buffer, times.byteOffset);
  const names = Object.keys(values);
  const by = (told) => Object.fromEntries(names.map((name, at) => [name, told(at)]));
  return {
    values,
    statuses: by((at) => STATUSES[String.fromCharCode(letters[at])]),
    eventTimes: by((at) => {
      const time = micros.getBigInt64(8 * card.lookups[at], true);
      return time === NO_TIME ? null : instant(time);
    }),
  };
}

// Flight carries the messages of an Arrow stream in two fields each; a stream has them one after the other, each
// after a marker and the length of its header.

function framed(header, body) {
  const padding = -header.length & 7;
  const prefix = Buffer.alloc(8);
  prefix.writeInt32LE(-1, 0);
  prefix.writeInt32LE(header.length + padding, 4);
  return [prefix, header, Buffer.alloc(padding), body];
}

function* messagesOf(table) {
  const { buffer, byteOffset, byteLength } = tableToIPC(table, "stream");
  const stream = Buffer.from(buffer, byteOffset, byteLength);
  for (let at = 0; at + 8 <= stream.length; ) {
    const start = at + 8;
    const end = start + stream.readInt32LE(at + 4);
    if (start === end) return;
    const data_header = stream.subarray(start, end);
    at = end + Number(Message.decode(data_header).bodyLength);
    yield { data_header, data_body: stream.subarray(end, at) };
  }
}

/** The error that a call ended with: asof's own has its parts in the trailers, any other is named as gRPC names it. */
function failure(error) {
  if (!(error.metadata instanceof Metadata)) return error; // of a callback
  const [parts] = error.metadata.get("grpc-status-details-bin");
  return new AsofError(parts ? unpack(parts) : { kind: status[error.code], what: error.details });
}
