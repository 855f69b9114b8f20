// The closed model with the extension.
import { Socket } from 'k6/x/phoenix';

export const options = {
  scenarios: { users: { executor: 'per-vu-iterations', vus: Number(__ENV.USERS), iterations: 1, maxDuration: '10m' } },
};

export default async function () {
  const end = Date.now() + Number(__ENV.SECONDS) * 1000;
  const pause = Number(__ENV.PAUSE_MS);
  const socket = new Socket(__ENV.PHX_URL);
  await socket.connect();
  const room = socket.channel(`room:${__VU}`);
  await room.join();
  while (Date.now() < end) {
    await room.push('ping', { hello: 'world' });
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
  }
  await socket.close();
}
