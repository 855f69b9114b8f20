// Package phoenixtest is a Phoenix Channels server for tests, in process and in
// memory.
//
// It is not a mock of a client's interfaces. It speaks real bytes over a real
// HTTP upgrade, or over long poll, and behaves as Phoenix on Bandit does, down to
// the order of frames and the close codes. A client that works against it has had
// its wire format, its timers and its reconnecting tested. Recordings of Phoenix
// 1.7.24, 1.8.9 and 1.8.12 are replayed against it; Options.Profile selects one
// of these releases. It does not import package phoenix, and serves any client.
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
//   - The application. [Server.Handle] routes topics to a [Channel]. Its
//     functions stand for join/3, handle_in/3, handle_out/3 and terminate/2, and
//     [Context.Track] for a Phoenix.Presence.
//   - The script. [Server.Script], [Server.ExpectConnect], [Conn.ExpectJoin] and
//     their siblings say what has to arrive, and answer by hand as no application
//     can: twice, late, or with a foreign ref.
//   - The faults. [Server.Down], [Server.RefuseNext], [Server.Delay], [Conn.Cut],
//     [Conn.Blackhole], [Conn.Stall] and their siblings do what networks and
//     proxies do to clients.
//   - The evidence. [Server.Frames] and [Server.Received] return what was on the
//     wire. A failing test logs all frames.
//
// # Virtual time
//
// The default network is in memory and works in a testing/synctest bubble, where
// timers of hours take no time. [Bubble] makes such a bubble. Create the client
// and its contexts inside it. A bubble cannot wait for a real socket, so use
// [TCP] only outside of one, and for benchmarks.
//
// # Concurrency
//
// Everything exported is safe for concurrent use, unless its comment says
// otherwise.
package phoenixtest
