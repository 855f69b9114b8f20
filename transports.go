package phoenix

import "github.com/phxgo/phoenix/transport"

// What carries the frames is package transport, which can be used without a Socket.
// These are the names that a user of sockets needs.

type (
	// A Transport opens connections to a Phoenix endpoint: [WebSocket], [LongPoll],
	// [Fallback], or one of your own. See [transport.Transport].
	Transport = transport.Transport
	// A DialRequest tells a Transport what to dial. See [transport.DialRequest].
	DialRequest = transport.DialRequest
	// A Conn carries frames. See [transport.Conn].
	Conn = transport.Conn
	// A Frame is one message of a Transport: its bytes, Data, and whether they are
	// those of a Binary message.
	Frame = transport.Frame

	// WebSocketOptions are the options of [WebSocket]: the path, and compression. See
	// [transport.WebSocketOptions].
	WebSocketOptions = transport.WebSocketOptions
	// LongPollOptions are the options of [LongPoll]: the path, and how long a request
	// may go without a sign of life. See [transport.LongPollOptions].
	LongPollOptions = transport.LongPollOptions
	// FallbackOptions are the options of [Fallback]: how long the first transport may
	// take, and how long its failure is remembered. See [transport.FallbackOptions].
	FallbackOptions = transport.FallbackOptions
)

// WebSocket returns the default transport. See [transport.WebSocket].
func WebSocket(opts *WebSocketOptions) Transport { return transport.WebSocket(opts) }

// LongPoll returns the transport for networks that let no WebSocket pass. See
// [transport.LongPoll].
func LongPoll(opts *LongPollOptions) Transport { return transport.LongPoll(opts) }

// Fallback returns a transport that uses primary where that works, and secondary
// where it does not. Those default to WebSocket and LongPoll. See
// [transport.Fallback].
func Fallback(primary, secondary Transport, opts *FallbackOptions) Transport {
	return transport.Fallback(primary, secondary, opts)
}

type (
	// A HandshakeError is an HTTP response, of the server or of a proxy, that refused
	// the connection. It has URL, Proxy, StatusCode, Header, Body and Err, none of
	// which holds a secret. See [transport.HandshakeError].
	HandshakeError = transport.HandshakeError
	// A CloseError is the close frame with which the server ended a WebSocket: its
	// Code and Reason. See [transport.CloseError].
	CloseError = transport.CloseError
	// A PollError is a response that ended a long-poll session. It has Method,
	// StatusCode, Header, Body and Err. See [transport.PollError].
	PollError = transport.PollError
	// An InputError reports an argument or an option that cannot be used: its Field,
	// such as "SocketOptions.Timeout", the Reason, and perhaps the cause, Err. Nothing
	// was sent and nothing was changed. See [transport.InputError].
	InputError = transport.InputError
)
