/** The race of connection attempts, with attempts that are told how to end. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import { describe, it } from "node:test";
import { ATTEMPT_DELAY, race } from "../../net/race.ts";

/** Attempts that wait to be told, and how they were called. */
class Course {
  readonly started: string[] = [];
  readonly discarded: string[] = [];
  readonly signals = new Map<string, AbortSignal>();
  readonly #attempts = new Map<string, PromiseWithResolvers<string>>();
  readonly #waiting = new Map<string, () => void>();

  /** An attempt; it fails when it is aborted, unless it is stubborn. */
  readonly attempt = (name: string, signal: AbortSignal): Promise<string> => {
    this.started.push(name);
    this.signals.set(name, signal);
    const attempt = this.#of(name);
    if (!name.startsWith("stubborn")) {
      const stop = () => attempt.reject(signal.reason);
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    }
    this.#waiting.get(name)?.();
    return attempt.promise;
  };

  readonly discard = (result: string): void => void this.discarded.push(result);

  succeed(name: string): void {
    this.#of(name).resolve(`${name} won`);
  }

  fail(name: string): void {
    this.#of(name).reject(new Error(`${name} failed`));
  }

  /** Until the attempt was started. */
  start(name: string): Promise<void> {
    if (this.started.includes(name)) return Promise.resolve();
    return new Promise((resolve) => void this.#waiting.set(name, resolve));
  }

  #of(name: string): PromiseWithResolvers<string> {
    let attempt = this.#attempts.get(name);
    if (!attempt) {
      attempt = Promise.withResolvers();
      attempt.promise.catch(() => {}); // who loses may fail with nobody waiting
      this.#attempts.set(name, attempt);
    }
    return attempt;
  }

  run(names: string[], delay: number, signal: AbortSignal = new AbortController().signal): Promise<string> {
    return race(names, this.attempt, this.discard, signal, delay);
  }
}

/** So long that a test which waited for it would not end; a timer left behind would keep the process alive. */
const NEVER = 1_000_000;

describe("race", () => {
  it("waits 250 ms between attempts, as RFC 8305 recommends", () => assertEquals(ATTEMPT_DELAY, 250));

  it("gives a lone attempt's result, and its error as it is", async () => {
    const course = new Course();
    course.succeed("a");
    assertEquals(await course.run(["a"], NEVER), "a won");
    course.fail("b");
    assertEquals((await assertRejects(() => course.run(["b"], NEVER), Error)).message, "b failed");
  });

  it("starts no second attempt when the first succeeds", async () => {
    const course = new Course();
    course.succeed("a");
    assertEquals(await course.run(["a", "b"], NEVER), "a won");
    assertEquals(course.started, ["a"]);
  });

  it("starts the next at once when the last failed", async () => {
    const course = new Course();
    course.fail("a");
    course.fail("b");
    course.succeed("c");
    assertEquals(await course.run(["a", "b", "c"], NEVER), "c won");
    assertEquals(course.started, ["a", "b", "c"]);
  });

  it("starts the next after the delay while the first still tries", async () => {
    const course = new Course();
    const result = course.run(["a", "b", "c"], 1);
    await course.start("c");
    assertEquals(course.started, ["a", "b", "c"]);
    course.succeed("b");
    assertEquals(await result, "b won");
  });

  it("aborts the losers, and not before", async () => {
    const course = new Course();
    const result = course.run(["a", "b"], 1);
    await course.start("b");
    assertEquals(course.signals.get("a")!.aborted, false);
    course.succeed("b");
    await result;
    assert(course.signals.get("a")!.aborted);
  });

  it("discards a winner that comes late", async () => {
    const course = new Course();
    const result = course.run(["stubborn a", "b"], 1);
    await course.start("b");
    course.succeed("b");
    assertEquals(await result, "b won");
    course.succeed("stubborn a");
    await Promise.resolve();
    assertEquals(course.discarded, ["stubborn a won"]);
  });

  it("discards nobody when the losers fail", async () => {
    const course = new Course();
    const result = course.run(["a", "b"], 1);
    await course.start("b");
    course.fail("a");
    course.succeed("b");
    assertEquals(await result, "b won");
    assertEquals(course.discarded, []);
  });

  it("gives all errors when all fail", async () => {
    const course = new Course();
    for (const name of ["a", "b", "c"]) course.fail(name);
    const error = await assertRejects(() => course.run(["a", "b", "c"], NEVER));
    assertInstanceOf(error, AggregateError);
    assertEquals(error.errors.map(({ message }) => message), ["a failed", "b failed", "c failed"]);
  });

  it("waits for the slow when the quick fail", async () => {
    const course = new Course();
    const result = course.run(["a", "b"], 1);
    await course.start("b");
    course.fail("b");
    course.succeed("a");
    assertEquals(await result, "a won");
  });

  it("starts nothing when it was aborted before", async () => {
    const course = new Course();
    const reason = new Error("enough");
    for (const names of [["a"], ["a", "b"]]) {
      assertStrictEquals(await assertRejects(() => course.run(names, 1, AbortSignal.abort(reason))), reason);
    }
    assertEquals(course.started, []);
  });

  for (const names of [["a"], ["a", "b"], ["a", "b", "c"]]) {
    it(`ends with the signal's reason when it is aborted among ${names.length}`, async () => {
      const course = new Course();
      const controller = new AbortController();
      const reason = new Error("enough");
      const result = course.run(names, 1, controller.signal);
      await course.start(names[Math.min(1, names.length - 1)]!);
      controller.abort(reason);
      assertStrictEquals(await assertRejects(() => result), reason);
      for (const signal of course.signals.values()) assert(signal.aborted);
    });
  }

  it("ends with the signal's reason whatever error the attempts end with", async () => {
    const course = new Course();
    const controller = new AbortController();
    const reason = new Error("enough");
    const result = course.run(["stubborn a", "b"], NEVER, controller.signal);
    controller.abort(reason);
    course.fail("stubborn a");
    assertStrictEquals(await assertRejects(() => result), reason);
  });

  it("starts no further attempt once it was aborted", async () => {
    const course = new Course();
    const controller = new AbortController();
    const result = course.run(["a", "b"], NEVER, controller.signal);
    await course.start("a");
    controller.abort();
    await assertRejects(() => result);
    assertEquals(course.started, ["a"]);
  });

  it("leaves the signal's later abort without effect", async () => {
    const course = new Course();
    const controller = new AbortController();
    course.succeed("a");
    assertEquals(await course.run(["a", "b"], NEVER, controller.signal), "a won");
    controller.abort();
    assertEquals(course.discarded, []);
  });
});
