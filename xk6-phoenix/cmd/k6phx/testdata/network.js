import { Socket } from 'k6/x/phoenix';

const host = __ENV.TARGET.split('/')[2].split(':')[0];

export const options = {
  hosts: __ENV.HOSTS ? { [host]: __ENV.HOSTS } : {},
  tlsVersion: __ENV.TLS ? { min: __ENV.TLS, max: __ENV.TLS } : undefined,
};

export default async function () {
  const socket = new Socket(__ENV.TARGET, { timeout: '5s' });
  try {
    await socket.connect();
    console.log('connected');
    await socket.close();
  } catch (e) {
    console.log(`failed: ${e.message}`);
  }
}
