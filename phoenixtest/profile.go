package phoenixtest

// profile is what differs on the wire between releases of Phoenix and of the
// web server under it.
type profile struct {
	// crashPayload is the payload of phx_error.
	crashPayload Payload
	// disconnectCode closes the connections of a socket id.
	disconnectCode int
	// idleCode closes a connection from which nothing came.
	idleCode int
	// delivers reports whether a message, a leave included, reaches a channel
	// that was joined with this join_ref; what does not is dropped silently.
	delivers func(m *inbound, joinRef Ref) bool
}

// phoenix1812 is Phoenix 1.8.12 on Bandit 1.12.
func phoenix1812() profile {
	return profile{
		crashPayload:   JSON(`{"reason":"channel_crash"}`),
		disconnectCode: closeGoingAway,
		idleCode:       closeProtocolError,
		delivers: func(m *inbound, joinRef Ref) bool {
			return m.JoinRef == "" || m.JoinRef == joinRef
		},
	}
}
