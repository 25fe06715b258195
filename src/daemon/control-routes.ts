import { KagemushaError } from '../errors.js';
import { type GuestState, readGuestState } from '../migration/index.js';
import type { Route } from './http-service.js';
import type {
  CaptureDevice,
  DaemonStatus,
  GuestChange,
  PingAnswer,
  PingRequest,
  ReloadAnswer,
} from './status.js';

/** What a daemon can be asked for over its control socket. */
export interface ControlHandlers {
  status(): DaemonStatus;
  devices(): readonly CaptureDevice[];
  /** Prometheus text. */
  metrics(): Promise<string>;
  /** As SIGHUP. @throws KagemushaError when the configuration is not good; nothing has changed then */
  reload(): Promise<ReloadAnswer>;
  /** What only a host has. */
  readonly guests?: GuestHandlers;
}

/** Each throws KagemushaError GUEST_UNKNOWN for a name it does not know. */
export interface GuestHandlers {
  /** Begins to register; `status` tells what came of it. */
  bind(guest: string): void | Promise<void>;
  /** Begins to de-register. */
  unbind(guest: string): void;
  /**
   * The guest has come to this host: it is told of its router, and registered; `status` tells what came of it.
   *
   * @param state what `release` gave on the host before
   */
  adopt(guest: string, state?: GuestState): void | Promise<void>;
  /** The guest has left for another host, which looks after its binding: it is forgotten, not de-registered. */
  release(guest: string): GuestState;
  /** Echo requests through the tunnel to the Home Agent. */
  ping(guest: string, count: number, size: number): Promise<PingAnswer>;
  /**
   * Adds or changes a guest. @param text the TOML of its table
   * @throws KagemushaError GUEST_INVALID, GUEST_CONFLICT, GUEST_CONFIGURED and what stands in the way; nothing has changed then
   */
  put(guest: string, text: string): Promise<GuestChange>;
  /** Removes a guest that was added so. @throws KagemushaError GUEST_CONFIGURED */
  remove(guest: string): Promise<void>;
}

/** The control API, version 1. */
export function controlRoutes(handlers: ControlHandlers): Route[] {
  const common: Route[] = [
    { method: 'GET', path: '/v1/status', handle: () => ({ json: handlers.status() }) },
    {
      method: 'GET',
      path: '/v1/devices',
      handle: () => ({ json: { devices: handlers.devices() } }),
    },
    {
      method: 'GET',
      path: '/metrics',
      handle: async () => ({
        text: await handlers.metrics(),
        contentType: 'text/plain; version=0.0.4; charset=utf-8',
      }),
    },
    {
      method: 'POST',
      path: '/v1/reload',
      handle: async () => ({ json: await handlers.reload() }),
    },
  ];
  const { guests } = handlers;
  if (guests === undefined) return common;
  return [
    ...common,
    ...(['bind', 'unbind'] as const).map(
      (verb): Route => ({
        method: 'POST',
        path: `/v1/guests/:name/${verb}`,
        handle: async ({ parameters }) => {
          await guests[verb](parameters.name ?? '');
          return { status: 202, json: {} };
        },
      }),
    ),
    {
      method: 'POST',
      path: '/v1/guests/:name/adopt',
      handle: async ({ parameters, body }) => {
        const state = body === undefined ? undefined : readGuestState(body);
        await guests.adopt(parameters.name ?? '', state);
        return { status: 202, json: {} };
      },
    },
    {
      method: 'POST',
      path: '/v1/guests/:name/release',
      handle: ({ parameters }) => ({ json: guests.release(parameters.name ?? '') }),
    },
    {
      method: 'POST',
      path: '/v1/guests/:name/ping',
      handle: async ({ parameters, body }) => {
        const { count, size } = readPing(body);
        return { json: await guests.ping(parameters.name ?? '', count, size) };
      },
    },
    {
      method: 'PUT',
      path: '/v1/guests/:name',
      takes: 'toml',
      handle: async ({ parameters, body }) => {
        const change = await guests.put(parameters.name ?? '', String(body ?? ''));
        return { status: change.change === 'added' ? 201 : 200, json: change };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/guests/:name',
      handle: async ({ parameters }) => {
        await guests.remove(parameters.name ?? '');
        return { json: {} };
      },
    },
  ];
}

/** At most this many echo requests, so that one request ends while its client waits. */
const MAX_PINGS = 100;
/** Echo data that fits the smallest IPv6 packet with its headers inside the tunnel. */
const MAX_PING_SIZE = 1232;

function readPing(body: unknown): PingRequest {
  const given = typeof body === 'object' && body !== null ? body : {};
  const count = 'count' in given ? given.count : 3;
  const size = 'size' in given ? given.size : 56;
  return {
    count: within('count', count, 1, MAX_PINGS),
    size: within('size', size, 0, MAX_PING_SIZE),
  };
}

function within(name: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
    return value;
  }
  const message = `${name} is not a whole number from ${min} to ${max}`;
  throw new KagemushaError('BODY_INVALID', message);
}
