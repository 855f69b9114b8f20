package transport

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/phxgo/phoenix/internal/dialing"
	"github.com/phxgo/phoenix/internal/errs"
)

// A Transport opens connections to a Phoenix endpoint. The default is
// [WebSocket]. Several clients may use one Transport at the same time.
type Transport interface {
	// Dial opens a connection, which must outlive ctx. It should return soon after
	// ctx is done: a caller need not wait for it any longer, and closes a Conn that
	// comes too late. If an HTTP response refuses the connection, the error is a
	// *HandshakeError. If the request cannot be used, it is an *InputError.
	Dial(ctx context.Context, req *DialRequest) (Conn, error)
}

// A DialRequest tells a Transport what to dial. Only the URL is needed. The
// request belongs to the Transport, which may change it.
type DialRequest struct {
	// URL is the endpoint: the path of the socket on the server, such as
	// ws://localhost:4000/socket, with the params and the vsn in its query. Without
	// a vsn the server speaks protocol 1.0.0. The scheme is ws, wss, http or https.
	URL *url.URL
	// Header goes into every HTTP request. It may be nil. Traceparent and Tracestate go
	// into the one that opens the connection alone.
	Header http.Header
	// AuthToken is the auth token, which must not be in the URL. "" means none.
	AuthToken string
	// HTTPClient makes the requests. Nil: a client of the Transport's own, with the
	// proxy of the environment.
	HTTPClient *http.Client
	// MaxMessageSize is the limit in bytes of a received message. The error for a
	// larger one wraps ErrMessageTooBig. Default: 16 MiB. Negative: no limit.
	MaxMessageSize int64
	// Probe tells whether frames get through on a Conn: it sends a heartbeat and
	// waits for the reply. When ctx is done it cuts the Conn and returns. If the
	// last call of Probe during a Dial succeeds, the caller need not send another
	// heartbeat on the Conn that Dial returns. Probe skips frames that arrive before
	// the reply: a server sends none before the first join. A Transport that wraps
	// the Conns of a [Fallback] wraps the probed ones, too.
	//
	// Only Fallback calls Probe. Nil: a primary connection works once it is open.
	Probe func(ctx context.Context, c Conn) error
	// Idle reports whether no reply is awaited at the moment, so that ending the
	// connection does no harm. Only Fallback calls it, from a goroutine of its own.
	// Nil: the connection is idle when nothing was sent or received for a while.
	Idle func() bool
	// Logger gets a record when a Fallback changes transports. Nil: nothing is logged.
	Logger *slog.Logger
}

// defaultMaxMessageSize is that of a Socket.
const defaultMaxMessageSize = 16 << 20

// check makes sure that the request can be dialed.
func (req *DialRequest) check() error {
	const field = "DialRequest.URL"
	if req == nil || req.URL == nil {
		return &InputError{Field: field, Reason: "nil: set it to the endpoint, such as ws://localhost:4000/socket"}
	}
	switch req.URL.Scheme {
	case "ws", "wss", "http", "https":
	default:
		return &InputError{Field: field, Reason: "scheme " + errs.QuoteShort(req.URL.Scheme) + ": use ws, wss, http or https"}
	}
	if req.URL.Host == "" {
		return &InputError{Field: field, Reason: "no host"}
	}
	return nil
}

// readLimit returns the limit of a received message; negative for none.
func (req *DialRequest) readLimit() int64 {
	if req.MaxMessageSize == 0 {
		return defaultMaxMessageSize
	}
	return max(req.MaxMessageSize, -1)
}

// String returns the endpoint without its query and user. So do GoString and
// LogValue: nothing that prints a DialRequest shows a secret.
func (req DialRequest) String() string {
	endpoint := ""
	if req.URL != nil {
		endpoint = errs.Shorten(errs.Printable(errs.DisplayURL(req.URL)))
	}
	return "transport.DialRequest{" + endpoint + "}"
}

// GoString returns what String does.
func (req DialRequest) GoString() string { return req.String() }

// LogValue returns what String does.
func (req DialRequest) LogValue() slog.Value { return slog.StringValue(req.String()) }

// secrets returns what the request tells a server.
func (req *DialRequest) secrets() *errs.Secrets {
	return errs.SecretsOf(req.URL, req.Header, req.AuthToken, req.HTTPClient)
}

// tells returns that too, and lets whoever dials with ctx take note of it: a
// Transport of the user's may have added to the request.
func (req *DialRequest) tells(ctx context.Context) *errs.Secrets {
	told := req.secrets()
	dialing.Tell(ctx, told)
	return told
}

// log logs a record if there is a logger.
func (req *DialRequest) log(level slog.Level, msg string, attrs ...slog.Attr) {
	if req.Logger != nil {
		req.Logger.LogAttrs(context.Background(), level, msg, attrs...) //nolint:sloglint // msg is a constant of each caller
	}
}

// A Frame is one message of a transport. With WebSocket it is a text or binary
// message.
type Frame struct {
	Data   []byte
	Binary bool
}

// A Conn carries frames. Call ReadFrame from one goroutine, WriteFrames from one
// goroutine at a time, and Close from any goroutine.
//
// A Conn may implement optional interfaces: [SoftWriter], [BatchReader],
// [BatchLimiter], [Rester], [Heartbeater] and [FrameChecker]. A Socket asks only the Conn that Dial returns,
// never a Conn inside it. So a Conn that wraps another one by embedding the
// interface Conn sees every frame and has none of the optional methods. It works,
// but it is slower. Around a Conn of [LongPoll] it also costs heartbeats, and a
// frame that is too big ends the connection. To avoid that, the wrapper implements
// the optional methods and forwards them.
type Conn interface {
	// ReadFrame blocks until a frame arrives. The bytes of the frame are valid
	// until the next call. Any error means that the connection is lost. The close
	// frame of the server is a *CloseError.
	ReadFrame() (Frame, error)
	// WriteFrames sends frames in order. The caller may reuse the bytes when it
	// returns. Any error means that the connection is lost, even an error of the
	// deadline. Then the frames from number n on have certainly not left, or were
	// certainly not handled; for the frames before it is unknown. The zero deadline
	// means none. A Conn that bounds its writes in another way may ignore it.
	WriteFrames(frames []Frame, deadline time.Time) (n int, err error)
	// Close ends the connection, and with it ReadFrame and WriteFrames: these return
	// soon, and a client opens no other connection before. With code 0 it cuts the
	// connection at once. Otherwise it performs a closing handshake with that code
	// and reason, until ctx is done. What a Conn of this package then returns wraps
	// net.ErrClosed, or is the close frame with which the server answers.
	Close(ctx context.Context, code int, reason string) error
}

// closeTime bounds a closing handshake, whatever the ctx.
const closeTime = 10 * time.Second

// A SoftWriter is a [Conn] to which a frame can be written on the goroutine of
// whoever sends it, without a hand-over, if nobody else writes. A peer that does not
// read must not keep the caller.
type SoftWriter interface {
	// WriteSoft sends a frame, and waits for the network for about a millisecond at
	// most. The bytes may be reused when it returns. If done is false, the Conn
	// keeps what has not left, and the next call, of WriteFrames, perhaps without
	// frames, goes on with it. Any error means that the connection is lost; left
	// then says whether any of the frame may have left. WriteSoft and WriteFrames
	// are never called at the same time.
	WriteSoft(frame Frame) (done, left bool, err error)
}

// A BatchReader is a [Conn] that can return several frames at once. A Socket then
// wakes a consumer once for all of them.
type BatchReader interface {
	// ReadFrames blocks until a frame arrives. It appends that frame to frames, and
	// others that came with it, most in all. Their bytes are valid until the next
	// call of ReadFrames or ReadFrame. With an error it appends nothing, and the
	// connection is lost, as with ReadFrame.
	ReadFrames(frames []Frame, most int) ([]Frame, error)
}

// readFrames returns what a Conn can return at once.
func readFrames(c Conn, frames []Frame, most int) ([]Frame, error) {
	if batch, ok := c.(BatchReader); ok {
		return batch.ReadFrames(frames, most)
	}
	f, err := c.ReadFrame()
	if err != nil {
		return frames, err
	}
	return append(frames, f), nil
}

// A BatchLimiter is a [Conn] that gets at most MaxBatch frames at a time. The
// caller keeps what is more than that, and can still take it back. A Socket asks
// once, before the first frame. Without this method, or if MaxBatch is not above 0,
// it passes up to 1024 frames.
type BatchLimiter interface {
	MaxBatch() int
}

// A Heartbeater is a [Conn] that says whether it needs heartbeats. If it returns
// false, it must notice by itself when the connection is lost. A Socket asks once,
// before the first frame. Then it is open as soon as Dial returns, and sends no
// heartbeats, except for one after the machine was suspended. A Conn without this
// method needs heartbeats. A Conn of [LongPoll] needs none.
type Heartbeater interface {
	NeedsHeartbeat() bool
}

// A FrameChecker is a [Conn] that cannot carry every frame. Call CheckFrame before
// a frame is written, perhaps while Close or ReadFrame runs. A Socket does not send a
// frame for which it returns an error, and only the message of that frame fails.
// CheckFrame must not block, and must not keep the bytes.
type FrameChecker interface {
	CheckFrame(f Frame) error
}

// A Rester is a [Conn] that can give memory back. Rest is called when nothing is in
// flight and nothing is written, perhaps at the same time as ReadFrame and Close. It
// must not block: nothing is written before it returns.
type Rester interface {
	Rest()
}

// keepBuffer is the size up to which a buffer is kept for the next message.
const keepBuffer = 64 << 10
