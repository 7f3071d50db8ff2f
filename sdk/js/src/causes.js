// From SIP to what an application is told: the cause of the published interface, and plain words. docs/sdk.md has the
// table. It never invents: where the other side or the server gave a sentence, that is the reason.
import { PHRASES, plain, reason, warning } from './sip/message.js';

const BUSY = [486, 600];
const UNOBTAINABLE = [404, 410, 480, 604];
const NOANSWER = [408, 487];
const REJECTED = [403, 433];

/** The cause of a call that ended with this status. */
export function causeOf(status) {
  if (status >= 200 && status < 300) return 'NORMAL';
  if (status >= 300 && status < 400) return 'MOVED';
  if (BUSY.includes(status)) return 'BUSY';
  if (UNOBTAINABLE.includes(status)) return 'UNOBTAINABLE';
  if (NOANSWER.includes(status)) return 'NOANSWER';
  if (REJECTED.includes(status) || status >= 600) return 'REJECTED';
  return 'FAILED';
}

/** How a call ended that was refused, or never answered. */
export function refused(response, who) {
  const { status } = response;
  const told = sentence(reason(response.headers)) || plainly(warning(response.headers));
  return { cause: causeOf(status), status, reason: told || wordsFor(status, who, response) };
}

/** How a call ended that the other side hung up: the Reason of its BYE says why, without one it is an ordinary end. */
export function hungUp(request, who) {
  const told = reason(request.headers);
  if (!told?.cause) return { cause: 'NORMAL', status: 200, reason: told?.text || `${who} hung up` };
  const { cause } = told;
  const words = cause >= 200 && cause < 300 ? `${who} hung up` : wordsFor(cause, who);
  return { cause: causeOf(cause), status: cause, reason: sentence(told) || words };
}

/** How an incoming call ended that was cancelled. */
export function cancelled(request, who) {
  const told = reason(request.headers);
  const words = `${who} hung up before the call was answered`;
  return { cause: 'NORMAL', status: told?.cause || 487, reason: sentence(told) || words };
}

/** What the server says of a request is for whoever builds pages; this is for whoever uses them. */
export function plainly(text) {
  return /\bnames no active account\b/.test(text)
    ? 'the server has no active account with this access key: it is disabled, or the key is wrong'
    : text;
}

/** The text of a Reason, if it is more than the phrase of its status: of those we have better ones. */
function sentence(told) {
  return told && told.text !== PHRASES[told.cause] && told.text !== 'Request Terminated' ? told.text : '';
}

function wordsFor(status, who, response) {
  const words = {
    0: 'the connection to the server was lost',
    401: 'the server did not accept the token',
    403: 'the server did not permit this call',
    404: `${who} is not known`,
    408: response?.isLocal ? 'the server did not answer' : `${who} did not answer`,
    410: `${who} is not known any more`,
    480: `${who} cannot be reached now`,
    481: 'the other side knows nothing of this call any more',
    486: `${who} is busy`,
    487: `${who} did not answer`,
    488: `${who} cannot take this kind of call`,
    503: 'the server is too busy',
    600: `${who} is busy`,
    603: `${who} rejected the call`,
    604: `${who} does not exist`,
  };
  if (words[status]) return words[status];
  if (status >= 300 && status < 400) return `${who} has moved: calls should go elsewhere`;
  if (status >= 600) return `${who} rejected the call`;
  return plain(response?.phrase) || PHRASES[status] || `the call failed (${status})`;
}
