//go:build js

package transport

import (
	"net/http"
	"strings"
	"syscall/js"
)

// RoundTripper returns what makes the requests of a session: the user's, or the
// Fetch API of a browser or of Node, through net/http.
func (c *pollConn) roundTripper(user http.RoundTripper) (http.RoundTripper, func(), error) {
	none := func() {}
	tr, ours := user.(*http.Transport)
	if user == nil {
		tr, ours = &http.Transport{}, true // a dialer of its own would keep it from Fetch
	}
	if !ours || tr.Dial != nil || tr.DialContext != nil || tr.DialTLS != nil || tr.DialTLSContext != nil { //nolint:staticcheck // as net/http looks at them
		return user, none, nil
	}
	if !canFetch() {
		if user != nil {
			return user, none, nil
		}
		return nil, none, &InputError{
			Field:  "Transport",
			Reason: `net/http does not use the Fetch API in a Node that was started as "node": start it by its full path, such as /usr/bin/node, or give the HTTPClient a Transport`,
		}
	}
	for name := range c.header {
		if isForbiddenToFetch(name) {
			return nil, none, forbidden(name)
		}
	}
	if c.host != "" {
		return nil, none, forbidden("Host")
	}
	return fetcher{tr}, none, nil
}

// canFetch reports whether net/http uses the Fetch API, by its own rule
// (net/http/roundtrip_js.go): in Node it does not.
func canFetch() bool {
	process := js.Global().Get("process")
	inNode := process.Type() == js.TypeObject && strings.HasPrefix(process.Get("argv0").String(), "node")
	return js.Global().Get("fetch").Type() == js.TypeFunction && !inNode
}

func forbidden(header string) error {
	return &InputError{Field: "Header", Reason: "a browser does not let a program set the header " + header}
}

// isForbiddenToFetch reports whether the Fetch API drops a header without a word.
// That with the subprotocols may be there for a WebSocket.
func isForbiddenToFetch(name string) bool {
	switch name {
	case "Accept-Charset", "Accept-Encoding", "Access-Control-Request-Headers", "Access-Control-Request-Method",
		"Access-Control-Request-Private-Network", "Cookie", "Cookie2", "Date", "Dnt", "Origin", "Referer", "Set-Cookie", "Via":
		return true
	case headerSubprotocol:
		return false
	}
	return strings.HasPrefix(name, "Proxy-") || strings.HasPrefix(name, "Sec-")
}

// A fetcher makes requests by Fetch. It follows no redirect: Fetch would do so
// without asking, to another host too, and take the auth token along.
type fetcher struct {
	tr *http.Transport
}

func (f fetcher) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header["js.fetch:redirect"] = []string{"error"} // net/http takes it out
	req.URL.User = nil                                  // it is in a header by now, and Fetch refuses it
	return f.tr.RoundTrip(req)
}
