// What the page asks of the server beside calls: settings, and in demo mode clients and tokens. It never sees a key.

import { faultOf } from './text.js';

/** What the server says about itself; a server that says nothing has no demo mode. */
export async function settings() {
  try {
    const response = await fetch('/console/settings.json');
    const { demo = false, demo_hindrance = '', version = '' } = response.ok ? await response.json() : {};
    return { demo: demo === true, hindrance: String(demo_hindrance), version: String(version) };
  } catch {
    return { demo: false, hindrance: '', version: '' };
  }
}

/** A token of a demo client, by name or by chance. */
export async function demoToken(clientId = '') {
  const body = new URLSearchParams(clientId === '' ? {} : { client_id: clientId });
  const { token } = await asked('/demo/client', { method: 'POST', body });
  return token;
}

/** The ids of those that are registered now. */
export async function registeredClients(signal) {
  const list = await asked('/demo/clients', { signal });
  return list.map(({ client_id }) => String(client_id));
}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, cache: 'no-store' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The server does not answer. Is it still running?');
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  throw new Error(faultOf(answer?.error?.text ?? `The server answered ${response.status} and no reason.`));
}
