// Package transport carries frames between a client and a Phoenix endpoint: over a
// WebSocket, by long poll, or by whichever of the two gets through.
//
// It knows nothing of sockets, channels, events and serializers. Most programs use it
// through a Socket of package phoenix, which keeps heartbeats and reconnects. Use it
// alone to speak the protocol by hand, or to write a [Transport] of your own:
//
//	conn, err := transport.WebSocket(nil).Dial(ctx, &transport.DialRequest{URL: endpoint})
//
// The endpoint is that of the socket on the server, such as
// ws://localhost:4000/socket, with the params and the vsn in its query. What travels
// in the frames is up to the caller.
package transport
