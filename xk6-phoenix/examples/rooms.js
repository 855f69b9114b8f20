// Rooms in which everybody hears everybody: 20 users in 4 rooms, who join, shout, and
// measure how long a shout takes to each member of the room (phoenix_delivery_duration).
import { check } from 'k6';
import { Socket } from 'k6/x/phoenix';

const url = __ENV.PHX_URL || 'ws://127.0.0.1:4000/socket';
const shouts = 5;

export const options = {
  scenarios: {
    rooms: { executor: 'per-vu-iterations', vus: 20, iterations: 1, maxDuration: '30s' },
  },
  thresholds: {
    checks: ['rate==1'],
    phoenix_delivery_duration: ['p(95)<1000'],
  },
};

export default async function () {
  const socket = new Socket(url);
  await socket.connect();
  const room = socket.channel(`room:${__VU % 4}`);
  let heard = 0;
  room.on('shout', () => { heard += 1; });
  check(await room.join(), { joined: (r) => r.status === 'ok' });

  for (let n = 0; n < shouts; n += 1) {
    // The stamp says when it was sent. It works wherever the server passes the payload on.
    room.send('shout', { from: __VU, n }, { stamp: true });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const last = await room.receive('shout', { where: { from: __VU, n: shouts - 1 } });
  check(last, { 'the last shout came back': (m) => m.status === 'ok' });
  check(heard, { 'all own shouts were heard': (n) => n >= shouts });
  await socket.close();
}
