import t from 'tap';
import { HomeRouting } from '../../src/daemon/home-routing.js';
import type { Logger } from '../../src/daemon/log.js';
import { parseAddress } from '../../src/wire/address.js';

const home = parseAddress('2001:db8:2000::10');
const other = parseAddress('2001:db8:2000::11');

/** A kernel that takes its time: `finish` ends what was asked for. */
function slowRoutes() {
  const pending: (() => void)[] = [];
  const asked: string[] = [];
  const ask = (what: string): Promise<void> => {
    asked.push(what);
    return new Promise((resolve) => pending.push(resolve));
  };
  let all: Promise<unknown> = Promise.resolve();
  const queue = (what: string): Promise<void> => {
    const done = ask(what);
    all = Promise.all([all, done]);
    return done;
  };
  return {
    asked,
    finish: () => {
      for (const resolve of pending.splice(0)) resolve();
    },
    addHomeRoute: (address: string, device: string) => queue(`add ${address} ${device}`),
    removeHomeRoute: (address: string, device: string) => queue(`remove ${address} ${device}`),
    settled: async () => {
      await all;
    },
  };
}

function logTo(lines: unknown[]): Logger {
  return { error: (...line: unknown[]) => lines.push(line) } as unknown as Logger;
}

t.test('what needs a route waits for it', async (t) => {
  const routes = slowRoutes();
  const routing = new HomeRouting(routes, 'kgha0', logTo([]));
  const acts: string[] = [];
  routing.add(home);
  routing.once(home, () => acts.push('home'));
  routing.once(other, () => acts.push('other'));
  t.same(acts, ['other'], 'other addresses wait for nothing');
  routes.finish();
  await new Promise(setImmediate);
  t.same(acts, ['other', 'home']);
  routing.once(home, () => acts.push('at once'));
  t.same(acts, ['other', 'home', 'at once']);
  t.same(routes.asked, [`add ${home} kgha0`]);
});

t.test('at the end what waits is left undone, and what is being made is made', async (t) => {
  const routes = slowRoutes();
  const routing = new HomeRouting(routes, 'kgha0', logTo([]));
  routing.add(home);
  routing.once(home, () => t.fail('the engine is closed by then'));
  let ended = false;
  const end = routing.end().then(() => {
    ended = true;
  });
  await new Promise(setImmediate);
  t.notOk(ended);
  routes.finish();
  await end;
  await new Promise(setImmediate);
});

t.test('an act that fails is told to the log', async (t) => {
  const routes = slowRoutes();
  const lines: unknown[] = [];
  const routing = new HomeRouting(routes, 'kgha0', logTo(lines));
  routing.add(home);
  const err = new Error('ENGINE_CLOSED');
  routing.once(home, () => {
    throw err;
  });
  routes.finish();
  await new Promise(setImmediate);
  t.same(lines, [[{ homeAddress: home, err }]]);
});
