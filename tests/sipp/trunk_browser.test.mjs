// Browsers that a trunk's callers reach: by the number of a service that clients answer for, and by their own name.
import assert from 'node:assert/strict';

import { eventually } from '../browser/harness/bounded.mjs';
import { CALLER, scenario } from './harness/trunk_stage.mjs';

/** The browser takes the call: its microphone is heard at the trunk, the trunk is heard in the browser, and it hangs up. */
async function talks(client, sound) {
  const incoming = await client.incoming();
  assert.deepEqual([incoming.from, incoming.kind], [CALLER, 'service']);
  await incoming.answer();
  await incoming.until('connected');
  await sound.receives(50);
  await sound.says(0x34, 0xb4);
  await incoming.receives({ audio: 1 });
  await incoming.hangUp();
}

const ended = (stage) =>
  eventually('every call has an end', async () => {
    const calls = await stage.calls();
    return calls.length > 0 && calls.every(({ status }) => status !== null) && calls;
  });

scenario('a number rings the clients of a service one after the other, and both sides hear each other', async (stage) => {
  await stage.open();
  const [alice, bob] = [await stage.client('alice'), await stage.client('bob')];
  await stage.server.putService(stage.account, 'ivr', [{ id: 'nobody' }, alice, bob], { ring: 'in_order' });
  const sound = await stage.sound();
  const caller = await stage.caller('trunk_caller', { sound_port: sound.port });
  await (await alice.incoming()).reject();
  await talks(bob, sound);
  await caller.verdict();
  const call = (await ended(stage)).find(({ service }) => service === 'ivr');
  assert.deepEqual([call.caller, call.caller_trunk, call.callee, call.status], [CALLER, 'provider', 'bob', 200]);
});

scenario('a service whose clients ring in turn: whoever was rung first is not the first again', async (stage) => {
  await stage.open();
  const [alice, bob] = [await stage.client('alice'), await stage.client('bob')];
  await stage.server.putService(stage.account, 'ivr', [{ id: 'nobody' }, alice, bob], { ring: 'round_robin' });
  for (const client of [alice, bob]) {
    const sound = await stage.sound();
    const caller = await stage.caller('trunk_caller', { sound_port: sound.port });
    await talks(client, sound);
    await caller.verdict();
  }
});

scenario('a client is called by its own name', async (stage) => {
  await stage.open();
  const alice = await stage.client('alice');
  const sound = await stage.sound();
  const caller = await stage.caller('trunk_caller', { sound_port: sound.port, called: 'alice' });
  await talks(alice, sound);
  await caller.verdict();
});
