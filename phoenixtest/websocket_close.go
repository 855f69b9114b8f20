package phoenixtest

import (
	"errors"
	"time"
)

// closed answers the client's close frame, whatever its code, with 1000 as
// Bandit does, or takes it as the answer to the server's own. A connection
// that has become a black hole ignores it.
func (w *webSocket) closed(data []byte, frames *frameReader) (code int, cause string, over bool) {
	code, reason, err := parseClose(data)
	w.conn.logClose(code, reason)
	if w.conn.mute.Load() {
		return 0, "", false
	}
	if own, ok := w.conn.closeCode(); ok {
		w.out.wait(w.dead)
		return own, "closing handshake done", true
	}
	if err != nil {
		code, cause = w.failed(err, frames)
		return code, cause, true
	}
	w.conn.closeWith(closeNormal, "", "answer to the client's close frame")
	w.out.wait(w.dead)
	return code, "closed by the client", true
}

// failed ends a connection that cannot be read on: with the closing handshake
// if the client can be told, else at once.
func (w *webSocket) failed(err error, frames *frameReader) (code int, cause string) {
	if own, ok := w.conn.closeCode(); ok {
		return own, "closing handshake not done: " + err.Error()
	}
	var fe *frameError
	switch {
	case errors.As(err, &fe):
		code = fe.code
	case errors.Is(err, errIdle):
		code = w.conn.server.profile.idleCode
	default:
		return closeAbnormal, "lost: " + err.Error()
	}
	if w.conn.mute.Load() {
		w.discard()
		return closeAbnormal, "lost in the black hole"
	}
	w.conn.closeWith(code, "", err.Error())
	w.linger(fe != nil && (fe.code == closeProtocolError || fe.code == closeTooBig), frames)
	return code, err.Error()
}

// linger waits for the client's close frame, or for it to hang up, and throws
// away what it still sends: closing with unread data makes a reset of it, which
// can overtake the close frame.
func (w *webSocket) linger(garbled bool, frames *frameReader) {
	w.out.wait(w.dead)
	if garbled {
		w.mu.Lock()
		w.closeBy = time.Now().Add(garbledTimeout)
		w.mu.Unlock()
		w.discard()
		return
	}
	for {
		op, data, err := frames.next()
		if err != nil {
			return
		}
		if op == OpClose {
			code, reason, _ := parseClose(data)
			w.conn.logClose(code, reason)
			return
		}
	}
}

// garbledTimeout is how long linger waits when it could not tell the client's
// close frame from other bytes.
const garbledTimeout = time.Second

func (w *webSocket) discard() {
	buf := make([]byte, readBuffer)
	for {
		if _, err := w.Read(buf); err != nil {
			return
		}
	}
}
