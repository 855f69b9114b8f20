package transport

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/phxgo/phoenix/internal/errs"
)

// WebSocketOptions are the options of [WebSocket]. The zero value is usable.
type WebSocketOptions struct {
	// Path is appended to the path of the endpoint, unless that already ends with
	// it. If the endpoint ends with "/longpoll", Path replaces that. Set it if the
	// server uses another path (the :path option of its websocket
	// transport). Default: "/websocket".
	Path string

	// Compression offers the server to compress messages (permessage-deflate, RFC
	// 7692). A server with compress: true on its websocket transport accepts; with
	// others the connection works without. MaxMessageSize bounds the inflated
	// message. Default: CompressionOff.
	Compression CompressionMode

	// CompressFrom is the size in bytes from which messages to the server are
	// compressed, if the server has accepted Compression. With the default, 0,
	// only the server compresses. Before you set it, note that Bandit closes the
	// connection with code 1009 if a message inflates to 32 KiB or more and to
	// more than 25 times its compressed size, as a long run of one byte does.
	CompressFrom int

	_ struct{}
}

// A CompressionMode says how the messages of a connection are compressed. The
// memory that it costs is given for one connection of the client.
type CompressionMode int

const (
	// CompressionOff compresses nothing.
	CompressionOff CompressionMode = iota
	// CompressionContextTakeover compresses a message with the previous messages
	// as context, which suits many small messages that are alike. It costs 32 KiB,
	// and 1.2 MiB more once a message to the server was compressed.
	CompressionContextTakeover
	// CompressionNoContextTakeover compresses each message by itself. It costs 40
	// KiB while a message is read, 1.2 MiB while one is compressed, and nothing
	// between messages.
	CompressionNoContextTakeover
)

// WebSocket returns the WebSocket transport, the default one. A nil opts means
// all defaults.
//
// Frames that wait together are sent with one system call. To do so, the
// transport works beneath the WebSocket library, through the DialContext of a
// copy of the HTTP client's *http.Transport. If the HTTP client has a Transport
// of another type, each frame is sent by itself.
//
// With GOOS=js it is the WebSocket of the browser or of Node. That sends no headers
// but the subprotocols, and uses no HTTP client: both are an *[InputError].
// Compression is the browser's business there.
func WebSocket(opts *WebSocketOptions) Transport {
	t := webSocket{path: webSocketPath}
	if opts != nil {
		t.compression, t.compressFrom = opts.Compression, opts.CompressFrom
		if opts.Path != "" {
			t.path = "/" + strings.Trim(opts.Path, "/")
		}
	}
	return t
}

type webSocket struct {
	path         string
	compression  CompressionMode
	compressFrom int
}

func (t webSocket) check() error {
	if t.compression < CompressionOff || t.compression > CompressionNoContextTakeover {
		return &InputError{Field: "WebSocketOptions.Compression", Reason: fmt.Sprintf("%d is no CompressionMode", t.compression)}
	}
	return nil
}

// withAuthToken puts an auth token before the subprotocols that a WebSocket offers.
func withAuthToken(subprotocols []string, token string) []string {
	if token == "" {
		return subprotocols
	}
	return append([]string{"phoenix", errs.AuthTokenPrefix + base64.RawStdEncoding.EncodeToString([]byte(token))}, subprotocols...)
}

// sameHostRedirect follows a redirect on the same host. To another one, or from
// TLS to plain text, the auth token would go along: net/http does not know that
// this header is secret.
func sameHostRedirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) >= 10 || req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https" {
		return http.ErrUseLastResponse
	}
	return nil
}

// errWriteTimeout is no context.DeadlineExceeded: no ctx of the user's has ended.
var errWriteTimeout = fmt.Errorf("phoenix: not written in time: %w", os.ErrDeadlineExceeded)
