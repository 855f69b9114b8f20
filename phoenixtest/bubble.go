package phoenixtest

import (
	"testing"
	"testing/synctest"
)

// Bubble runs fn as a test in virtual time, with a server of its own: in a
// bubble of testing/synctest, where timers of hours cost nothing and a test that
// measures time can be exact. Inside, t is the bubble's; the server is in memory
// and is closed when fn returns, before the bubble ends. What else fn starts has
// to have ended by then, the connections of its clients included.
//
// It ends the test if the options are wrong, or name another network than
// [InMemory].
func Bubble(t *testing.T, opts *Options, fn func(t *testing.T, s *Server)) {
	t.Helper()
	if opts != nil && opts.Network != InMemory {
		t.Fatal("phoenixtest: Options.Network: a bubble needs the network in memory")
	}
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		fn(t, NewServer(t, opts))
	})
}
