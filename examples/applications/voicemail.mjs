// Run with: node voicemail.mjs
// Then: offhook service set voicemail --url http://127.0.0.1:5000/first --final-url http://127.0.0.1:5000/final
// Takes a message, plays it back, and keeps it unless the caller wants to speak again. What is said needs espeak-ng on the server.
import { play, say, serve } from './serve.mjs';

const record = { record: { beep_on_start: true, seconds_max_duration: 30, next_page: { url: 'recorded' } } };

/** The file is one of the account's: GET /v1/files/<name> fetches it. */
const kept = ({ call_from }, { filename }) => console.log(`a message from ${call_from}: ${filename}`);

serve({
  first: () => [play(say('Please leave a message after the tone.')), record],
  recorded: ({ this_call, action_result: { result } }) => {
    if (!result.contains_sound) return [play(say('Nothing was heard.')), record];
    kept(this_call, result);
    const ask = play({ file_to_play: result.filename }, say('Press one to speak again.'));
    return [
      { get_input: { prompt: ask, digit_input_options: { digit_count: 1, valid_digits: '1' }, next_page: { url: 'again' } } },
      play(say('Your message is kept. Goodbye.')),
    ];
  },
  again: () => [record],
  // Who hangs up while speaking has left a message as well.
  final: ({ this_call, action_result: told }) => {
    if (told?.action === 'record' && told.result.contains_sound) kept(this_call, told.result);
  },
});
