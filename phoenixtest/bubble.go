package phoenixtest

import (
	"testing"
	"testing/synctest"
)

// Bubble runs fn as a test in virtual time, in a bubble of testing/synctest, with
// a server of its own. Timers of hours take no time there, and a test can measure
// time exactly. Inside fn, t is the t of the bubble. The server is in memory, and
// is closed when fn returns. Everything else that fn starts must have ended by
// then, including the connections of its clients.
//
// Bubble fails the test at once if the options are wrong, or if they name a
// network other than InMemory.
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
