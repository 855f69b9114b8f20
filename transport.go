package phoenix

import (
	"context"
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
}

// A Conn carries frames. ReadFrame is called from one goroutine, WriteFrames
// from one goroutine at a time, and Close from any.
type Conn interface {
	// ReadFrame blocks until a frame has come. Its bytes are valid until the
	// next call. Any error means that the connection is lost; the close frame
	// of the server is a *CloseError.
	ReadFrame() (Frame, error)
	// WriteFrames sends frames in order. The bytes may be reused when it
	// returns. Any error, one of the deadline too, means that the connection is
	// lost; then the frames from number n on have certainly not left, and of
	// the others it is unknown.
	WriteFrames(frames []Frame, deadline time.Time) (n int, err error)
	// Close ends the connection, and with it ReadFrame and WriteFrames. With
	// code 0 it cuts at once; otherwise it takes leave of the server with that
	// code and reason, until ctx is done.
	Close(ctx context.Context, code int, reason string) error
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
