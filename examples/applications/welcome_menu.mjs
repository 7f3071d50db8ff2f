// Run with: node welcome_menu.mjs
// Then: offhook service set welcome --url http://127.0.0.1:5000/first
// A menu: 1 tells when somebody is there, 2 connects with the client in DESK. What is said needs espeak-ng on the server.
import { play, say, serve, tone } from './serve.mjs';

const DESK = process.env.DESK ?? 'desk';

serve({
  first: () => [
    {
      run_menu: {
        prompt: play(tone(660, 300), say('Welcome. Press one for our hours, two to talk to us.')),
        menu_options: [
          { digit: '1', next_page: { url: 'hours' } },
          { digit: '2', next_page: { url: 'desk' } },
        ],
        on_invalid_digit_messages: [play(say('One or two, please.')), play(say('Please press one or two.'))],
      },
    },
    play(say('Goodbye.')),
  ],
  hours: () => [play(say('We are here from nine to five.')), { redirect: { next_page: { url: 'first' } } }],
  desk: () => [{ connect: { destinations: [`webrtc:${DESK}`], call_from: 'welcome', next_page: { url: 'after' } } }],
  after: ({ action_result: { result } }) => {
    if (result.seconds_connected_duration > 0) return [play(say('Thank you for calling.'))];
    return [play(say('Nobody can take your call.')), { redirect: { next_page: { url: 'first' } } }];
  },
});
