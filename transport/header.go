package transport

import (
	"net/http"
	"strings"
)

// splitHost takes the Host header out of a header: net/http wants it elsewhere.
func splitHost(h http.Header) (rest http.Header, host string) {
	host = h.Get("Host")
	if host != "" {
		h = h.Clone()
		h.Del("Host")
	}
	return h, host
}

// accepting returns a header with what a long poll accepts, unless the user says it.
func accepting(h http.Header) http.Header {
	if _, said := h["Accept"]; said {
		return h
	}
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Accept", "application/json")
	return h
}

// withoutTrace returns a header without the trace context. It names the span of the
// connect, which ends when the connection is open: with it each later request, for days
// maybe, would be a part of that trace.
func withoutTrace(h http.Header) http.Header {
	rest := h.Clone()
	rest.Del("Traceparent")
	rest.Del("Tracestate")
	return rest
}

// headerSubprotocol has the subprotocols that a WebSocket offers. The auth token
// travels among them.
const headerSubprotocol = "Sec-Websocket-Protocol"

// splitSubprotocols takes the subprotocols out of a header: the WebSocket library
// wants them elsewhere, to check what the server selects.
func splitSubprotocols(h http.Header) (rest http.Header, subprotocols []string) {
	values := h.Values(headerSubprotocol)
	if len(values) == 0 {
		return h, nil
	}
	for name := range strings.SplitSeq(strings.Join(values, ","), ",") {
		subprotocols = append(subprotocols, strings.TrimSpace(name))
	}
	h = h.Clone()
	h.Del(headerSubprotocol)
	return h, subprotocols
}
