// Whether a request comes from offhook: it is signed with the secret of its service, and not minutes ago.
import { createHmac, timingSafeEqual } from 'node:crypto';

export function isOurs(headers, instance, secret) {
  const at = headers['x-offhook-timestamp'] ?? '';
  const made = Buffer.from(`v1=${createHmac('sha256', secret).update(`${at}.${instance}`).digest('hex')}`);
  const given = Buffer.from(headers['x-offhook-signature'] ?? '');
  return given.length === made.length && timingSafeEqual(given, made) && Math.abs(Date.now() / 1000 - at) < 300;
}
