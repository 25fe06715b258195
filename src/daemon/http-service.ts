import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { KagemushaError } from '../errors.js';

/** A request that found its route. */
export interface HttpRequest {
  /** Values of the `:name` parts of the route's path. */
  readonly parameters: Readonly<Record<string, string>>;
  /** The JSON of the body, or the text of one that is TOML; undefined without one. */
  readonly body: unknown;
  /** Who asks; undefined where callers have no names. */
  readonly caller?: string;
}

/** What a route answers: JSON, or text of a type of its own. */
export type HttpReply =
  | { readonly status?: number; readonly json: unknown }
  | { readonly status?: number; readonly text: string; readonly contentType: string };

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `/v1/guests/:name/bind` */
  readonly path: string;
  /** What the body is: JSON unless told. */
  readonly takes?: 'json' | 'toml';
  /** A KagemushaError thrown here becomes the answer `{ code, message }`. */
  readonly handle: (request: HttpRequest) => HttpReply | Promise<HttpReply>;
}

/** More than any request needs; a body beyond it is refused unread. */
export const MAX_BODY = 64 * 1024;

export interface HttpService {
  readonly routes: readonly Route[];
  /** Told of failures that are no KagemushaError: mistakes of ours. */
  readonly onFailure?: (error: unknown) => void;
  /** Who asks, where callers have names. @throws KagemushaError for somebody who may not */
  readonly nameOf?: (request: IncomingMessage) => string;
}

/** Answers HTTP requests by routes, with JSON; errors are `{ code, message }`. */
export function httpListener(service: HttpService): RequestListener {
  return (request, response) => {
    void answer(service, request, response);
  };
}

async function answer(
  service: HttpService,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let reply: HttpReply;
  try {
    reply = await dispatch(service, request);
  } catch (error) {
    if (!(error instanceof KagemushaError)) service.onFailure?.(error);
    reply = failure(error);
  }
  // The rest of a body that was refused is not worth reading.
  if (!request.complete) response.setHeader('connection', 'close');
  const text = 'json' in reply ? `${JSON.stringify(reply.json)}\n` : reply.text;
  const contentType = 'json' in reply ? 'application/json' : reply.contentType;
  response.writeHead(reply.status ?? 200, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  ROUTE_UNKNOWN: 404,
  GUEST_UNKNOWN: 404,
  METHOD_NOT_ALLOWED: 405,
  BODY_INVALID: 400,
  BODY_TOO_LARGE: 413,
  BODY_KIND: 415,
  GUEST_INVALID: 400,
  STATE_INVALID: 400,
  STATE_VERSION: 400,
  PEER_UNKNOWN: 403,
  PEER_STRANGE: 400,
};

function failure(error: unknown): HttpReply {
  if (error instanceof KagemushaError) {
    const { code, message } = error;
    return { status: STATUS_OF_CODE[code] ?? 409, json: { code, message } };
  }
  const message = 'the daemon failed to answer; its log says why';
  return { status: 500, json: { code: 'INTERNAL', message } };
}

async function dispatch(
  { routes, nameOf }: HttpService,
  request: IncomingMessage,
): Promise<HttpReply> {
  const caller = nameOf?.(request);
  const method = request.method ?? '';
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  const here = routes.flatMap((route) => {
    const parameters = match(route.path, path);
    return parameters === undefined ? [] : [{ route, parameters }];
  });
  if (here.length === 0) {
    const known = routes.map((route) => `${route.method} ${route.path}`).join(', ');
    throw new KagemushaError('ROUTE_UNKNOWN', `${path} is not here; there are ${known}`);
  }
  const found = here.find(({ route }) => route.method === method);
  if (found === undefined) {
    const allowed = here.map(({ route }) => route.method).join(', ');
    throw new KagemushaError('METHOD_NOT_ALLOWED', `${path} takes ${allowed}, not ${method}`);
  }
  const { route, parameters } = found;
  const text = await readBody(request, route.takes === 'toml');
  const body = route.takes === 'toml' ? text : parseJson(text);
  return await route.handle({ parameters, body, ...(caller === undefined ? {} : { caller }) });
}

/** The values of the `:name` parts, or undefined when the path is not of this pattern. */
function match(pattern: string, path: string): Record<string, string> | undefined {
  const parts = pattern.split('/');
  const given = path.split('/');
  if (parts.length !== given.length) return undefined;
  const parameters: Record<string, string> = {};
  for (const [i, part] of parts.entries()) {
    const value = given[i] ?? '';
    if (part.startsWith(':') && value !== '') {
      const decoded = decode(value);
      if (decoded === undefined) return undefined;
      parameters[part.slice(1)] = decoded;
    } else if (part !== value) {
      return undefined;
    }
  }
  return parameters;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The text of a body; undefined without one. */
async function readBody(request: IncomingMessage, toml: boolean): Promise<string | undefined> {
  if (toml && !/^application\/toml *(;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new KagemushaError('BODY_KIND', 'the body is TOML; say content-type: application/toml');
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY) {
      throw new KagemushaError('BODY_TOO_LARGE', `the body is longer than ${MAX_BODY} octets`);
    }
    chunks.push(chunk);
  }
  if (length === 0) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new KagemushaError('BODY_INVALID', 'the body is not UTF-8', { cause });
  }
}

function parseJson(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KagemushaError('BODY_INVALID', 'the body is not JSON', { cause });
  }
}
