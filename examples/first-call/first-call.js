// The least that a page needs to take and make a video call with the stock SDK.
import { AculabCloudClient } from "@aculab-com/aculab-webrtc";

const form = (id) => document.getElementById(id);
const value = (id, name) => form(id).elements[name].value.trim();
const options = { constraints: { audio: true, video: true } };
let client, call;

function say(text) {
  document.getElementById("state").textContent = text;
}

/** The SDK throws a string at once where a key, a name or a token has not the form of one. */
function trying(act) {
  try {
    act();
  } catch (fault) {
    say(`${fault.message ?? fault}.`);
  }
}

function follow(current) {
  call = current;
  call.onRinging = () => say("Ringing.");
  call.onConnected = () => say("Connected.");
  call.onMedia = ({ stream }) => (document.getElementById("video").srcObject = stream);
  call.onDisconnect = ({ cause }) => say(`The call has ended: ${cause}`);
}

form("register").onsubmit = (event) => {
  event.preventDefault();
  trying(register);
};

function register() {
  client = new AculabCloudClient("1-2-0", value("register", "key"), value("register", "client"), 1);
  client.onIncomingState = ({ ready, cause }) => say(ready ? "Registered." : `Not registered: ${cause}`);
  client.onIncoming = ({ call: incoming, from }) => {
    follow(incoming);
    say(`${from} calls.`);
    incoming.answer(options);
  };
  client.enableIncoming(value("register", "token"));
}

form("call").onsubmit = (event) => {
  event.preventDefault();
  if (!client) say("Register first.");
  else trying(() => follow(client.callClient(value("call", "callee"), value("register", "token"), options)));
};

document.getElementById("hang-up").onclick = () => call?.disconnect();
