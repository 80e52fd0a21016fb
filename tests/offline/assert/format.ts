/**
 * A value as text: a member a line, sorted, so that two texts can be compared line by line. The runtimes' own `inspect`
 * differ, and a message should be the same on all three.
 */
export function format(value: unknown): string {
  return print(value, "", []);
}

function print(value: unknown, indent: string, above: readonly object[]): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "function":
      return /^class\b/.test(Function.prototype.toString.call(value))
        ? `[class ${value.name || "(anonymous)"}]`
        : `[Function: ${value.name || "(anonymous)"}]`;
    case "object":
      return value === null ? "null" : printObject(value, indent, above);
    default:
      return String(value);
  }
}

function printObject(value: object, indent: string, above: readonly object[]): string {
  if (above.includes(value)) return "[Circular]";
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof RegExp) return String(value);
  const name = nameOf(value);
  if (value instanceof URL) return `${name} ${JSON.stringify(String(value))}`;
  if (value instanceof ArrayBuffer) return `${name} <${hex(new Uint8Array(value))}>`;
  const inner = `${indent}  `;
  const show = (member: unknown) => print(member, inner, [...above, value]);
  const block = (open: string, lines: string[], close: string) =>
    lines.length === 0 ? open + close : `${open}\n${lines.map((line) => `${inner}${line},\n`).join("")}${indent}${close}`;
  if (Array.isArray(value)) {
    const lines = Array.from(value, (member, index) => index in value ? show(member) : "<empty>");
    return block(name === "Array" ? "[" : `${name}(${value.length}) [`, [...lines, ...members(value, show, true)], "]");
  }
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    const elements = Array.from(value as unknown as ArrayLike<unknown>, show);
    return block(`${name}(${elements.length}) [`, elements, "]");
  }
  if (value instanceof Map) {
    const lines = Array.from(value, ([key, member]) => `${show(key)} => ${show(member)}`).sort();
    return block(`${name}(${value.size}) {`, lines, "}");
  }
  if (value instanceof Set) return block(`${name}(${value.size}) {`, Array.from(value, show).sort(), "}");
  if (value instanceof Error) return block(`${name}: ${JSON.stringify(value.message)} {`, members(value, show), "}");
  return block(name === "Object" ? "{" : `${name} {`, members(value, show), "}");
}

function members(value: object, show: (member: unknown) => string, skipIndices = false): string[] {
  const keys = Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
  return keys
    .filter((key) => !skipIndices || typeof key === "symbol" || !/^\d+$/.test(key))
    .sort((a, b) => String(a) < String(b) ? -1 : 1)
    .map((key) => `${keyText(key)}: ${show((value as Record<string | symbol, unknown>)[key])}`);
}

function keyText(key: string | symbol): string {
  if (typeof key === "symbol") return `[${String(key)}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key);
}

function nameOf(value: object): string {
  const prototype = Object.getPrototypeOf(value);
  if (prototype === null) return "[Object: null prototype]";
  const maker: unknown = prototype.constructor;
  return typeof maker === "function" && maker.name ? maker.name : "Object";
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
