import { Socket } from 'k6/x/phoenix';

export const options = {
  scenarios: { all: { executor: 'constant-vus', vus: 10, duration: '1m', gracefulStop: '30s' } },
};

const persistent = new Socket(__ENV.PHX_URL, { persist: true });

export default async function () {
  const socket = __VU % 2 ? persistent : new Socket(__ENV.PHX_URL);
  await socket.connect();
  const room = socket.channel(`there:${__VU}`);
  await room.join();
  room.send('there');
  await room.receive('nothing', { timeout: '1m' });
}
