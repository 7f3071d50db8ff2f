// Runs in the page: our own library, loaded from the server that `?server=` names, as a page of another origin does it.
// Tests reach the client and its calls through `window.phone` with `ask`; every callback of the library is told.
import { CAUSES_ONLY, Phone, tell } from './phone.mjs';

const CALL_EVENTS = ['onRinging', 'onConnected', 'onLocalVideoMute', 'onLocalVideoUnmute', 'onRemoteVideoMute'];
CALL_EVENTS.push('onRemoteVideoUnmute', 'onMediaRemove', 'onLocalMedia', 'onLocalMediaRemove', 'onConnecting', 'onMedia');
CALL_EVENTS.push('onHold', 'onQuality');

class OffhookPhone extends Phone {
  library;
  /** Streams by the names that they are told with. */
  streams = new Map();

  /** `offhookOptions` may be set by a script that runs before this one. */
  async open(cloudId, accessKey, clientId) {
    const server = new URL(location.href).searchParams.get('server');
    this.library = await import(`${server}/sdk/offhook.js`);
    const { AculabCloudClient } = this.library;
    this.use(new AculabCloudClient(cloudId, accessKey, clientId, CAUSES_ONLY, window.offhookOptions));
    this.client.onSignalling = ({ state, reason, window_s }) => tell('signalling', { state, reason, window_s });
    this.client.onTokenWillExpire = (event) => {
      this.renew = event.renew;
      tell('tokenWillExpire', { expires: event.expires.toISOString(), secondsLeft: event.secondsLeft });
    };
  }

  adopt(call) {
    const number = super.adopt(call);
    for (const name of CALL_EVENTS) call[name] = (event) => tell(plain(name), this.#story(number, event));
    call.onDisconnect = ({ call: same, ...more }) => tell('disconnected', { call: number, same: same === call, ...more });
    for (const name of ['connected', 'ended']) {
      call[name].then(
        (value) => tell(`${name}Promise`, { call: number, value }),
        (error) => tell(`${name}Promise`, { call: number, error: error.code ?? String(error) }),
      );
    }
    return number;
  }

  async sdkOptions({ more, ...options } = {}) {
    return { ...(await super.sdkOptions(options)), ...more };
  }

  peerConnection(number) {
    return this.calls[number].peerConnection;
  }

  #story(number, { call, stream, track, ...more }) {
    const story = { call: number, same: call === this.calls[number], ...more };
    if (stream) this.streams.set(stream.id, stream);
    if (stream) Object.assign(story, { stream: stream.id, tracks: stream.getTracks().map(({ kind }) => kind) });
    if (track) story.track = track.kind;
    return story;
  }
}

/** `onLocalMedia` is told as `localMedia`. */
function plain(name) {
  return name[2].toLowerCase() + name.slice(3);
}

window.phone = new OffhookPhone();
