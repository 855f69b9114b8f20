package phoenixtest

// Reply is what a function of a Channel returns: how the client is answered, if
// at all, and whether the channel goes on. The zero Reply is NoReply().
type Reply struct {
	status  string
	payload Payload
	err     error // of encoding the payload
	replies bool
	end     ending
}

// ending says how a channel process goes on after a callback.
type ending uint8

const (
	goesOn ending = iota
	stops
	stopsWithError
	crashes
)

// OK answers with status "ok" and the response v. Here, and wherever a payload is
// given, v may be nil, which is {}, a Payload or a json.RawMessage, which are
// sent as they are, a Binary, which is a binary frame, or anything else, which
// encoding/json encodes. A v that cannot be encoded crashes the channel. It is
// encoded at once, so you may change it afterwards.
func OK(v any) Reply { return Status("ok", v) }

// Error answers with status "error". From Join it refuses the join.
func Error(v any) Reply { return Status("error", v) }

// Status answers with any status. In Join, as in Phoenix, only "ok" and "error"
// are allowed; others crash the join.
func Status(name string, v any) Reply {
	payload, err := payloadOf(v)
	return Reply{status: name, payload: payload, err: err, replies: true}
}

// NoReply does not answer. A push that waits for a reply then times out.
func NoReply() Reply { return Reply{} }

// Stop ends the channel normally and does not reply: the client gets phx_close.
func Stop() Reply { return Reply{end: stops} }

// StopWith answers with r and then ends the channel normally: the client gets
// the reply and then phx_close.
func StopWith(r Reply) Reply {
	r.end = stops
	return r
}

// StopError ends the channel with an abnormal reason: the client gets phx_error
// and no reply.
func StopError() Reply { return Reply{end: stopsWithError} }

// Crash does what a raise in a callback does: the client gets phx_error and no
// reply, or the refusal "join crashed" if it was a join. A panic does the same.
func Crash() Reply { return Reply{end: crashes} }
