// What the README promises to a page of an existing application: its script alone leads a stock SDK to a server without
// TLS on this machine.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { stage } from './harness/scenario.mjs';

const scenario = stage({ plain: true });

async function script(port) {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [, text] = /<script>([^]*?)<\/script>/.exec(readme);
  assert.match(text, /ws:\/\/127\.0\.0\.1:8080/);
  return text.replace('ws://127.0.0.1:8080', `ws://127.0.0.1:${port}`);
}

scenario("the README's script leads a stock page to a server without TLS", async (scene) => {
  const led = { script: await script(scene.server.port) };
  const [alice, bob] = await Promise.all([scene.client('alice', led), scene.client('bob', led)]);
  await bob.register();
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  await incoming.answer();
  await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
  await outgoing.hangUp();
  assert.equal(await incoming.ended(), 'NORMAL');
});
