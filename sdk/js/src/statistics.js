// getStats of a call, sorted as the published interface sorts it: by track and by kind. It computes nothing.

const COLLECTED = ['inbound-rtp', 'media-source', 'outbound-rtp'];
const KINDS = ['audio', 'video'];

export class AculabCloudCallStatistics {
  reports;
  reportsById = new Map();
  inboundReportsByKind = new Map();
  outboundReportsByKind = new Map();

  constructor({ reports, reportsToCollect = COLLECTED }) {
    this.reports = reports ?? new Map();
    const collected = [...this.reports.values()].filter(({ type }) => reportsToCollect.includes(type));
    // What is sent names its source, and the source its track.
    const tracks = new Map(
      collected.filter(({ type }) => type === 'media-source').map((each) => [each.id, each.trackIdentifier]),
    );
    for (const report of collected) {
      const track = report.trackIdentifier ?? tracks.get(report.mediaSourceId);
      if (!track) continue;
      this.reportsById.set(track, [...(this.reportsById.get(track) ?? []), report]);
      if (!KINDS.includes(report.kind)) continue;
      if (report.type === 'inbound-rtp') this.inboundReportsByKind.set(report.kind, report);
      if (report.type === 'outbound-rtp') this.outboundReportsByKind.set(report.kind, report);
    }
  }

  getReportFromTrackId(trackId) {
    return this.reportsById.get(trackId);
  }

  getInboundReportsFromKind(kind) {
    return this.inboundReportsByKind.get(kind);
  }

  getOutboundReportsFromKind(kind) {
    return this.outboundReportsByKind.get(kind);
  }
}

/** "local address and protocol => remote address and type" of the pair in use. */
export function connectionInfo(reports) {
  const all = [...reports.values()];
  const selected = all.find(({ type }) => type === 'transport')?.selectedCandidatePairId;
  const pair =
    reports.get(selected) ??
    all.find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded');
  const local = reports.get(pair?.localCandidateId);
  const remote = reports.get(pair?.remoteCandidateId);
  const place = (candidate) =>
    candidate ? `${candidate.address ?? candidate.ip ?? '?'}:${candidate.port ?? '?'}` : 'Unknown';
  const protocol = local?.relayProtocol ?? local?.protocol ?? '?';
  return `${place(local)} ${protocol} => ${place(remote)} ${remote?.candidateType ?? '?'}`;
}
