// baresip, a telephone with media of its own, is called by a trunk: it hears whoever it is connected with, and is heard.
import assert from 'node:assert/strict';

import { scenario } from './harness/trunk_stage.mjs';

const CALLED = '+447700900123';
const HZ = 700;

async function talk(stage) {
  await stage.open();
  const near = await stage.sound();
  const telephone = await stage.telephone(CALLED, HZ);
  stage.webhook.page('first', [{ connect: { destinations: [`tel:${CALLED}`] } }]);
  const caller = await stage.caller('trunk_caller', { sound_port: near.port });
  const { application_instance_id: instance } = await stage.webhook.told('first');
  await near.says(0x34, 0xb4);
  await near.hearsTone(HZ, 25);
  await stage.server.interrupt(stage.account, instance);
  await caller.verdict();
  const heard = await telephone.heard();
  const loud = heard.filter((sample) => Math.abs(sample) > 1_000).length;
  assert.ok(loud > 2_000, `${loud} of ${heard.length} samples are loud`);
}

scenario('a telephone that an application calls is heard, and hears', talk);
scenario('a telephone by TCP is heard, and hears', talk, 'tcp');
scenario('a telephone by TLS is heard, and hears', talk, 'tls');
