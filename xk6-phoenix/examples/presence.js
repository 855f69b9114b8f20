// Ten users meet in one room, and each waits until it sees all of them.
import { check } from 'k6';
import exec from 'k6/execution';
import { Socket } from 'k6/x/phoenix';

const url = __ENV.PHX_URL || 'ws://127.0.0.1:4000/socket';
const users = 10;

export const options = {
  scenarios: { meet: { executor: 'per-vu-iterations', vus: users, iterations: 1, maxDuration: '30s' } },
  thresholds: { checks: ['rate==1'] },
};

export default async function () {
  const name = `user-${exec.vu.idInTest}`;
  const socket = new Socket(url);
  await socket.connect();
  const room = socket.channel('room:meeting', { name });
  const presence = room.presence(); // before the join, which brings the list
  check(await room.join(), { joined: (r) => r.status === 'ok' });
  check(await presence.synced(), { 'the list is there': (r) => r.status === 'ok' });
  check(presence.get(name), { 'who sees itself': (e) => e !== null && e.metas.length === 1 });

  while (presence.count() < users) {
    const diff = await room.receive('presence_diff');
    if (diff.status !== 'ok') break;
  }
  check(presence.list(), { 'all are there': (list) => list.length === users });

  // Nobody leaves before all have seen all.
  room.send('shout', { seen: name });
  for (let n = 0; n < users; n += 1) await room.receive('shout');
  await socket.close();
}
