// The types that are published are those of the library that runs: each member of offhook.d.ts exists in Chromium, and
// nothing public exists that it does not name. And the classic build sets the same names.
import assert from 'node:assert/strict';

import { stage } from './harness/scenario.mjs';

const scenario = stage({ plain: true });
const OURS = { kind: 'offhook' };
const BROWSERS_OWN = new Set(['EventTarget', 'Error', 'Object']);

/** Reads the classes and constants out of the declarations: one member a line, two blanks before it. */
function declarations(text) {
  const classes = new Map();
  const names = new Set(['default']);
  for (const [, name, parent, body] of text.matchAll(/^export class (\w+)(?: extends (\w+))? \{(.*?)\}$/gms)) {
    names.add(name);
    const members = body.replace(/\/\*\*[^]*?\*\//g, '').split('\n').map((line) => line.trim()).filter(Boolean);
    classes.set(name, { parent, members: members.map(member).filter(({ name: own }) => own !== 'constructor') });
  }
  for (const [, name] of text.matchAll(/^export const (\w+):/gm)) names.add(name);
  return { classes, names };
}

function member(line) {
  const [, isStatic, name, isOptional, opens] = /^(static )?(?:readonly )?(\w+)(\?)?(\()?/.exec(line);
  return { name, isStatic: Boolean(isStatic), isOptional: Boolean(isOptional), isMethod: Boolean(opens) };
}

/** What a class declares, and the classes of ours above it. */
function inherited(classes, name) {
  const { parent, members } = classes.get(name);
  return [...members, ...(classes.has(parent) ? inherited(classes, parent) : [])];
}

/** Reads the declarations as the server serves them. */
async function served(scene) {
  const answer = await scene.server.request('GET', '/sdk/offhook.d.ts');
  assert.equal(answer.status, 200);
  return declarations(answer.text);
}

/** In the page: the public names of `object` and of the classes above it, and which of them are functions. */
const namesOf = `(object, ends) => {
  const found = {};
  for (let place = object; place && !ends.includes(place.constructor.name); place = Object.getPrototypeOf(place)) {
    for (const name of Object.getOwnPropertyNames(place)) {
      if (name !== 'constructor' && !name.startsWith('_')) found[name] = typeof object[name] === 'function';
    }
  }
  return found;
}`;

/** Holds what one object shows against what its class declares. */
function compare(name, classes, shown, isStatic = false) {
  const declared = inherited(classes, name).filter((one) => one.isStatic === isStatic);
  for (const { name: wanted, isMethod, isOptional } of declared) {
    assert.ok(isOptional || wanted in shown, `${name}.${wanted} is declared and does not exist`);
    if (isMethod) assert.ok(shown[wanted], `${name}.${wanted} is declared as a function and is none`);
  }
  const known = new Set(declared.map((one) => one.name));
  assert.deepEqual(Object.keys(shown).filter((own) => !known.has(own)), [], `${name} shows what is not declared`);
}

scenario('every export is declared, and every declared one is exported', async (scene) => {
  const { names } = await served(scene);
  const alice = await scene.client('alice', OURS);
  const exported = await alice.ask((_, phone) => Object.keys(phone.library));
  assert.deepEqual(exported.sort(), [...names].sort());
});

scenario('the objects of a call have the members that are declared, and no others', async (scene) => {
  const { classes } = await served(scene);
  const { alice, outgoing, incoming } = await scene.connected({}, undefined, OURS);
  const ends = [...BROWSERS_OWN];
  const ofObject = (asked, place = 'object') => asked.ask(`async (object, ends, phone) => (${namesOf})(${place}, ends)`, ends);
  compare('AculabCloudClient', classes, await ofObject(alice));
  compare('AculabCloudOutgoingCall', classes, await ofObject(outgoing));
  compare('AculabCloudIncomingCall', classes, await ofObject(incoming));
  compare('AculabCloudCallStatistics', classes, await ofObject(outgoing, 'await object.getStats()'));
  compare('AculabCloudCaller', classes, await ofObject(alice, 'new phone.library.AculabCloudCaller()'));
  const error = await ofObject(alice, "new phone.library.OffhookError('FAILED', 'x', 500)");
  compare('OffhookError', classes, without(error, ['stack', 'message', 'name']));
  const statics = await alice.ask(({ constructor }) => {
    const names = Object.getOwnPropertyNames(constructor);
    return Object.fromEntries(names.map((name) => [name, typeof constructor[name] === 'function']));
  });
  compare('AculabCloudClient', classes, without(statics, ['length', 'name', 'prototype']), true);
});

scenario('a socket of the library is a whole WebSocket to its user', async (scene) => {
  const { classes } = await served(scene);
  const alice = await scene.client('alice', OURS);
  const shown = await alice.ask(`async (client, ends, phone) => {
    const server = new URL(location.href).searchParams.get('server').replace('http', 'ws');
    const socket = new phone.library.ResumingSocket(server + '/sipproxy');
    const names = (${namesOf})(socket, ends);
    socket.close();
    return names;
  }`, [...BROWSERS_OWN]);
  for (const { name, isMethod } of classes.get('ResumingSocket').members) {
    assert.ok(name in shown, `ResumingSocket.${name} is declared and does not exist`);
    if (isMethod) assert.ok(shown[name], `ResumingSocket.${name} is no function`);
  }
});

scenario('the classic build sets the same names', async (scene) => {
  const { names } = await served(scene);
  const alice = await scene.client('alice', OURS);
  const { page } = alice;
  await page.addScriptTag({ url: `${scene.server.origin}/sdk/offhook.classic.js` });
  const found = await page.evaluate(() => ({
    own: Object.keys(window.offhook),
    published: ['AculabCloudClient', 'AculabCloudCaller'].filter((name) => typeof window[name] === 'function'),
    supported: window.AculabCloudClient?.isSupported(),
  }));
  const named = (list) => [...list].filter((name) => name !== 'default').sort();
  assert.deepEqual(named(found.own), named(names));
  assert.deepEqual([found.published, found.supported], [['AculabCloudClient', 'AculabCloudCaller'], true]);
});

scenario('the classic build registers with the server that it came from', async (scene) => {
  const alice = await scene.client('alice', OURS);
  await alice.page.addScriptTag({ url: `${scene.server.origin}/sdk/offhook.classic.js` });
  const words = [scene.account.cloud_id, scene.account.webrtc_access_key, alice.id, await alice.token()];
  await alice.page.evaluate(async ([cloud, key, id, token]) => {
    await new window.AculabCloudClient(cloud, key, id, 0).enableIncoming(token);
  }, words);
  assert.equal(await alice.isListed(), true);
});

function without(shown, names) {
  return Object.fromEntries(Object.entries(shown).filter(([name]) => !names.includes(name)));
}
