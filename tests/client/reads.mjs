// Reads a server with the client of clients/node, and prints what it read as JSON, for test_node.py.

import { makeVector, Table, vectorFromArray } from "../../clients/node/node_modules/apache-arrow/Arrow.node.mjs";
import { connect, date, decimal, instants, pins, rows, time } from "../../clients/node/asof.mjs";

const [address, now, later] = process.argv.slice(2);
const told = { warnings: [], progress: [] };
const store = await connect(address, {
  onWarning: (text) => told.warnings.push(text),
  onProgress: (...counts) => told.progress.push(counts),
});

const failed = async (asked) => {
  try {
    await asked;
    return null;
  } catch ({ kind, what, where, todo, data, message }) {
    return { kind, what, where, todo, data, message };
  }
};

const found = {};
found.vector = await store.online("risk", { customer_id: 3 });
found.vectors = await store.online("risk", [{ customer_id: 3n }, { customer_id: 77 }]);

const table = await store.read("everything");
found.table = rows(table);
found.pins = pins(table);
found.column = rows(await store.read("spending", { columns: ["orders"] }));
found.nothing = rows(await store.read("spending", { start: new Date("2100-01-01") }));

const count = 150_000;
const spine = new Table({
  customer_id: makeVector(BigInt64Array.from({ length: count }, (_, at) => BigInt(at % 11))),
  at: instants(Array.from({ length: count }, (_, at) => (at % 2 ? now : later))),
  note: vectorFromArray(Array.from({ length: count }, (_, at) => (at % 3 ? "some" : null))),
});
const read = await store.historical("risk", spine, { time: "at", known: "event" });
found.historical = { rows: rows(read.table.slice(-22)), count: read.table.numRows, commits: read.commits, report: read.report };
found.dry = rows((await store.historical("risk", spine.slice(0, 0), { time: "at" })).table);
await store.historical("risk", spine.slice(0, 1), { time: "at" });

const visit = { day: date("2026-01-03"), code: Uint8Array.of(255, 0), at_us: time(later), open: true, name: "Zoë" };
const record = {
  ...visit,
  at: time(later),
  f64: NaN,
  f32: -Infinity,
  i64: -(2n ** 63n),
  i8: -128,
  flag: false,
  text: null,
  raw: Uint8Array.of(0, 255),
  moment: time("0001-01-01T00:00:00.000001Z"),
  born: date("1969-12-31"),
  price: decimal("-0.05"),
  list: [1.5, null, Infinity],
  vector: [0.5, 1],
  nested: { a: 2n ** 53n + 1n, b: null, c: [decimal("1.5")] },
};
found.commit = await store.act("push", { group: "everything", records: [record] });
found.pushed = await store.online("all_types", visit);
found.view = (await store.act("catalog.find", { name: "risk" })).definition.name;

found.errors = {
  exchanged: await failed(store.online("rsk", { customer_id: 1 })),
  got: await failed(store.read("spnding")),
  acted: await failed(store.act("catalog.describe", { name: "riks" })),
  spine: await failed(store.historical("risk", spine, { time: "att" })),
  keys: await failed(store.online("risk", { customer_id: "three" })),
  unknown: await failed(connect(address, { key: "asof_0_0" }).then((other) => other.read("spending").finally(() => other.close()))),
  long: await failed(store.read("ß".repeat(100_000))),
  nobody: await failed(connect("asof://127.0.0.1:1")),
};
store.close();

const exact = (_, value) => {
  if (typeof value === "bigint") return { bigint: String(value) };
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("hex") };
  if (Object.is(value, -0)) return { float: "-0" };
  return typeof value === "number" && !Number.isFinite(value) ? { float: String(value) } : value;
};
console.log(JSON.stringify({ ...found, told }, exact));
