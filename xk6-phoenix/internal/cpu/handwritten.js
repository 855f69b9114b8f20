// The closed model with stock k6 and frames that the script writes: what one needs at
// least for a push with a reply, its time and a heartbeat.
import { Counter, Rate, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';

const duration = new Trend('push_duration', true);
const failed = new Rate('push_failed');
const pushes = new Counter('pushes');

export const options = {
  scenarios: { users: { executor: 'per-vu-iterations', vus: Number(__ENV.USERS), iterations: 1, maxDuration: '10m' } },
};

export default function () {
  const topic = `room:${__VU}`;
  const end = Date.now() + Number(__ENV.SECONDS) * 1000;
  const pause = Number(__ENV.PAUSE_MS);
  const waiting = new Map();
  let ref = 0;

  const ws = new WebSocket(`${__ENV.PHX_URL}/websocket?vsn=2.0.0`);
  const send = (joinRef, to, event, payload) => new Promise((resolve) => {
    ref += 1;
    waiting.set(String(ref), resolve);
    ws.send(JSON.stringify([joinRef, String(ref), to, event, payload]));
  });

  ws.onmessage = (e) => {
    const [, replyRef, , event, payload] = JSON.parse(e.data);
    if (event !== 'phx_reply') return;
    const resolve = waiting.get(replyRef);
    waiting.delete(replyRef);
    if (resolve) resolve(payload);
  };
  ws.onopen = async () => {
    const beat = setInterval(() => send(null, 'phoenix', 'heartbeat', {}), 30000);
    await send('1', topic, 'phx_join', {});
    while (Date.now() < end) {
      const start = Date.now();
      const reply = await send('1', topic, 'ping', { hello: 'world' });
      duration.add(Date.now() - start);
      failed.add(reply.status !== 'ok');
      pushes.add(1);
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    }
    clearInterval(beat);
    ws.close();
  };
}
