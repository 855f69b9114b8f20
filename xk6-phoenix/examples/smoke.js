// The whole API in one iteration. Every outcome is a value that check() takes.
import { check } from 'k6';
import { Socket } from 'k6/x/phoenix';

const url = __ENV.PHX_URL || 'ws://127.0.0.1:4000/socket';

export const options = {
  vus: 5,
  iterations: 10,
  thresholds: {
    checks: ['rate==1'],
    phoenix_join_duration: ['p(95)<1000'],
    'phoenix_push_failed{event:ping}': ['rate==0'],
  },
};

export default async function () {
  const socket = new Socket(url, { params: { client: 'k6' }, timeout: '5s' });
  await socket.connect();

  // Joining: the reply is a value, also if the server refuses.
  const secret = await socket.channel('private:vault').join();
  check(secret, {
    'a refused join': (r) => r.status === 'error' && r.response?.reason === 'unauthorized',
  });
  const room = socket.channel(`room:smoke-${__VU}-${__ITER}`);
  check(await room.join(), { joined: (r) => r.status === 'ok' });

  // Pushing, one after the other and several at a time.
  const pong = await room.push('ping', { n: 42 });
  check(pong, { 'a reply': (r) => r.status === 'ok' && r.response.n === 42 && r.duration > 0 });
  const three = await Promise.all([1, 2, 3].map((n) => room.push('ping', { n })));
  check(three, { 'three replies': (all) => all.every((r, i) => r.response?.n === i + 1) });
  check(await room.push('error'), { 'an error is a value': (r) => r.status === 'error' });

  // Binary both ways.
  const echoed = await room.push('echo', new Uint8Array([1, 2, 255]).buffer);
  check(echoed, { 'a binary push': (r) => r.status === 'ok' && new Uint8Array(r.response)[2] === 255 });

  // Receiving: a handler for every message, or a promise of one.
  const heard = [];
  room.on('shout', (payload) => heard.push(payload.id));
  room.send('shout', { id: 1 });
  room.send('shout', { id: 2, more: true });
  const shout = await room.receive('shout', { where: { id: 2 } });
  check(shout, { 'a broadcast': (m) => m.status === 'ok' && m.payload.more });
  check(heard, { 'the handler heard both': (h) => h.join() === '1,2' });
  const nothing = await room.receive('silence', { timeout: '50ms' });
  check(nothing, { 'a timeout is a value': (m) => m.status === 'timeout' });

  check(await room.leave(), { left: (r) => r.status === 'ok' });
  await socket.close();
}
