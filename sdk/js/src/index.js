// offhook.js: calls between browsers, and from browsers to services, through an offhook server. What applications
// import.
export { AculabCloudCall, AculabCloudIncomingCall, AculabCloudOutgoingCall } from './call.js';
export { AculabCloudCaller } from './caller.js';
export { AculabCloudClient, AculabCloudClient as default } from './client.js';
export { OffhookError } from './error.js';
export { ResumingSocket } from './resuming_socket.js';
export { AculabCloudCallStatistics } from './statistics.js';

export const version = OFFHOOK_VERSION;
