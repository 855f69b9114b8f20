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
	// Dial opens a connection, which must not depend on ctx. It should return
	// soon after ctx is done: the socket does not wait for it, and closes a Conn
	// that comes too late, but Done waits.
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
	// skipped: before the first join a server sends none. It may be nil. A
	// Transport that wraps the Conns of a [Fallback] wraps those that are probed too.
	Probe func(ctx context.Context, c Conn) error
	// Idle reports whether the socket awaits no reply at the moment, so that a
	// connection could be ended without harm. It may be nil.
	Idle func() bool
	// Logger is the socket's, or nil.
	Logger *slog.Logger

	crew *crew          // the socket's, or nil
	tell func(*secrets) // notes what the server is told, or nil
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
// A Conn can have more methods: those of [SoftWriter], [BatchLimiter],
// [Heartbeater] and [FrameChecker]. The socket looks for them in the Conn that
// Dial returns, and in no Conn beneath it. So a Conn that wraps another by
// embedding the interface Conn sees every frame, and has none of these methods.
// It works, but it is slower, and over [LongPoll] it costs heartbeats, and a frame
// that is too big ends the connection. A wrapper gets them back if it has these
// methods itself, and forwards them to the Conn that it wraps.
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
	// Close ends the connection, and with it ReadFrame and WriteFrames: the socket
	// makes no other connection before they have returned. With
	// code 0 it cuts at once; otherwise it takes leave of the server with that
	// code and reason, until ctx is done.
	Close(ctx context.Context, code int, reason string) error
}

// A SoftWriter is a [Conn] to which a push can write on its caller's goroutine,
// without a hand-over, if nobody else writes. A peer that does not read must not
// keep the caller.
type SoftWriter interface {
	// WriteSoft sends a frame, and waits for the network for about a millisecond at
	// most. The bytes may be reused when it returns. If done is false, the Conn
	// keeps what has not left, and the next call, of WriteFrames, perhaps without
	// frames, goes on with it. Any error means that the connection is lost; left
	// then says whether any of the frame may have left. WriteSoft and WriteFrames
	// are never called at the same time.
	WriteSoft(frame Frame) (done, left bool, err error)
}

// A BatchLimiter is a [Conn] to which a socket gives no more than MaxBatch frames at
// a time. More wait in the socket, where they can still be taken back. Without it,
// or if MaxBatch is not above 0, the socket gives up to 1024. It is asked once,
// before the first frame.
type BatchLimiter interface {
	MaxBatch() int
}

// A Heartbeater is a [Conn] that says whether it needs heartbeats. With false it
// notices by itself when it is lost: the socket takes it for open as soon as it is
// dialed, and sends no heartbeats, but for one after the machine was suspended. A Conn without this method needs them. It is
// asked once, before the first frame. A [Conn] of [LongPoll] needs none.
type Heartbeater interface {
	NeedsHeartbeat() bool
}

// A FrameChecker is a [Conn] that cannot carry every frame. CheckFrame is called
// before a frame is written, perhaps at the same time as Close and ReadFrame. With
// an error the frame is not sent, and only its message fails. It must not keep the
// bytes or block.
type FrameChecker interface {
	CheckFrame(f Frame) error
}

func needsHeartbeat(c Conn) bool {
	h, ok := c.(Heartbeater)
	return !ok || h.NeedsHeartbeat()
}

func maxBatch(c Conn) int {
	if l, ok := c.(BatchLimiter); ok {
		if n := l.MaxBatch(); n > 0 {
			return min(n, batchCalls)
		}
	}
	return batchCalls
}

func checkFrame(c Conn, f Frame) error {
	if checker, ok := c.(FrameChecker); ok {
		return checker.CheckFrame(f)
	}
	return nil
}
