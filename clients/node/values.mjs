// Values that JavaScript has no type for, exactly: on the wire (msgpack with asof's tags) and in tables (Arrow).
//
//   int64, uint64   BigInt
//   timestamp       "2026-01-02T03:04:05.000006Z": a Date would lose the microseconds
//   date            "2026-01-02"
//   decimal         "12.50"
//   bytes           Uint8Array
//
// They come so. To send a time, a date or a decimal, say what the text is: time("2026-01-02T03:04:05.000006Z").

import { Decoder, Encoder, ExtData } from "@msgpack/msgpack";
import { makeVector, TimestampMicrosecond, Type, Vector } from "apache-arrow";

const [TIME, DATE, DECIMAL, INTEGER] = [1, 2, 3, 4];

const text = new TextDecoder();
const bytes = new TextEncoder();

const tagged = (tag) => (value) => new ExtData(tag, bytes.encode(value));
export const time = tagged(TIME);
export const date = tagged(DATE);
export const decimal = tagged(DECIMAL);
const integer = tagged(INTEGER);

const tags = {
  tryToEncode(value) {
    if (value instanceof ExtData) return value;
    if (value instanceof Date) return time(value.toISOString());
    return typeof value === "bigint" ? integer(String(value)) : null;
  },
  decode: (data, tag) => (tag === INTEGER ? BigInt(text.decode(data)) : text.decode(data)),
};

const encoder = new Encoder({ extensionCodec: tags });
const decoder = new Decoder({ extensionCodec: tags, useBigInt64: true });

export const pack = (value) => encoder.encode(value);
export const unpack = (message) => decoder.decode(message);

/** Microseconds since 1970 as RFC 3339. */
export function instant(micros) {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = new Date(Number((micros - fraction) / 1000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(fraction).padStart(6, "0")}Z`;
}

/** Texts such as "2026-01-02T03:04:05.000006Z" as a column of times, for a spine. */
export function instants(texts) {
  const micros = BigInt64Array.from(texts, (each) => {
    const [, seconds, fraction = ""] = /^(.*?)(?:\.(\d{1,6}))?Z$/.exec(each) ?? [];
    const millis = Date.parse(`${seconds}Z`);
    if (Number.isNaN(millis)) throw new RangeError(`this is no time in UTC: ${each}`);
    return BigInt(millis) * 1000n + BigInt(fraction.padEnd(6, "0"));
  });
  return makeVector({ type: new TimestampMicrosecond("UTC"), data: micros });
}

/** The rows of an Arrow table as objects, with the values of the list above; null is null. */
export function rows(table) {
  return table.batches.flatMap(({ data }) => Array.from({ length: data.length }, (_, at) => plain(data, at)));
}

function plain(data, at) {
  if (!data.getValid(at)) return null;
  const { type, children } = data;
  switch (type.typeId) {
    case Type.Timestamp:
      return instant(data.values[at]);
    case Type.Date:
      return new Date(data.values[at] * 86_400_000).toISOString().slice(0, 10);
    case Type.Decimal:
      return digitsOf(data.values.subarray(at * data.stride, (at + 1) * data.stride), type.scale);
    case Type.List:
      return range(children[0], data.valueOffsets[at], data.valueOffsets[at + 1]);
    case Type.FixedSizeList:
      return range(children[0], at * type.listSize, (at + 1) * type.listSize);
    case Type.Struct:
      return Object.fromEntries(type.children.map(({ name }, field) => [name, plain(children[field], at)]));
    default:
      return new Vector([data]).get(at);
  }
}

const range = (data, from, to) => Array.from({ length: to - from }, (_, at) => plain(data, from + at));

function digitsOf(words, scale) {
  const unsigned = words.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
  const value = BigInt.asIntN(32 * words.length, unsigned);
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, "0");
  const whole = (value < 0n ? "-" : "") + digits.slice(0, digits.length - scale);
  return scale ? `${whole}.${digits.slice(-scale)}` : whole;
}
