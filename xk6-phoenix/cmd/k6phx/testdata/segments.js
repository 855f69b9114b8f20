import { Socket } from 'k6/x/phoenix';

export const options = {
  scenarios: { pushes: { executor: 'per-vu-iterations', vus: 10, iterations: 20 } },
  thresholds: { phoenix_push_failed: ['rate==0'] },
};

const socket = new Socket(__ENV.PHX_URL, { persist: true });

export default async function () {
  await socket.connect();
  const room = socket.channel('room:1');
  await room.join();
  await room.push('ping');
}
