package errs

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"slices"

	"github.com/cenkalti/backoff/v4"
)

// A redactor is an error that knows where secrets may stand in it: transport.Redactor.
type redactor interface {
	error
	Redacted(texts func([]string) []string, clean func(error) error) error
}

// Clean returns an error of a transport without the secrets that a server or a
// library put into it, and with its foreign text tamed. What has none is
// returned as it is. No lock is held: the error may be of the user's.
func (s *Secrets) Clean(err error) error {
	cleaned, _ := s.cleaned(err)
	return cleaned
}

// cleaned also tells whether there was something to clean.
func (s *Secrets) cleaned(err error) (_ error, changed bool) { //nolint:revive // the error is the value
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case nil:
		return nil, false
	case *url.Error: // says no more than what we say of the request ourselves
		return s.Clean(e.Err), true
	case *net.OpError:
		if cause, changed := s.cleaned(e.Err); changed {
			c := *e
			c.Err = cause
			return &c, true
		}
	case *net.DNSError:
		if name := s.Tame(e.Name); name != e.Name {
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
	case *wrapped:
		if cause, changed := s.cleaned(e.cause); changed {
			return &wrapped{e.head, e.join, cause}, true
		}
		return e, false
	case redactor:
		if cleaned := e.Redacted(s.redactLines, s.Clean); cleaned != nil { // one of the user's may return nothing
			return cleaned, cleaned != err //nolint:errorlint // whether it is the very same
		}
	}
	return s.cleanOther(err)
}

// cleanOther cleans an error of whatever type. Of one that has a secret in it,
// or text that is not tame, its text is kept and those of its causes that are
// fit to be seen; errors.Is still finds all of them, and errors.As what has no secret.
func (s *Secrets) cleanOther(err error) (_ error, changed bool) { //nolint:revive // the error is the value
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
	tame := s.Tame(text)
	if !changed && tame == text {
		return err, false
	}
	below = slices.DeleteFunc(below, func(err error) bool { return err == nil })
	innocent := !changed && s.Redact(text) == text
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
