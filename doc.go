// Package phoenix is a client for [Phoenix Channels]. It connects to a Phoenix
// server, joins topics, pushes events and receives what the server broadcasts.
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
//	reply, err := room.Push(ctx, "ping", map[string]string{"body": "hello"})
//	for m, err := range messages { … }
//
// # The model
//
// A [Socket] keeps one connection to an endpoint. It sends heartbeats, notices
// when the connection is lost, and reconnects with a backoff. A [Channel] is a
// topic on a socket. Once joined it stays joined: it rejoins on every new
// connection, and after its process on the server has crashed. A join or leave is
// never queued for a connection that is gone: the channel knows whether it should
// be joined, and acts on the next connection. A [Presence] keeps the list of who
// is present in a topic.
//
// To send an event, call [Channel.Push], which waits for the reply,
// [Channel.PushAsync], which does not wait, or [Channel.Cast], if the server does
// not reply to the event. To receive messages, loop over [Channel.Messages], read
// a [Subscription], or give a function to [Channel.On].
//
// # Delivery
//
// A Phoenix server delivers at most once and does not store messages for offline
// clients. This client never sends a push twice and never loses anything
// silently.
//
// Each push has exactly one outcome: a reply, or an error that says whether the
// push may have reached the server ([PushError], [SafeToRetry]). If the
// connection breaks, a push that was not sent yet waits, in order, until the
// channel has rejoined. A push that was sent fails at once.
//
// Where messages may be missing, the consumer gets an error in their place: a
// [GapError] after an outage, a [DroppedError] if the consumer was too slow.
// Functions given to On get messages only. For them there is
// ChannelOptions.OnMissed, which is called in turn with them.
//
// # Contexts
//
// A ctx bounds the call that takes it, and nothing else: the ctx of Connect does
// not end the connection. Two kinds of calls keep their ctx: PushAsync, until the
// push has its outcome, and calls that return an iterator or a Go channel, until
// that ends.
//
// Without a deadline in ctx, the Timeout of the options bounds pushes, leaves,
// and joins once they are sent. It does not bound Connect, or a Join that waits
// for the connection: these wait until they succeed or ctx ends. The error of a
// call that ran out of time matches both ErrTimeout and context.DeadlineExceeded.
//
// # Concurrency
//
// All methods are safe for concurrent use. Consumers never stop the socket from
// reading the network: queues are bounded, and an overflow is reported. Methods
// without a ctx do not block, except Close, which takes 50 ms at most.
//
// Functions given to On, and OnMissed, may block and may call any method. All
// other functions in the options, the hooks of a Trace and the handler of the
// Logger must not call methods of the socket or of its channels.
//
// An idle socket costs one goroutine, however many channels it has. Over long
// poll it costs four: one more for the request that waits, and two of net/http
// for its connection. Two more run while net/http keeps the connection of an
// earlier request.
//
// # Errors
//
// Errors are values: match them with errors.Is and errors.As. An error that says
// what happened wraps the error that says why. Error texts and the log never
// contain params, tokens or payloads, except the reason that a server gives for a
// refusal. The whole reply is a field of [ReplyError] and [GapError].
//
// # Tests
//
// Package phoenixtest is a Phoenix server for tests, in memory and in virtual
// time.
//
// [Phoenix Channels]: https://hexdocs.pm/phoenix/channels.html
package phoenix
