import { Socket } from 'k6/x/phoenix';

export const options = {
  scenarios: { all: { executor: 'per-vu-iterations', vus: 20, iterations: 3 } },
};

const socket = new Socket(__ENV.PHX_URL, { persist: true, heartbeatInterval: 1, stamp: true });

export default async function () {
  await socket.connect();
  const room = socket.channel('room:1');
  room.on('shout', () => {});
  await room.join();
  room.send('shout', { n: __ITER });
  await room.push('ping');
}
