package phoenixtest

import "net/http"

// Profile is a release of Phoenix that a Server behaves as, where releases differ
// on the wire.
type Profile string

const (
	// Phoenix1724 is the last release of 1.7. It has no auth token, delivers
	// messages with a stale join_ref and closes with 1000 on a disconnect.
	Phoenix1724 Profile = "1.7.24"
	// Phoenix189 stands for 1.8.3 to 1.8.11, which silently drop messages with a
	// null join_ref. (From 1.8.10 on phx_error has a reason, as in 1.8.12.)
	Phoenix189 Profile = "1.8.9"
	// Phoenix1812 delivers a null join_ref and says why a channel crashed.
	// It is the default.
	Phoenix1812 Profile = "1.8.12"
)

// profile is what differs on the wire between releases of Phoenix and of the
// web server under it.
type profile struct {
	// crashPayload is the payload of phx_error.
	crashPayload Payload
	// disconnectCode closes the connections of a socket id.
	disconnectCode int
	// idleCode closes a connection from which nothing came.
	idleCode int
	// delivers reports whether a message reaches a channel that was joined
	// with joinRef, leaves the same for phx_leave; what does not is dropped
	// silently.
	delivers, leaves func(m *inbound, joinRef Ref) bool
	// authToken says that the mount option auth_token exists.
	authToken bool
	// pollTokenHeader says that a long-poll token may come in a header.
	pollTokenHeader bool
	// cacheControl is that header of long-poll answers.
	cacheControl string
	// listVsn answers a vsn that is a list.
	listVsn int
}

// profileOf returns false for a release that there is no profile of.
func profileOf(name Profile) (profile, bool) {
	p := profile{
		crashPayload:   JSON(`{"reason":"channel_crash"}`),
		disconnectCode: closeGoingAway,
		idleCode:       closeProtocolError,
		delivers:       nullOrSame,
		leaves:         nullOrSame,
		authToken:      true,
		listVsn:        http.StatusForbidden,

		pollTokenHeader: true,
		cacheControl:    "no-store",
	}
	if name != Phoenix1812 {
		p.pollTokenHeader = false
		p.cacheControl = cacheControl
	}
	switch name {
	case Phoenix1812:
	case Phoenix189:
		p.crashPayload = Payload{}
		p.delivers, p.leaves = sameOrJoinedWithNull, sameOrJoinedWithNull
	case Phoenix1724:
		p.crashPayload = Payload{}
		p.disconnectCode = closeNormal
		p.delivers = func(*inbound, Ref) bool { return true }
		p.leaves = sameOrJoinedWithNull
		p.authToken = false
		p.listVsn = http.StatusInternalServerError
	default:
		return p, false
	}
	return p, true
}

func nullOrSame(m *inbound, joinRef Ref) bool { return m.JoinRef == "" || m.JoinRef == joinRef }

func sameOrJoinedWithNull(m *inbound, joinRef Ref) bool { return joinRef == "" || m.JoinRef == joinRef }
