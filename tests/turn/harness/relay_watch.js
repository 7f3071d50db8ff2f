// Runs in a page, before its own scripts: wraps RTCPeerConnection, so that a test can say which of the ICE servers it uses
// and whether it may use anything but relays, and can ask afterwards what it used. It changes nothing else.

function watchRelays({ policy, urls }) {
  const Native = window.RTCPeerConnection;
  const wanted = new RegExp(urls);
  window.watched = { connections: [], given: [] };
  window.RTCPeerConnection = class extends Native {
    constructor(configuration = {}, ...more) {
      const given = configuration.iceServers ?? [];
      const iceServers = given
        .map((server) => ({ ...server, urls: [server.urls].flat().filter((url) => wanted.test(url)) }))
        .filter((server) => server.urls.length > 0);
      super({ ...configuration, iceServers, ...(policy ? { iceTransportPolicy: policy } : {}) }, ...more);
      window.watched.connections.push(this);
      window.watched.given.push(...given.flatMap((server) => server.urls));
    }
  };
}

/** The candidate pair that the page's only live connection uses, and what has passed over it. */
window.selectedPair = async () => {
  const live = window.watched.connections.filter(({ connectionState }) => connectionState === 'connected');
  if (live.length !== 1) return null;
  const reports = await live[0].getStats();
  const transport = [...reports.values()].find(({ type }) => type === 'transport');
  const pair = reports.get(transport?.selectedCandidatePairId);
  if (!pair) return null;
  const candidate = ({ candidateType, relayProtocol, protocol, address, port, url }) => ({
    candidateType,
    relayProtocol,
    protocol,
    address,
    port,
    url,
  });
  return {
    local: candidate(reports.get(pair.localCandidateId)),
    remote: candidate(reports.get(pair.remoteCandidateId)),
    bytesSent: pair.bytesSent,
    bytesReceived: pair.bytesReceived,
  };
};
