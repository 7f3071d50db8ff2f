// Runs in the page: the unmodified SDK, version 3.
import { AculabCloudClient } from 'aculab-webrtc-3';

import { Phone } from './phone.mjs';

window.phone = new Phone(AculabCloudClient);
