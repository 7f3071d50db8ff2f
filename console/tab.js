// What the browser's tab shows when nobody looks at the page: a ringing call, or with whom one talks.

import { shown } from './text.js';
import { find, setText } from './page.js';

export function renderTab({ ringing, active }) {
  const name = (line) => shown(line.other, 32, 'somebody');
  const words = ringing ? `${name(ringing)} is calling` : active && `In a call with ${name(active)}`;
  const title = words ? `${words} · offhook` : 'offhook';
  setText(document.querySelector('title'), title);
  const href = ringing ? '/console/icon_ringing.svg' : '/console/icon.svg';
  if (find('favicon').getAttribute('href') !== href) find('favicon').setAttribute('href', href);
}
