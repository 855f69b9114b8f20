import { Socket } from 'k6/x/phoenix';

export const options = { vus: 2, iterations: 60 };

export default async function () {
  await new Socket(__ENV.PHX_URL, { persist: true }).connect();
}
