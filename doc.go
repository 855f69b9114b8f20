// Package phoenix is a client of [Phoenix Channels]: it joins topics of a
// Phoenix server, pushes events to them and receives what they broadcast.
//
//	socket, err := phoenix.NewSocket("wss://example.com/socket", nil)
//	if err != nil { … }
//	defer socket.Close()
//	if err := socket.Connect(ctx); err != nil { … }
//
//	room, err := socket.Channel("room:lobby", nil)
//	if err != nil { … }
//	messages := room.Messages(ctx, "shout") // before Join, to miss nothing
//	if _, err := room.Join(ctx); err != nil { … }
//
//	reply, err := room.Push(ctx, "shout", map[string]string{"body": "hello"})
//	for m, err := range messages { … }
//
// # The model
//
// A [Socket] keeps one connection to an endpoint: it sends heartbeats, notices
// when the connection is lost, and connects again with a backoff. A [Channel] is
// a topic on it. Once joined it stays joined: it is rejoined on every new
// connection, and after a crash of its process on the server. State is what is
// wanted, not what was sent: joins and leaves are never queued for a connection
// that is gone. A [Presence] keeps the list of who else has joined a topic.
//
// Events go to the server with [Channel.Push], which waits for the reply,
// [Channel.PushAsync], which does not, and [Channel.Cast], for events that the
// server does not reply to. Messages of the server come through a
// [Subscription], as a loop over [Channel.Messages], or to functions given to
// [Channel.On].
//
// # Delivery
//
// A Phoenix server delivers at most once, and keeps nothing for a client that is
// away. This client sends nothing twice, and loses nothing silently. Each push
// has exactly one outcome: a reply, or an error that tells whether it may have
// reached the server ([PushError], [SafeToRetry]). A push that was not sent when
// the connection broke waits, in order, for the channel to be rejoined; one that
// was sent fails at once. And whenever messages may be missing, what consumes
// them is told in that place: [GapError] after an outage, [DroppedError] when the
// consumer was too slow. Functions given to On are not told themselves: there is
// ChannelOptions.OnMissed, which is called in turn with them.
//
// # Contexts
//
// A ctx bounds the call that it is given to, and nothing else: Connect's does not
// end the connection. Only PushAsync, whose call is over before the push is, and
// what returns an iterator or a Go channel keep theirs. Where a ctx has no deadline, the Timeout of the
// options applies to joins (once sent), leaves and pushes, but not to Connect, nor
// to a Join that waits for the connection: those wait for ever. A call that ran
// out of time matches [ErrTimeout] and [context.DeadlineExceeded].
//
// # Concurrency
//
// All methods may be called from any goroutine. The network is read whatever the
// consumers do; queues are bounded, and their overflow is reported. Methods
// without a ctx do not block, except Close. Functions given to On, and OnMissed,
// may block and call any method; the others in the options, the hooks of a
// [Trace] and the handler of the Logger must not call back. An idle socket costs
// one goroutine, however many channels it has. Over long poll it is four: a second
// one for the request that waits, and two of net/http for its connection, and two
// more while the connection of an earlier request is kept for the next.
//
// # Errors
//
// They are values, to be told apart with [errors.Is] and [errors.As]: what
// happened wraps why. Neither their texts nor the log contain params, tokens or
// payloads, except the reason that a server gives for a refusal. The reply itself
// is a field of a [ReplyError], and of a [GapError].
//
// # Tests
//
// Package phoenixtest is a Phoenix server for tests, in memory and in virtual
// time.
//
// [Phoenix Channels]: https://hexdocs.pm/phoenix/channels.html
package phoenix
