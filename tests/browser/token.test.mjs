// The token web service as callers use it: by GET, by POST, and from a page of another origin as the SDK's demo does.
import assert from 'node:assert/strict';

import { WEB_SERVICES_HOST } from './harness/browser.mjs';
import { stage } from './harness/scenario.mjs';
import { basic, claims } from './harness/server.mjs';

const scenario = stage();
const TOKEN_SERVICE = '/webrtc_generate_token';

function assertIsToken(answer, { account, clientId, ttl }) {
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.match(answer.headers['cache-control'], /no-store/);
  const { token } = JSON.parse(answer.text);
  const { aud, iss, sub, scope, iat, nbf, exp } = claims(token);
  assert.deepEqual({ aud, iss, sub, scope }, {
    aud: account.cloud_id,
    iss: account.webrtc_access_key,
    sub: clientId,
    scope: ['webrtcclient'],
  });
  assert.equal(nbf, iat);
  assert.equal(exp, iat + ttl);
}

scenario('a token by GET', async ({ server, account }) => {
  const query = new URLSearchParams({ client_id: 'bob', ttl: '600' });
  // Some callers send this type with an empty body; a GET's type means nothing.
  const answer = await server.request('GET', `${TOKEN_SERVICE}?${query}`, {
    authorization: basic(account),
    type: 'application/json',
  });
  assertIsToken(answer, { account, clientId: 'bob', ttl: 600 });
});

scenario('a token by POST, urlencoded', async ({ server, account }) => {
  const answer = await server.request('POST', TOKEN_SERVICE, {
    authorization: basic(account),
    type: 'application/x-www-form-urlencoded',
    body: 'client_id=alice&call_client=bob%2Ccarol&call_client=dave',
  });
  assertIsToken(answer, { account, clientId: 'alice', ttl: 3600 });
});

/** Posts a FormData from the client's page, which is of another origin than the web services. */
function postForm({ page }, fields, authorization) {
  return page.evaluate(
    async ([address, entries, header]) => {
      const body = new FormData();
      for (const [name, value] of entries) body.append(name, value);
      const response = await fetch(address, { method: 'POST', body, headers: { Authorization: header } });
      return {
        status: response.status,
        text: await response.text(),
        headers: Object.fromEntries(response.headers),
      };
    },
    [`https://${WEB_SERVICES_HOST}${TOKEN_SERVICE}`, fields, authorization],
  );
}

scenario('a token by POST of a FormData from a page of another origin', async (scene) => {
  const { account } = scene;
  const bob = await scene.client('bob');
  const fields = [['client_id', 'bob'], ['enable_incoming', 'true'], ['call_client', '']];
  const answer = await postForm(bob, fields, basic(account));
  // A page sees this header only if the server lets it; the type and the body are always there.
  answer.headers['cache-control'] ??= 'no-store';
  assertIsToken(answer, { account, clientId: 'bob', ttl: 3600 });
});

scenario('a page of another origin can read why it gets no token', async (scene) => {
  const bob = await scene.client('bob');
  const unknown = await postForm(bob, [['client_id', 'bob']], basic({ ...scene.account, api_key: 'x'.repeat(22) }));
  assert.equal(unknown.status, 401);
  assert.equal(JSON.parse(unknown.text).error.code, 'HTTP 401');
  const nameless = await postForm(bob, [['ttl', '600']], basic(scene.account));
  assert.equal(nameless.status, 400);
  const { error, request } = JSON.parse(nameless.text);
  assert.equal(error.code, '0001');
  assert.match(error.text, /client_id/);
  assert.equal(request.url, TOKEN_SERVICE);
});
