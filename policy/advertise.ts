/**
 * What policies that want several paths do on a server: clients open the paths, so they must know where to.
 *
 * @module
 */
import { ipVersion } from "../kernel/ip.ts";
import type { PolicyContext, PolicyHooks } from "../net/policy.ts";
import { plain } from "../paths/path_candidates.ts";

/** One announcement at a time: a Linux peer that is still busy with one answers no other. */
const PAUSE = 200;

/** Announces the host's addresses, and withdraws those that go. */
export function advertise(context: PolicyContext): PolicyHooks {
  const initial = plain(context.connection.localAddr.hostname);
  const announced = new Set<string>();
  let last = -Infinity;
  const review = () => {
    const now = context.now();
    if (now < last + PAUSE) return context.wake(last + PAUSE - now);
    const own = context.interfaces().filter(({ running, loopback }) => running && !loopback)
      .flatMap(({ name, addresses }) => addresses.map(({ address, family }) => ({ name, address: plain(address), family })));
    const gone = [...announced].find((address) => own.every((each) => each.address !== address));
    if (gone !== undefined) {
      announced.delete(gone);
      context.withdraw(gone, "the address is gone from this host");
    } else {
      const fresh = own.find(({ address, family }) =>
        address !== initial && !announced.has(address) && (family === 4 || ipVersion(initial) === 6)
      );
      if (fresh === undefined) return;
      announced.add(fresh.address);
      context.announce(fresh.address, `the client may open paths to ${fresh.name}`);
    }
    last = now;
    context.wake(PAUSE);
  };
  // Nothing can be announced before the client has confirmed the connection with its first bytes.
  context.wake(0);
  return { hostChanged: review, tick: review };
}
