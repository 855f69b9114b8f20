package phoenix

import (
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// newPolicy makes a policy with the user's factory, or the default one, whose
// delays begin with first.
func newPolicy(factory func() backoff.BackOff, first time.Duration) backoff.BackOff {
	if factory != nil {
		return factory()
	}
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first),
		backoff.WithMaxInterval(maxBackoff),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.5),
		backoff.WithMaxElapsedTime(0), // its own default gives up after 15 minutes
	)
}

// minDelay is the shortest delay: with none at all, a client whose attempts fail
// at once would do nothing else.
const minDelay = time.Millisecond

// Steps returns a policy for ReconnectBackoff or RejoinBackoff that waits for
// each of the delays in turn, and then for the last one again and again. Without
// any delay it makes no second attempt. It has no jitter. phoenix.js reconnects
// after 10, 50, 100, 150, 200, 250, 500, 1000, 2000 and then 5000 ms, and rejoins
// after 1, 2, 5 and then 10 s.
func Steps(delays ...time.Duration) func() backoff.BackOff {
	delays = slices.Clone(delays)
	return func() backoff.BackOff { return &steps{delays: delays} }
}

type steps struct {
	delays []time.Duration
	next   int
}

func (b *steps) NextBackOff() time.Duration {
	if len(b.delays) == 0 {
		return backoff.Stop
	}
	d := b.delays[b.next]
	b.next = min(b.next+1, len(b.delays)-1)
	return d
}

func (b *steps) Reset() { b.next = 0 }
