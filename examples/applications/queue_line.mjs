// Run with: node queue_line.mjs
// Then: offhook service set queue --url http://127.0.0.1:5000/first --final-url http://127.0.0.1:5000/final
// Callers wait in a line, with music, for the client in AGENT, who talks with one at a time. What is said needs espeak-ng on the server.
import { play, say, serve, tone } from './serve.mjs';

const AGENT = process.env.AGENT ?? 'agent';
const MUSIC = [523, 659, 784, 659].map((hz) => tone(hz, 500));
const wait = { redirect: { next_page: { url: 'wait' } } };

let line = [];
const leave = (id) => (line = line.filter((other) => other !== id));

serve({
  first: ({ application_instance_id: id }) => {
    line.push(id);
    return [play(say('Welcome. Please hold the line.')), wait];
  },
  // The first in the line rings the agent, again and again; the others hear their place.
  wait: ({ application_instance_id: id }) => {
    const place = line.indexOf(id);
    if (place > 0) return [play(say(`You are number ${place + 1}.`), ...MUSIC), wait];
    const next_page = { url: 'served' };
    return [{ connect: { destinations: [`webrtc:${AGENT}`], call_from: 'queue', hold_media: play(...MUSIC), next_page } }];
  },
  served: ({ application_instance_id: id, action_result: { result } }) => {
    if (result.seconds_connected_duration === 0) return [play(...MUSIC), wait];
    leave(id);
    return [play(say('Thank you for calling.'))];
  },
  final: ({ application_instance_id: id }) => void leave(id),
});
