import { Socket } from 'k6/x/phoenix';

export const options = {
  thresholds: {
    'phoenix_push_failed{event:error}': ['rate<0.5'],
    'phoenix_push_duration{topic:room:*}': ['min>60000'],
    phoenix_join_failed: ['rate<0.5'],
  },
};

export default async function () {
  const socket = new Socket(__ENV.PHX_URL);
  await socket.connect();
  await socket.channel('private:1').join();
  const room = socket.channel('room:1');
  await room.join();
  await room.push('error');
  await room.push('ping');
  await socket.close();
}
