import { Socket } from 'k6/x/phoenix';

export const options = {
  scenarios: { all: { executor: 'constant-vus', vus: 3, duration: '1s', gracefulStop: '100ms' } },
};

export default async function () {
  await new Socket(__ENV.PHX_URL).connect();
}
