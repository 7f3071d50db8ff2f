// The interface of version 1, on top of the present one: an object that makes one call to a service at a time.
import { AculabCloudClient } from './client.js';

const LEGACY_ACCESS_KEY = 'acc2';

export class AculabCloudCaller {
  logLevel = 6;
  iceServers = null;
  server;
  onDisconnect;
  onRinging;
  onMedia;
  onConnecting;
  onConnected;
  onError;
  onIncoming;
  onRegistered;
  onUnregistered;
  onRegisterFail;
  #call = null;

  makeCall(cloudId, service, callerId) {
    const client = new AculabCloudClient(cloudId, LEGACY_ACCESS_KEY, callerId, this.logLevel, { server: this.server });
    client.iceServers = this.iceServers;
    const call = client.makeOutgoing(service);
    this.#call = call;
    call.onConnecting = () => this.onConnecting?.();
    call.onRinging = () => this.onRinging?.();
    call.onMedia = (event) => this.onMedia?.(event);
    call.onConnected = () => this.onConnected?.();
    call.onDisconnect = (event) => {
      this.#call = null;
      // This version knew microphones only.
      this.onDisconnect?.({ ...event, cause: event.cause === 'DEVICE_ERROR' ? 'MIC_ERROR' : event.cause });
    };
  }

  isSupported() {
    return AculabCloudClient.isSupported();
  }

  sendDtmf(digits) {
    if (!this.#call) throw 'DTMF send error - no call';
    this.#call.sendDtmf(digits);
  }

  disconnect() {
    this.#call?.disconnect();
  }

  attachMediaStreamToElement(element, stream) {
    element.srcObject = stream;
  }

  detachMediaStreamFromElement(element) {
    element.srcObject = null;
  }
}
