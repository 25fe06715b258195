import { request as httpRequest } from 'node:http';
import { KagemushaError } from '../errors.js';
import { type CaptureDevice, type DaemonStatus, STATUS_SCHEMA_VERSION } from './status.js';

/** Longer than any answer takes: `ping` asks for one echo at a time. */
const TIMEOUT_MS = 30_000;
/** unix(7); libuv would cut a longer one and ask somebody else. */
const LONGEST_PATH = 107;
/** A status of thousands of guests; beyond it, it is not our daemon. */
const MAX_ANSWER = 64 * 1024 * 1024;

/**
 * One request to the daemon behind a control socket; gives its JSON answer.
 * @throws KagemushaError DAEMON_UNREACHABLE saying which socket and what to do, or the daemon's own error
 */
export async function request(
  socketPath: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<unknown> {
  const payload =
    body === undefined ? undefined : { type: 'application/json', text: JSON.stringify(body) };
  return await ask(socketPath, method, path, payload);
}

/** `PUT` of a TOML document. @throws KagemushaError as {@link request} */
export async function putToml(socketPath: string, path: string, text: string): Promise<unknown> {
  return await ask(socketPath, 'PUT', path, { type: 'application/toml', text });
}

interface Payload {
  readonly type: string;
  readonly text: string;
}

async function ask(
  socketPath: string,
  method: string,
  path: string,
  payload: Payload | undefined,
): Promise<unknown> {
  const { status, text } = await exchange(socketPath, method, path, payload);
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw strange(socketPath, cause);
  }
  if (status >= 200 && status < 300) return answer;
  const { code, message } = answer as { code?: unknown; message?: unknown };
  if (typeof code !== 'string' || typeof message !== 'string') throw strange(socketPath, answer);
  throw new KagemushaError(code, message);
}

/** `GET /v1/status`. @throws KagemushaError as {@link request}, DAEMON_STRANGE for another version */
export async function requestStatus(socketPath: string): Promise<DaemonStatus> {
  const answer = (await request(socketPath, 'GET', '/v1/status')) as Partial<DaemonStatus>;
  if (answer.schemaVersion === STATUS_SCHEMA_VERSION) {
    if (answer.role === 'host' || answer.role === 'home-agent') return answer as DaemonStatus;
  }
  throw strange(socketPath, answer);
}

/** `GET /v1/devices`. @throws KagemushaError as {@link request} */
export async function requestDevices(socketPath: string): Promise<readonly CaptureDevice[]> {
  const answer = await request(socketPath, 'GET', '/v1/devices');
  const { devices } = answer as { devices?: unknown };
  if (!Array.isArray(devices)) throw strange(socketPath, answer);
  return devices as CaptureDevice[];
}

function strange(socketPath: string, cause: unknown): KagemushaError {
  const message = `what answers on ${socketPath} is not a kagemusha daemon of this version`;
  return new KagemushaError('DAEMON_STRANGE', message, { cause });
}

/** Why the daemon could not be asked, and what to do about it. */
function unreachable(socketPath: string, cause: NodeJS.ErrnoException): KagemushaError {
  const { code } = cause;
  const start = 'is the daemon running? start it with kagemusha host --config FILE';
  let why = `no answer on ${socketPath} (${code ?? cause.message}); ${start}`;
  if (code === 'ENOENT')
    why = `there is no socket ${socketPath}; ${start}, or name its socket with --socket`;
  if (code === 'ECONNREFUSED') why = `nobody listens on ${socketPath}; ${start}`;
  if (code === 'EACCES' || code === 'EPERM') {
    why = `permission denied on ${socketPath}; run as the user that owns it`;
  }
  return new KagemushaError('DAEMON_UNREACHABLE', why, { cause });
}

async function exchange(
  socketPath: string,
  method: string,
  path: string,
  payload: Payload | undefined,
): Promise<{ status: number; text: string }> {
  if (Buffer.byteLength(socketPath) > LONGEST_PATH) {
    const message = `${socketPath} is too long for a socket (${LONGEST_PATH} octets)`;
    throw new KagemushaError('DAEMON_UNREACHABLE', message);
  }
  return await new Promise((resolve, reject) => {
    const headers: Record<string, string | number> =
      payload === undefined
        ? {}
        : { 'content-type': payload.type, 'content-length': Buffer.byteLength(payload.text) };
    // No keep-alive: a command asks once, and an idle connection would hold it back from ending.
    const call = httpRequest({ socketPath, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > MAX_ANSWER) call.destroy(strange(socketPath, 'endless answer'));
        else chunks.push(chunk);
      });
      response.once('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, text });
      });
      response.once('error', (error) => call.destroy(error));
    });
    call.setTimeout(TIMEOUT_MS, () => {
      call.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' }));
    });
    call.once('error', (error: NodeJS.ErrnoException) => {
      reject(error instanceof KagemushaError ? error : unreachable(socketPath, error));
    });
    call.end(payload?.text ?? '');
  });
}
