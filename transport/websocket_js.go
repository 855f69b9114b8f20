//go:build js

package transport

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"syscall/js"

	"github.com/phxgo/phoenix/internal/dialing"
	"github.com/phxgo/phoenix/internal/errs"
)

// This file dials with the WebSocket of a browser, or of Node. The WebSocket library
// has a build for js too, but its Close waits for the server without a limit, its
// reader drops messages that came before the close frame, and it does not tell how
// much is still to be written.

// Dial opens a WebSocket of the JavaScript environment. Why the server refused one
// a browser does not tell.
func (t webSocket) Dial(ctx context.Context, req *DialRequest) (Conn, error) {
	if err := cmp.Or(req.check(), t.check()); err != nil {
		return nil, err
	}
	if err := checkForBrowser(req); err != nil {
		return nil, err
	}
	told := req.tells(ctx)
	u := *endpointURL(req.URL, t.path, longPollPath)
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1) // older browsers know no other
	dialing.Of(ctx).At("waiting for the WebSocket to open")
	_, offered := splitSubprotocols(req.Header)
	c, err := openJSConn(u.String(), withAuthToken(offered, req.AuthToken), req.readLimit())
	if err != nil {
		return nil, err
	}
	select {
	case <-c.opened:
		return c, nil
	case <-c.ended:
	case <-ctx.Done():
		c.cut()
		return nil, ctx.Err()
	}
	select {
	case <-c.opened: // ReadFrame tells what came next
		return c, nil
	default:
		return nil, dialFailed(ctx, &u, told.Clean(c.failure()))
	}
}

// checkForBrowser refuses what a browser's WebSocket would lose without a word. No
// error has a value in it.
func checkForBrowser(req *DialRequest) error {
	const cannot = "the WebSocket of a browser cannot "
	for name := range req.Header {
		if name != headerSubprotocol {
			return &InputError{Field: "Header", Reason: cannot + "send the header " + name + ": use Params or AuthToken"}
		}
	}
	switch {
	case req.HTTPClient != nil:
		return &InputError{Field: "HTTPClient", Reason: cannot + "use one: TLS, proxies and cookies are the browser's business"}
	case req.URL.User != nil:
		return &InputError{Field: "endpoint", Reason: cannot + "send its user and password: use Params or AuthToken"}
	}
	if strings.Contains(base64.RawStdEncoding.EncodeToString([]byte(req.AuthToken)), "/") {
		return &InputError{Field: "AuthToken", Reason: `has a "/" in its base64, which ` + cannot + "send: use a token of letters, digits and the characters - _ ."}
	}
	return nil
}

// openJSConn begins to open a WebSocket.
func openJSConn(url string, subprotocols []string, limit int64) (*jsConn, error) {
	class := js.Global().Get("WebSocket")
	if class.Type() != js.TypeFunction {
		return nil, &InputError{
			Field:  "Transport",
			Reason: "this JavaScript environment has no WebSocket: in Node before 22 set globalThis.WebSocket to that of the npm package ws, or use LongPoll",
		}
	}
	var names []any
	for _, name := range subprotocols {
		if !slices.Contains(names, any(name)) {
			names = append(names, name)
		}
	}
	c := newJSConn(limit)
	err := tried(func() {
		c.ws = class.New(url, names)
		c.ws.Set("binaryType", "arraybuffer")
		c.listen()
	})
	if err == nil {
		return c, nil
	}
	return nil, &InputError{Field: "endpoint", Reason: "the browser refuses to open a WebSocket: a page from https needs wss", Err: err}
}

// tried calls f and returns what JavaScript throws meanwhile. Only the name of a
// JavaScript error is kept: the text may have the URL in it.
func tried(f func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case js.Error:
			name := "an exception"
			if p.Type() == js.TypeObject {
				name = p.Get("name").String()
			}
			err = errors.New("JavaScript threw " + errs.QuoteShort(name))
		case *js.ValueError:
			err = errors.New("this is no WebSocket")
		default:
			panic(p)
		}
	}()
	f()
	return nil
}
