/**
 * Calling the handler: whatever it does, an answer comes of it.
 *
 * @module
 */
import { lookNow, type ServeInfo } from "./info.ts";
import type { ServeHandler, ServeOptions } from "./options.ts";

/** The handler, made safe. */
export interface Answers {
  /** Neither throws nor rejects. */
  answer(request: Request, info: ServeInfo): Response | Promise<Response>;
  /** The answer to a request that went wrong; neither throws nor rejects. */
  failed(error: unknown): Response | Promise<Response>;
}

function serverError(): Response {
  return new Response("Internal Server Error", { status: 500 });
}

/** Makes the handler safe. */
export function answersOf(handler: ServeHandler, onError: ServeOptions["onError"]): Answers {
  function failed(error: unknown): Response | Promise<Response> {
    if (onError === undefined) {
      console.error(error);
      return serverError();
    }
    try {
      const response = onError(error);
      if (response instanceof Response) return response;
      return Promise.resolve(response).then(
        (response) => response instanceof Response ? response : lost(noResponse(response)),
        lost,
      );
    } catch (error) {
      return lost(error);
    }
  }

  /** The error's own answer went wrong. */
  function lost(error: unknown): Response {
    console.error(error);
    return serverError();
  }

  // The runtimes forget where a request came from as soon as it is answered.
  const looks = handler.length > 1;

  const checked = (response: unknown): Response | Promise<Response> =>
    response instanceof Response ? response : failed(noResponse(response));

  return {
    answer(request, info) {
      try {
        if (looks) lookNow(info);
        const response = handler(request, info);
        if (response instanceof Response) return response;
        if (response instanceof Promise) return response.then(checked, failed);
        return checked(response);
      } catch (error) {
        return failed(error);
      }
    },
    failed,
  };
}

function noResponse(value: unknown): TypeError {
  const kind = value === null ? "null" : typeof value === "object" ? value.constructor?.name ?? "an object" : typeof value;
  return new TypeError(`Cannot answer: the handler gave ${kind}, a Response is needed`);
}
