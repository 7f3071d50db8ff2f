// baresip, a telephone with media of its own, is called by a trunk: it hears whoever it is connected with, and is heard.
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
  await Promise.all([near.hearsTone(HZ, 25), telephone.hearsLoud(2_000)]);
  await stage.server.interrupt(stage.account, instance);
  await caller.verdict();
}

scenario('a telephone that an application calls is heard, and hears', talk);
scenario('a telephone by TCP is heard, and hears', talk, 'tcp');
scenario('a telephone by TLS is heard, and hears', talk, 'tls');
