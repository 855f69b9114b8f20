// A user of its own for each VU: its token is signed here, as Phoenix.Token.sign does on
// the server. With a secret that is not the server's the connection is refused.
import { check } from 'k6';
import exec from 'k6/execution';
import { Socket, token } from 'k6/x/phoenix';

const url = __ENV.PHX_URL || 'ws://127.0.0.1:4000/socket';
// The secret_key_base of the endpoint. This one is that of the demo server.
const secret = __ENV.SECRET_KEY_BASE
  || 'a secret of the demo server, which is known to everybody, and 64 bytes long';

export const options = { vus: 10, iterations: 20, thresholds: { checks: ['rate==1'] } };

export default async function () {
  const authToken = token.sign(secret, 'user socket', { user_id: exec.vu.idInTest });
  const socket = new Socket(url, { authToken });
  await socket.connect();
  check(await socket.channel('room:lobby').join(), { 'joined as a user': (r) => r.status === 'ok' });
  await socket.close();

  const forged = token.sign(secret.split('').reverse().join(''), 'user socket', { user_id: exec.vu.idInTest });
  try {
    await new Socket(url, { authToken: forged }).connect();
    check(null, { 'a forged token is refused': () => false });
  } catch (e) {
    check(e, { 'a forged token is refused': (err) => err.status === 403 });
  }
}
