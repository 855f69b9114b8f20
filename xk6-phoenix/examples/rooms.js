// Rooms in which everybody hears everybody: 20 users in 4 rooms, who join, shout, and
// measure how long a shout takes to each member of the room (phoenix_delivery_duration).
import { check } from 'k6';
import exec from 'k6/execution';
import { Socket, token } from 'k6/x/phoenix';

const url = __ENV.PHX_URL || 'ws://127.0.0.1:4000/socket';
// Of a server that wants tokens; without it the users have none.
const secret = __ENV.SECRET_KEY_BASE;
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
  const me = exec.vu.idInTest; // unlike __VU it is unique over all processes of a test
  const authToken = secret && token.sign(secret, 'user socket', { user_id: me });
  const socket = new Socket(url, { authToken });
  await socket.connect();
  const room = socket.channel(`room:${me % 4}`);
  let heard = 0;
  room.on('shout', () => { heard += 1; });
  check(await room.join(), { joined: (r) => r.status === 'ok' });

  for (let n = 0; n < shouts; n += 1) {
    // The stamp says when it was sent. It works wherever the server passes the payload on.
    room.send('shout', { from: me, n }, { stamp: true });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const last = await room.receive('shout', { where: { from: me, n: shouts - 1 } });
  check(last, { 'the last shout came back': (m) => m.status === 'ok' });
  check(heard, { 'all own shouts were heard': (n) => n >= shouts });
  await socket.close();
}
