// Runs in the page: the unmodified SDK, version 4.
import { AculabCloudClient } from '@aculab-com/aculab-webrtc';

import { Phone } from './phone.mjs';

window.phone = new Phone(AculabCloudClient);
