// Runs in the page: one plain SIP WebSocket. What comes in goes to `window.report`; harness/sip_peer.mjs says what goes out.

window.phone = {
  open(address) {
    const socket = new WebSocket(address, 'sip');
    socket.onmessage = ({ data }) => window.report({ type: 'message', text: data });
    socket.onclose = ({ code }) => window.report({ type: 'closed', code });
    window.socket = socket;
    return new Promise((opened, failed) => {
      socket.onopen = opened;
      socket.onerror = () => failed(new Error(`no WebSocket to ${address}`));
    });
  },
  send(text) {
    window.socket.send(text);
  },
};
