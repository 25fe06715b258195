import { Agent, request } from 'node:https';
import { KagemushaError } from '../../errors.js';
import type { PeerConfig, PeeringConfig } from '../config/schema.js';
import { MAX_BODY } from '../http-service.js';

/** A peer that is alive answers at once. */
const TIMEOUT_MS = 3_000;

/** Asks one peer; its connection stays open for the next question. */
export class PeerClient {
  readonly name: string;
  readonly #peer: PeerConfig;
  readonly #agent: Agent;
  #closed = false;

  constructor(own: PeeringConfig, peer: PeerConfig) {
    this.name = peer.name;
    this.#peer = peer;
    this.#agent = new Agent({
      cert: own.certificate,
      key: Buffer.from(own.key.reveal()),
      ca: own.authority,
      minVersion: 'TLSv1.3',
      servername: peer.name,
      keepAlive: true,
      maxSockets: 4,
      scheduling: 'lifo',
    });
  }

  /**
   * `POST` with JSON; gives the JSON of the answer.
   * @throws KagemushaError PEER_UNREACHABLE, PEER_UNTRUSTED (a certificate), or what the peer says
   */
  async ask(path: string, body: unknown): Promise<unknown> {
    const { status, text } = await this.#exchange(path, JSON.stringify(body));
    const answer = this.#parse(text);
    if (status >= 200 && status < 300) return answer;
    const { code, message } = answer as { code?: unknown; message?: unknown };
    if (typeof code !== 'string' || typeof message !== 'string') throw this.#strange();
    throw new KagemushaError(code, `${this.name}: ${message}`);
  }

  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }

  async #exchange(path: string, body: string): Promise<{ status: number; text: string }> {
    const { host, port } = this.#peer;
    return await new Promise((resolve, reject) => {
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      };
      const options = { host, port, path, method: 'POST', agent: this.#agent, headers };
      const call = request({ ...options, timeout: TIMEOUT_MS }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
          if (text.length > MAX_BODY) call.destroy(this.#strange());
        });
        response.on('error', (error) => reject(this.#failure(error)));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      // Beside its answer to us the connection may have other troubles: of a whole exchange there is one end.
      const late = setTimeout(() => call.destroy(new Error('no answer')), TIMEOUT_MS);
      call.on('error', (error: NodeJS.ErrnoException) => {
        // It was started again since the last question.
        const again = call.reusedSocket && error.code === 'ECONNRESET' && !this.#closed;
        if (again) resolve(this.#exchange(path, body));
        else reject(this.#failure(error));
      });
      call.on('close', () => clearTimeout(late));
      call.end(body);
    });
  }

  #parse(text: string): unknown {
    try {
      const answer: unknown = JSON.parse(text);
      if (typeof answer === 'object' && answer !== null) return answer;
    } catch {}
    throw this.#strange();
  }

  #strange(): KagemushaError {
    const message = `what answers for ${this.name} is no kagemusha of this version`;
    return new KagemushaError('PEER_STRANGE', message);
  }

  /** Why there was no answer, and what to do. */
  #failure(error: NodeJS.ErrnoException): KagemushaError {
    if (error instanceof KagemushaError) return error;
    const { host, port, name } = this.#peer;
    const code = error.code ?? '';
    const where = `${name} at ${host} port ${port}`;
    if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
      const mend = `its certificate has another name; give it one for ${name}, or name it as it is`;
      return new KagemushaError('PEER_UNTRUSTED', `${where}: ${mend}`, { cause: error });
    }
    if (/CERT|SELF_SIGNED|UNABLE_TO/.test(code)) {
      const mend = `its certificate is not believed (${code}); is it of host.peering.authority?`;
      return new KagemushaError('PEER_UNTRUSTED', `${where}: ${mend}`, { cause: error });
    }
    if (/^ERR_SSL|ALERT/.test(code)) {
      const mend = `it refuses our certificate (${code}); is that of the authority that it names?`;
      return new KagemushaError('PEER_UNTRUSTED', `${where}: ${mend}`, { cause: error });
    }
    const said = code === '' ? error.message : code;
    const why =
      code === 'ECONNRESET'
        ? `it closed the connection (${said}); is our certificate of the authority that it names? Its log says`
        : `no answer (${said}); is kagemusha running there?`;
    return new KagemushaError('PEER_UNREACHABLE', `${where}: ${why}`, { cause: error });
  }
}
