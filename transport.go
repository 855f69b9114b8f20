package phoenix

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// A Transport opens connections to a Phoenix endpoint. [WebSocket] returns the
// default one. A Transport may be used by several sockets at once.
type Transport interface {
	// Dial opens a connection. It must return soon after ctx is done, because
	// Close waits for it, and a Conn that it returned must not depend on ctx.
	// An HTTP answer that refuses the connection is a *HandshakeError.
	Dial(ctx context.Context, req *DialRequest) (Conn, error)
}

// A DialRequest is what a Transport needs to know. It belongs to the Transport,
// which may change it.
type DialRequest struct {
	// URL is the endpoint as it was given to NewSocket, with the params and the
	// vsn in its query. Its scheme is one of ws, wss, http, https.
	URL *url.URL
	// Header goes into every HTTP request.
	Header http.Header
	// AuthToken is the token that travels outside of the URL; "" for none.
	AuthToken string
	// HTTPClient is the user's, or nil.
	HTTPClient *http.Client
	// MaxMessageSize is the limit of a received message in bytes; a larger one
	// is an error that wraps ErrMessageTooBig.
	MaxMessageSize int64
	// Probe sends a heartbeat on a Conn and waits for its reply, to tell whether
	// frames get through; when ctx is done it cuts the Conn and returns. If the
	// last call during a Dial succeeded, the Conn that Dial returns is open at
	// once, without another heartbeat. Frames that come before the reply are
	// skipped: before the first join a server sends none. It may be nil.
	Probe func(ctx context.Context, c Conn) error
	// Idle reports whether the socket awaits no reply at the moment, so that a
	// connection could be ended without harm. It may be nil.
	Idle func() bool
	// Logger is the socket's, or nil.
	Logger *slog.Logger
}

// log logs a record if there is a logger.
func (req *DialRequest) log(level slog.Level, msg string, attrs ...slog.Attr) {
	if req.Logger != nil {
		req.Logger.LogAttrs(context.Background(), level, msg, attrs...) //nolint:sloglint // msg is a constant of each caller
	}
}

// A Conn carries frames. ReadFrame is called from one goroutine, WriteFrames
// from one goroutine at a time, and Close from any.
//
// A Conn may have methods more. A socket also looks for them in the Conn that a
// method Unwrap() Conn returns, and so on, so that one Conn can wrap another:
//
//   - NeedsHeartbeat() bool: false says that the Conn notices by itself when it is
//     lost. The socket then takes it for open as soon as it was dialed, and sends
//     no heartbeats.
//   - CheckFrame(f Frame) error: called before WriteFrames, perhaps at the same
//     time as a Close. With an error f is not sent, which fails that message only.
type Conn interface {
	// ReadFrame blocks until a frame has come. Its bytes are valid until the
	// next call. Any error means that the connection is lost; the close frame
	// of the server is a *CloseError.
	ReadFrame() (Frame, error)
	// WriteFrames sends frames in order. The bytes may be reused when it
	// returns. Any error, one of the deadline too, means that the connection is
	// lost; then the frames from number n on have certainly not left, or were
	// certainly not handled, and of the others it is unknown. A Conn that has
	// another notion of how long a write may take need not heed the deadline.
	WriteFrames(frames []Frame, deadline time.Time) (n int, err error)
	// Close ends the connection, and with it ReadFrame and WriteFrames. With
	// code 0 it cuts at once; otherwise it takes leave of the server with that
	// code and reason, until ctx is done.
	Close(ctx context.Context, code int, reason string) error
}

// connAs returns the Conn, or the one that it wraps, that is a T.
func connAs[T any](c Conn) (t T, ok bool) {
	for c != nil {
		if t, ok := c.(T); ok {
			return t, true
		}
		w, ok := c.(interface{ Unwrap() Conn })
		if !ok {
			break
		}
		c = w.Unwrap()
	}
	return t, false
}

// needsHeartbeat reports whether a Conn leaves it to the socket to notice its
// loss.
func needsHeartbeat(c Conn) bool {
	h, ok := connAs[interface{ NeedsHeartbeat() bool }](c)
	return !ok || h.NeedsHeartbeat()
}

// A frameChecker is a Conn that cannot carry every frame.
type frameChecker interface {
	CheckFrame(f Frame) error
}

// A batcher is a Conn for which the writer should take no more than so many
// frames at a time, because the others would have to wait all the same.
type batcher interface {
	maxBatch() int
}

// A softWriter is a Conn that can take frames without being stopped by a peer
// that does not read: what does not get away within about a millisecond stays
// with the Conn, and the next WriteFrames, even one without frames, goes on
// with it.
type softWriter interface {
	// left says whether any of the frame may have left; with an error it tells
	// what became of it.
	writeSoft(frame Frame) (done, left bool, err error)
}
