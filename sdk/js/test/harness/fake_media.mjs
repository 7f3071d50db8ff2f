// A PeerConnection that agrees to everything and moves no media: for tests of what is said around it.

const SDP = 'v=0\r\nm=audio 9 X 111\r\na=sendrecv\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n';

export class FakePeerConnection extends EventTarget {
  iceGatheringState = 'complete';
  iceConnectionState = 'new';
  signalingState = 'stable';
  localDescription = null;
  remoteDescription = null;
  offers = 0;
  rollbacks = 0;

  getTransceivers = () => [];
  getSenders = () => [];
  getConfiguration = () => ({ iceServers: [] });
  setConfiguration() {}
  addTransceiver = (kind) => ({ sender: {}, receiver: { track: { kind } }, direction: 'recvonly' });
  getStats = async () => new Map();
  createOffer = async () => ({ type: 'offer', sdp: SDP });
  createAnswer = async () => ({ type: 'answer', sdp: SDP });

  async setLocalDescription({ type, sdp }) {
    if (type === 'rollback') this.rollbacks += 1;
    if (type === 'offer') this.offers += 1;
    this.signalingState = type === 'offer' ? 'have-local-offer' : 'stable';
    this.localDescription = { type, sdp };
  }

  async setRemoteDescription({ type, sdp }) {
    if (sdp === 'broken') throw new Error('no SDP');
    this.signalingState = type === 'offer' ? 'have-remote-offer' : 'stable';
    this.remoteDescription = { type, sdp };
  }

  close() {
    this.signalingState = 'closed';
  }

  /** What ICE would tell. */
  ice(state) {
    this.iceConnectionState = state;
    this.oniceconnectionstatechange?.();
  }
}

FakePeerConnection.SDP = SDP;
