// Run with: node parrot.mjs
// Then: offhook service set parrot --url http://127.0.0.1:5000/first
// A voice bot that says what it hears: it listens until the caller pauses, and is quiet when the caller speaks, or presses a key. # ends.
import { streams } from './bot_socket.mjs';
import { play, serve, tone } from './serve.mjs';

const LOUD = 500;
const PAUSE_FRAMES = 10;
const LONGEST_FRAMES = 250;

const server = serve({
  first: () => [{ stream: { url: 'audio', sample_rate: 16000, next_page: { url: 'after' } } }],
  after: ({ action_result: { result } }) => {
    console.log(`the bot has spoken ${result.result?.turns ?? 0} times in ${result.seconds_duration} s`);
    return [play(tone(880, 300))];
  },
});

streams(server, (bot) => {
  let [heard, silent, turns, isSpeaking] = [[], 0, 0, false];
  const isLoud = (samples) => samples.reduce((sum, sample) => sum + Math.abs(sample), 0) / samples.length > LOUD;
  const quiet = () => {
    if (isSpeaking) bot.tell({ event: 'clear' });
    isSpeaking = false;
  };
  bot.onSound = (samples) => {
    const speaks = isLoud(samples);
    if (speaks) quiet();
    silent = speaks ? 0 : silent + 1;
    if (speaks || heard.length > 0) heard.push(samples);
    if (heard.length === 0 || (silent < PAUSE_FRAMES && heard.length < LONGEST_FRAMES)) return;
    for (const frame of heard) bot.say(frame);
    bot.tell({ event: 'mark', name: 'said' });
    [heard, turns, isSpeaking] = [[], turns + 1, true];
  };
  bot.onWord = ({ event, digit }) => {
    if (event === 'digit') quiet();
    if (event === 'digit' && digit === '#') bot.tell({ event: 'end', result: { turns } });
    if (event === 'mark') isSpeaking = false;
  };
});
