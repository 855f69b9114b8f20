// Package phoenixtest is a Phoenix Channels server for tests, in process and
// in memory.
//
// It is not a mock of a client's interfaces: it speaks real bytes over a real
// HTTP upgrade, or long polling, and behaves as Phoenix on Bandit does, down to
// the order of frames and the close codes, so a client that works against it has
// had its wire format, its timers and its reconnecting exercised. Recordings of
// Phoenix 1.7.24, 1.8.9 and 1.8.12 are replayed against it; Options.Profile
// chooses among them. It knows nothing of package phoenix and serves any client.
//
//	s := phoenixtest.NewServer(t, nil)
//	s.Handle("room:*", phoenixtest.Channel{
//		Events: phoenixtest.Events{
//			"echo": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
//				return phoenixtest.OK(p)
//			},
//		},
//	})
//	// dial s.URL() with s.HTTPClient()
//
// A server has four sides:
//
//   - The application: [Server.Handle] routes topics to a [Channel], whose
//     functions stand for join/3, handle_in/3, handle_out/3 and terminate/2,
//     and [Context.Track] for a Phoenix.Presence.
//   - The script: [Server.Script], [Server.ExpectConnect], [Conn.ExpectJoin] and
//     the others say what has to come, and do by hand what an application
//     cannot, such as answering twice, late, or with a foreign ref.
//   - The faults: [Server.Down], [Server.RefuseNext], [Server.Delay],
//     [Conn.Cut], [Conn.Blackhole], [Conn.Stall] and the others, each of which is
//     something that a network or a proxy does to a client sooner or later.
//   - The evidence: [Server.Frames] and [Server.Received]. A failing test gets
//     the log of all frames without asking.
//
// # Virtual time
//
// The in-memory network, which is the default, works inside a testing/synctest
// bubble, which [Bubble] makes: create the client and its contexts in the bubble
// too, and timers of hours cost nothing. A real socket cannot be waited for in a bubble,
// so [TCP] is for tests outside of one and for benchmarks.
//
// # Concurrency
//
// Everything exported is safe for concurrent use, unless it says otherwise.
package phoenixtest
