/**
 * Which connection comes first.
 *
 * @module
 */
import type { ConnectionView } from "./meter.ts";

/** What can be sorted by. */
export const ORDERS = ["rate", "rtt", "retransmits", "subflows", "remote"] as const;
/** One of them. */
export type Order = typeof ORDERS[number];

type Rank = (view: ConnectionView) => number;

const most = (view: ConnectionView, of: (subflow: ConnectionView["subflows"][number]) => number) =>
  Math.max(0, ...view.subflows.map(of));

/** Over so many intervals, lest those that are nearly level change places all the time. */
const LATELY = 4;

const RANKS: Readonly<Record<Exclude<Order, "remote">, Rank>> = {
  rate: ({ history }) => {
    const lately = history.slice(-LATELY);
    return lately.reduce((sum, rate) => sum + rate, 0) / Math.max(1, lately.length);
  },
  rtt: (view) => most(view, ({ rtt }) => rtt ?? 0),
  retransmits: ({ subflows }) => subflows.reduce((sum, { retransmits }) => sum + retransmits, 0),
  subflows: ({ subflows }) => subflows.length,
};

/** In order, the most first; those that are level stand by their addresses, so that they do not jump about. */
export function sorted(connections: readonly ConnectionView[], order: Order): ConnectionView[] {
  const rank: Rank = order === "remote" ? () => 0 : RANKS[order];
  const text = ({ remote, local }: ConnectionView) => `${remote} ${local}`;
  const ranked = connections.map((view) => ({ view, rank: rank(view), text: text(view) }));
  ranked.sort((a, b) => b.rank - a.rank || (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  return ranked.map(({ view }) => view);
}
