// Registration: who is told that it may be called, who is listed, with which tokens, and which of two tabs gets the calls.
import assert from 'node:assert/strict';

import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';
import { claims } from './harness/server.mjs';

const scenario = stage();
const REGISTER = /^REGISTER /;

scenario('a client registers, is listed, and is listed no more after disableIncoming', async (scene) => {
  const bob = await scene.client('bob');
  assert.equal(await bob.isListed(), false);
  const state = await bob.register();
  assert.equal(state.cause, 'NORMAL');
  assert.equal(await bob.isListed(), true);
  const [entry] = (await scene.server.registeredClients(scene.account)).filter(({ client_id }) => client_id === bob.id);
  for (const time of [entry.last_modified, entry.expires]) assert.match(time, /^\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d$/);
  assert.ok(entry.expires > entry.last_modified, JSON.stringify(entry));

  await bob.disableIncoming();
  await bob.until('state', ({ ready }) => !ready);
  await eventually('bob is listed no more', async () => !(await bob.isListed()));
});

scenario('a client that closes its tab is listed no more', async (scene) => {
  const bob = await scene.client('bob');
  await bob.register();
  await bob.close();
  await eventually('bob is listed no more', async () => !(await bob.isListed()));
});

scenario('a client of one account is not listed in another', async (scene) => {
  const bob = await scene.client('bob');
  await bob.register();
  const others = await scene.server.registeredClients(scene.otherAccount);
  assert.deepEqual(others.filter(({ client_id }) => client_id === bob.id), []);
});

scenario('disableIncoming right after enableIncoming leaves nothing behind', async (scene) => {
  const bob = await scene.client('bob');
  const token = await bob.token();
  await bob.enableAndDisable(token);
  // Whatever was on its way has settled when the client registers once more and takes that back too.
  await bob.register(token);
  assert.equal(await bob.isListed(), true);
  await bob.enableAndDisable(token);
  await eventually('bob is listed no more', async () => !(await bob.isListed()));
});

scenario('a new token replaces the old one', async (scene) => {
  const bob = await scene.client('bob');
  const [first, second] = [await bob.token({ ttl: 600 }), await bob.token({ ttl: 7200 })];
  await bob.register(first);
  await bob.register(second);
  assert.equal(await bob.isListed(), true);
  const [before, after] = await scene.trace.until('bob', 'sends', REGISTER, 2);
  assert.equal(after.header('Authorization'), `Bearer ${second}`);
  assert.equal(after.header('Call-ID'), before.header('Call-ID'));
});

/** Enables incoming calls with a token that must be refused, and gives back what the app is told. */
async function refusal(bob, token) {
  await bob.enableIncoming(token);
  const { cause } = await bob.until('state', ({ ready }) => !ready);
  assert.equal(await bob.isListed(), false);
  return cause;
}

scenario('an invalid token: INVALIDTOKEN', async (scene) => {
  const bob = await scene.client('bob');
  const [head, payload, signature] = (await bob.token()).split('.');
  const forged = signature.replace(/^./, (letter) => (letter === 'A' ? 'B' : 'A'));
  assert.equal(await refusal(bob, [head, payload, forged].join('.')), 'INVALIDTOKEN');
});

scenario('an expired token: INVALIDTOKEN', async (scene) => {
  const bob = await scene.client('bob');
  const token = await scene.server.createToken(scene.account, bob.id, 1);
  const { exp } = claims(token);
  await eventually('the token has expired', () => Date.now() / 1000 > exp);
  assert.equal(await refusal(bob, token), 'INVALIDTOKEN');
});

scenario('a token of another account: INVALIDTOKEN', async (scene) => {
  const bob = await scene.client('bob');
  const token = await scene.server.token(scene.otherAccount, bob.id);
  assert.equal(await refusal(bob, token), 'INVALIDTOKEN');
});

scenario('a token of another client is refused', async (scene) => {
  const bob = await scene.client('bob');
  const token = await scene.server.token(scene.account, scene.id('carol'));
  assert.notEqual(await refusal(bob, token), 'NORMAL');
});

scenario('a token without the permission for incoming calls: FAILED', async (scene) => {
  const bob = await scene.client('bob');
  assert.equal(await refusal(bob, await bob.token({ enableIncoming: false })), 'FAILED');
  const [answer] = await scene.trace.until('bob', 'receives', /^SIP\/2.0 403 /);
  assert.match(answer.header('CSeq'), /REGISTER$/);
});

scenario('a token that runs out while registered: INVALIDTOKEN, and no storm before it', async (scene) => {
  const bob = await scene.client('bob');
  await bob.register(await scene.server.createToken(scene.account, bob.id, 6));
  const { cause } = await bob.until('state', ({ ready }) => !ready);
  assert.equal(cause, 'INVALIDTOKEN');
  assert.equal(await bob.isListed(), false);
  const sent = scene.trace.messages('bob', 'sends', REGISTER).length;
  assert.ok(sent <= 10, `the client sent ${sent} REGISTERs in six seconds`);
});

scenario('a second tab takes over, and the first gets the calls again when it goes', async (scene) => {
  const alice = await scene.client('alice');
  await alice.register();
  const first = await scene.client('bob', { tab: '(1)' });
  await first.register();
  const second = await scene.client('bob', { tab: '(2)' });
  await second.register();

  const toSecond = await alice.call(second);
  const atSecond = await second.incoming();
  await atSecond.reject(486);
  assert.equal(await toSecond.ended(), 'BUSY');
  assert.deepEqual(first.told('incoming'), []);

  await second.close();
  // Nobody tells when the server has noticed: call until it has.
  const toFirst = await eventually('a call reaches the first tab again', async () => {
    const call = await alice.call(first);
    const told = await Promise.race([call.until('ringing'), call.until('disconnected')]);
    return told.type === 'ringing' && call;
  });
  await (await first.incoming()).reject(486);
  assert.equal(await toFirst.ended(), 'BUSY');
});

scenario('disableIncoming during a call: no longer listed, and the call goes on', async (scene) => {
  const { bob, outgoing, incoming } = await scene.connected();
  await bob.disableIncoming();
  await bob.until('state', ({ ready }) => !ready);
  await eventually('bob is listed no more', async () => !(await bob.isListed()));
  await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
  assert.equal(outgoing.hasEnded() || incoming.hasEnded(), false);
  await outgoing.hangUp();
  assert.equal(await incoming.ended(), 'NORMAL');
});
