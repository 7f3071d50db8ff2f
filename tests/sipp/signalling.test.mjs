// SIPp, a SIP implementation that shares nothing with ours, judges the server's signalling: registration, calls between two
// clients, and how they end. What each side must see is written in scenarios/*.xml; no media flows.
import { scenario } from './harness/stage.mjs';

const MANY = 50;

scenario('registers, refreshes, and leaves without a token', async (stage) => {
  const bob = await stage.agent('register', { own_id: 'bob', bearer: await stage.token('bob') });
  await bob.verdict();
});

scenario('a token that is none is refused: invalid_token', async (stage) => {
  const bob = await stage.agent('register_refused', { own_id: 'bob', bearer: 'e30.e30.bm9uZQ' });
  await bob.verdict();
});

scenario('a call in full: ringing, answer, re-INVITE, INFO, BYE of the caller', (stage) => stage.call('call'));

scenario('the callee hangs up with a reason', (stage) => stage.call('hang_up'));

scenario('the caller cancels: 487', (stage) => stage.call('cancel'));

scenario('the callee rejects: 486', (stage) => stage.call('busy'));

scenario('the callee is not registered: 480', async (stage) => {
  const alice = await stage.caller('unreachable_caller');
  await alice.verdict();
});

scenario('many calls, one after another, over one connection', (stage) => stage.call('hang_up', MANY));
