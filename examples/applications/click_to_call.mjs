// First: offhook service set click --url http://127.0.0.1:5000/first
// Run with: OFFHOOK_LOGIN=1-2-0/demo@example.com/click OFFHOOK_SECRET=$(offhook service show click --secret) node click_to_call.mjs
// A page with a button, http://127.0.0.1:5000/: the client in DESK is called, asked whether to call back, and connected with the client whom
// the visitor has named. What is said needs espeak-ng on the server.
import { play, say, serve } from './serve.mjs';

const { OFFHOOK_SERVER: server = 'http://127.0.0.1:8080', OFFHOOK_LOGIN: login, OFFHOOK_SECRET: secret, DESK: desk = 'desk' } = process.env;
const FORM = '<!doctype html><title>Call me</title><form method="post" action="call"><input name="name" required><button>Call me</button></form>';

async function call(form) {
  const name = form.get('name') ?? '';
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name)) return [400, 'That is no name.'];
  const start = { to: `webrtc:${desk}`, from: 'click-to-call', outbound_parameters: { name } };
  const authorization = `Basic ${Buffer.from(`${login}:${secret}`).toString('base64')}`;
  const body = new URLSearchParams({ rest_calls: JSON.stringify(start) });
  const answer = await fetch(`${server}/service_start`, { method: 'POST', headers: { authorization }, body });
  if (answer.ok) return [200, 'We call you in a moment.'];
  console.error(`no call: ${answer.status} ${await answer.text()}`);
  return [502, 'Sorry, that did not work.'];
}

serve(
  {
    first: () => [
      {
        run_menu: {
          prompt: play(say('Somebody wants to talk to you. Press one to call back.')),
          menu_options: [{ digit: '1', next_page: { url: 'back' } }],
        },
      },
      play(say('Goodbye.')),
    ],
    back: ({ this_call: { outbound_parameters: { name } } }) => [
      { connect: { destinations: [`webrtc:${name}`], call_from: 'click-to-call', next_page: { url: 'after' } } },
    ],
    after: ({ action_result: { result } }) => [play(say(result.seconds_connected_duration > 0 ? 'Goodbye.' : 'Nobody is there any more.'))],
  },
  { 'GET /': () => [200, FORM], 'POST /call': call },
);
