/** What a failed assertion throws. */
export class AssertionError extends Error {
  /**
   * @param message What was expected and what came.
   * @param options The cause, where there is one.
   */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

/** The end of each message: the caller's own words, else a full stop. */
export function suffix(msg: string | undefined): string {
  return msg ? `: ${msg}` : ".";
}
