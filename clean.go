package phoenix

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cenkalti/backoff/v4"
)

// clean returns an error of a transport without the secrets that a server or a
// library put into it, and with its foreign text tamed. What has none is
// returned as it is. No lock is held: the error may be of the user's.
func (s *secrets) clean(err error) error {
	cleaned, _ := s.cleaned(err)
	return cleaned
}

// cleaned also tells whether there was something to clean.
func (s *secrets) cleaned(err error) (_ error, changed bool) { //nolint:revive // the error is the value
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case nil:
		return nil, false
	case *HandshakeError:
		c := *e
		c.URL, c.Proxy = s.redact(c.URL), s.redact(c.Proxy)
		c.Header, c.Body = s.cleanHeader(c.Header), s.cleanBody(c.Body)
		c.Err = s.clean(c.Err)
		return &c, true
	case *PollError:
		c := *e
		c.Header, c.Body = s.cleanHeader(c.Header), s.cleanBody(c.Body)
		c.Err = s.clean(c.Err)
		return &c, true
	case *CloseError:
		if reason := s.redact(e.Reason); reason != e.Reason {
			return &CloseError{Code: e.Code, Reason: reason}, true
		}
		return e, false
	case *url.Error: // says no more than what we say of the request ourselves
		return s.clean(e.Err), true
	case *net.OpError:
		if cause, changed := s.cleaned(e.Err); changed {
			c := *e
			c.Err = cause
			return &c, true
		}
	case *net.DNSError:
		if name := s.tame(e.Name); name != e.Name {
			c := *e
			c.Name = name
			c.UnwrapErr = nil
			return &c, true
		}
	case *tls.CertificateVerificationError:
		if cause, changed := s.cleaned(e.Err); changed {
			return &tls.CertificateVerificationError{Err: cause}, true
		}
		return e, false
	case *connectionError:
		if cause, changed := s.cleaned(e.cause); changed {
			return &connectionError{cause}, true
		}
		return e, false
	case *wrapped:
		if cause, changed := s.cleaned(e.cause); changed {
			return &wrapped{e.head, e.join, cause}, true
		}
		return e, false
	case *fallbackError:
		return bothFailed(s.clean(e.primary), s.clean(e.secondary)), true
	case *InputError: // of a transport's; the fields of ours hold no secrets
		reason, cause := s.redact(e.Reason), e.Err
		cause, changed := s.cleaned(cause)
		if changed || reason != e.Reason {
			return &InputError{Field: e.Field, Reason: reason, Err: cause}, true
		}
		return e, false
	}
	return s.cleanOther(err)
}

// cleanOther cleans an error of whatever type. Of one that has a secret in it,
// or text that is not tame, its text is kept and those of its causes that are
// fit to be seen; errors.Is still finds all of them, and errors.As what has no secret.
func (s *secrets) cleanOther(err error) (_ error, changed bool) { //nolint:revive // the error is the value
	var below []error
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		below = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		below = slices.Clone(e.Unwrap())
	}
	for i, b := range below {
		var c bool
		below[i], c = s.cleaned(b)
		changed = changed || c
	}
	text := err.Error()
	tame := s.tame(text)
	if !changed && tame == text {
		return err, false
	}
	below = slices.DeleteFunc(below, func(err error) bool { return err == nil })
	innocent := !changed && s.redact(text) == text
	return &tameError{
		text: tame, below: below,
		is:       func(target error) bool { return errors.Is(err, target) },
		as:       func(target any) bool { return errors.As(err, target) },
		innocent: innocent,
	}, true
}

// A tameError stands for an error whose text is not fit to be seen.
// It holds that error in functions only, so that no verb of fmt prints it.
type tameError struct {
	text     string
	is       func(target error) bool
	as       func(target any) bool
	innocent bool // the error has no secret in its text, which is only long, or has line breaks
	below    []error
}

func (e *tameError) Error() string        { return e.text }
func (e *tameError) Is(target error) bool { return e.is(target) }
func (e *tameError) Unwrap() []error      { return e.below }

// As finds the error itself if it holds no secret, and in any case that it is one
// of those that are not worth another attempt.
func (e *tameError) As(target any) bool {
	if p, ok := target.(**backoff.PermanentError); ok && e.as(new(*backoff.PermanentError)) {
		*p = &backoff.PermanentError{Err: e}
		return true
	}
	return e.innocent && e.as(target)
}

const (
	// maxErrorHeader is how much of a header is kept for an error, in bytes, and
	// maxErrorLines how many values. A value is cut to maxErrorValue.
	maxErrorHeader = 16 << 10
	maxErrorLines  = 256
	maxErrorValue  = 4 << 10
)

// telling are the headers that decide what happens next, or say most: they are kept
// in any case.
var telling = []string{"Retry-After", "Location", "Content-Type", "Www-Authenticate", "Proxy-Authenticate", "Server", "Via"} //nolint:gochecknoglobals // never changed

// cleanHeader returns a header without secrets: those that we know, the cookies
// that the server sets, and the user and query of where it redirects to. Of a long
// one it keeps a part.
func (s *secrets) cleanHeader(h http.Header) http.Header {
	if h == nil {
		return nil
	}
	lines := headerLines(h)
	texts := make([]string, 0, 2*len(lines))
	for _, l := range lines {
		texts = append(texts, l.name, l.value)
	}
	texts = s.redactLines(texts)
	clean := make(http.Header, min(len(h), len(lines)))
	for i := range lines {
		name, v := texts[2*i], texts[2*i+1]
		switch name {
		case "Set-Cookie":
			v = redacted
		case "Location", "Content-Location", "Refresh", "Link":
			v = bareLocation(v)
		}
		clean[name] = append(clean[name], v)
	}
	return clean
}

type headerLine struct{ name, value string }

// headerLines returns the lines of a header that are worth keeping.
func headerLines(h http.Header) []headerLine {
	var lines []headerLine
	room := maxErrorHeader
	keep := func(name string, values []string) {
		for _, v := range values {
			v = v[:min(len(v), maxErrorValue)]
			if room -= len(name) + len(v); room < 0 || len(lines) == maxErrorLines {
				return
			}
			lines = append(lines, headerLine{name, v})
		}
	}
	for _, name := range telling {
		keep(name, h[name])
	}
	var rest []string
	for name := range h {
		if len(rest) == maxErrorLines {
			break
		}
		if !slices.Contains(telling, name) && len(name) <= maxErrorValue {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	for _, name := range rest {
		if room <= 0 {
			break
		}
		keep(name, h[name])
	}
	return lines
}

// bareLocation returns where a redirect leads to, without user and query.
func bareLocation(location string) string {
	if strings.HasPrefix(location, "//") {
		return strings.TrimPrefix(bareURL(":"+location), ":")
	}
	if foreignURL.MatchString(location) {
		return foreignURL.ReplaceAllStringFunc(location, bareURL)
	}
	path, _, _ := strings.Cut(location, "#")
	path, _, hasQuery := strings.Cut(path, "?")
	if hasQuery {
		path += "?" + redacted
	}
	return path
}

// cleanBody returns the body of an answer without secrets.
func (s *secrets) cleanBody(body []byte) []byte {
	if len(body) == 0 {
		return body
	}
	text := s.redact(string(body))
	return []byte(text[:min(len(text), maxErrorBody)])
}
