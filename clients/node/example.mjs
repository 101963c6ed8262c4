// node example.mjs asof://localhost:8765 VIEW KEYS GROUP
//
// Prints a vector of a view, whose keys are JSON, and the newest rows of a group:
//
//   node example.mjs asof://localhost:8765 departure '{"origin": "JFK", "dest": "BOS"}' weather

import { connect, rows } from "./asof.mjs";

const [address, view, keys, group] = process.argv.slice(2);
const store = await connect(address);
try {
  const { values, statuses } = await store.online(view, JSON.parse(keys));
  console.table(Object.keys(values).map((feature) => ({ feature, value: values[feature], status: statuses[feature] })));
  const table = await store.read(group, { latest: true });
  console.log(`${group}: ${table.numRows} rows`);
  console.table(rows(table.slice(0, 10)));
} finally {
  store.close();
}
