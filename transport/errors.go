package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/phxgo/phoenix/internal/errs"
)

// ErrMessageTooBig says that a message is larger than MaxMessageSize.
var ErrMessageTooBig = errors.New("phoenix: message too big")

// A Redactor is an error that may repeat what a server was told. Redacted returns a
// copy of it in which redact has gone over each text that came from the server, and
// clean over the error's cause; or the error itself if that changes nothing. The
// error types of this package are Redactors, and so may be those of a Transport of
// your own. redact takes texts without line breaks, and returns as many.
type Redactor interface {
	error
	Redacted(redact func([]string) []string, clean func(error) error) error
}

// An InputError reports an argument or an option that cannot be used. Nothing
// was sent and nothing was changed.
type InputError struct {
	Field  string // the argument or option, such as "DialRequest.URL" or "AuthToken"
	Reason string
	Err    error // the cause, if there is one
}

func (e *InputError) Error() string {
	msg := "phoenix: bad " + e.Field + ": " + e.Reason
	if e.Err != nil {
		msg += ": " + errs.TrimPrefix(e.Err)
	}
	return msg
}

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }

// Redacted implements [Redactor].
func (e *InputError) Redacted(redact func([]string) []string, clean func(error) error) error {
	reason, cause := redact([]string{e.Reason})[0], clean(e.Err)
	if reason == e.Reason && cause == e.Err { //nolint:errorlint // whether it is the very same
		return e
	}
	return &InputError{Field: e.Field, Reason: reason, Err: cause}
}

// A HandshakeError is an HTTP response, of the server or of a proxy, that refused
// the connection.
//
// It holds no secrets. Where the response repeats the auth token, a param, the
// query or a header of the request, the text and the fields have "[redacted]"
// instead. The same goes for cookies that the response sets, and for the query of
// a redirect.
type HandshakeError struct {
	URL        string // what was requested, without user and query; for a proxy, host and port
	Proxy      string // host and port of the proxy that refused; "" if the server refused
	StatusCode int
	Header     http.Header
	Body       []byte // at most 1 KiB
	Err        error  // what is wrong with the response, if the status does not say it
}

func (e *HandshakeError) Error() string {
	who := "the server answered the handshake"
	if e.Proxy != "" {
		who = "the proxy (" + errs.Printable(e.Proxy) + ") answered CONNECT"
	}
	msg := fmt.Sprintf("phoenix: %s with HTTP status %d", who, e.StatusCode)
	if text := http.StatusText(e.StatusCode); text != "" {
		msg += " " + text
	}
	if e.URL != "" {
		msg += " (" + errs.Shorten(errs.Printable(e.URL)) + ")"
	}
	if to := e.redirect(); to != "" {
		msg += ": a redirect to " + to + ", which is not followed"
	}
	if e.Err != nil {
		msg += ": " + errs.TrimPrefix(e.Err)
	}
	return msg
}

// redirect returns where the answer redirects to, without user and query.
func (e *HandshakeError) redirect() string {
	location := e.Header.Get("Location")
	if e.StatusCode/100 != 3 || location == "" {
		return ""
	}
	if from, err := url.Parse(e.URL); err == nil {
		if to, err := from.Parse(location); err == nil {
			location = errs.DisplayURL(to)
		}
	}
	location, _, _ = strings.Cut(location, "?")
	return errs.Shorten(errs.Printable(location))
}

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Redacted implements [Redactor].
func (e *HandshakeError) Redacted(redact func([]string) []string, clean func(error) error) error {
	c := *e
	texts := redact([]string{e.URL, e.Proxy})
	c.URL, c.Proxy = texts[0], texts[1]
	c.Header, c.Body = redactedAnswer(e.Header, e.Body, redact)
	c.Err = clean(e.Err)
	return &c
}

// A CloseError is the close frame with which the server ended a WebSocket. A
// Phoenix server sends these codes: 1000 (idle timeout on Cowboy), 1001 (a
// disconnect broadcast), 1002 (idle timeout on Bandit), 1009 (frame too big),
// 1011 (it crashed on a frame), 1012 (restart). A client connects again after each
// of them.
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	msg := fmt.Sprintf("phoenix: connection closed by the server with code %d", e.Code)
	if e.Reason != "" {
		msg += " (" + errs.QuoteShort(e.Reason) + ")"
	}
	return msg
}

// Redacted implements [Redactor].
func (e *CloseError) Redacted(redact func([]string) []string, _ func(error) error) error {
	if reason := redact([]string{e.Reason})[0]; reason != e.Reason {
		return &CloseError{Code: e.Code, Reason: reason}
	}
	return e
}

// A PollError is a response that ended a long-poll session, as a CloseError ends
// a WebSocket. StatusCode is the status in the body of Phoenix's response, or the
// status of HTTP if that is not 200. A Phoenix server sends these:
//
//   - 410: it does not know the session, because the session expired, its node is
//     gone, or a load balancer chose another node.
//   - 408: it did not handle a message in time.
//   - 500: it crashed, perhaps on a binary message to the client.
//
// Like a HandshakeError, it holds no secrets.
type PollError struct {
	Method     string // GET for the response to a poll, POST for the response to messages
	StatusCode int
	Header     http.Header
	Body       []byte // at most 1 KiB; empty if the response is one of Phoenix's own
	Err        error  // what is wrong with the response, if the status does not say it
}

func (e *PollError) Error() string {
	msg := fmt.Sprintf("phoenix: the server answered a %s of the long poll with status %d", e.Method, e.StatusCode)
	if text := http.StatusText(e.StatusCode); text != "" {
		msg += " " + text
	}
	if e.Err != nil {
		msg += ": " + errs.TrimPrefix(e.Err)
	}
	return msg
}

// Unwrap returns the cause.
func (e *PollError) Unwrap() error { return e.Err }

// Redacted implements [Redactor].
func (e *PollError) Redacted(redact func([]string) []string, clean func(error) error) error {
	c := *e
	c.Header, c.Body = redactedAnswer(e.Header, e.Body, redact)
	c.Err = clean(e.Err)
	return &c
}

// IsFinal reports whether a failure to connect is unlikely to go away: an HTTP
// status below 500 other than 408, 425 and 429, a certificate that cannot be
// verified, or an *InputError.
func IsFinal(err error) bool {
	if cert := (*tls.CertificateVerificationError)(nil); errors.As(err, &cert) {
		return true
	}
	if ie := (*InputError)(nil); errors.As(err, &ie) {
		return true
	}
	he := (*HandshakeError)(nil)
	if !errors.As(err, &he) {
		return false
	}
	switch he.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return he.StatusCode < 500
}
