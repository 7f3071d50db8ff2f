// What promises of this library are rejected with. It only words; it decides nothing.

/** A code for programs, a sentence for people, and the SIP status where there was one. */
export class OffhookError extends Error {
  constructor(code, message, status) {
    super(message);
    this.name = 'OffhookError';
    this.code = code;
    this.status = status;
  }
}

/** A promise that can be settled from outside, and whose rejection is no noise where nobody looks. */
export function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.catch(() => {});
  return made;
}

/** The same promise, quiet where nobody looks. */
export function quiet(promise) {
  promise.catch(() => {});
  return promise;
}
