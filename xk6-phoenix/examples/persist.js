// An open model: 200 pushes a second begin at their time, whatever became of those
// before, on one socket per VU that lives through all iterations.
import { check } from 'k6';
import { Socket } from 'k6/x/phoenix';

const url = __ENV.PHX_URL || 'ws://127.0.0.1:4000/socket';

export const options = {
  scenarios: {
    pushes: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE || 200),
      timeUnit: '1s',
      duration: __ENV.DURATION || '3s',
      preAllocatedVUs: 20,
      maxVUs: 100,
    },
  },
  thresholds: {
    checks: ['rate==1'],
    phoenix_push_duration: ['p(99)<1000'],
    phoenix_push_failed: ['rate<0.01'],
  },
};

// One per VU: this line runs in the init context of each.
const socket = new Socket(url, { persist: true });

export default async function () {
  await socket.connect(); // at once, if it is connected
  const room = socket.channel(`room:${__VU % 10}`);
  await room.join(); // at once, if it is joined
  check(await room.push('ping', { iter: __ITER }), {
    replied: (r) => r.status === 'ok' && r.response.iter === __ITER,
  });
}
