// The library for pages with classic scripts: everything under `window.offhook`, and the two names of the published
// classic build.
import * as offhook from './index.js';

window.offhook = { ...offhook };
window.AculabCloudClient = offhook.AculabCloudClient;
window.AculabCloudCaller = offhook.AculabCloudCaller;
