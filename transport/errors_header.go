package transport

import (
	"net/http"
	"slices"
	"strings"

	"github.com/phxgo/phoenix/internal/errs"
)

// redactedAnswer returns what an error keeps of a response, without secrets.
func redactedAnswer(h http.Header, body []byte, redact func([]string) []string) (http.Header, []byte) {
	h = cleanHeader(h, redact)
	if len(body) == 0 {
		return h, body
	}
	text := redact([]string{string(body[:min(len(body), maxErrorBody+errorBodySlack)])})[0]
	return h, []byte(text[:min(len(text), maxErrorBody)])
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
func cleanHeader(h http.Header, redact func([]string) []string) http.Header {
	if h == nil {
		return nil
	}
	lines := headerLines(h)
	texts := make([]string, 0, 2*len(lines))
	for _, l := range lines {
		texts = append(texts, l.name, l.value)
	}
	texts = redact(texts)
	clean := make(http.Header, min(len(h), len(lines)))
	for i := range lines {
		name, v := texts[2*i], texts[2*i+1]
		switch name {
		case "Set-Cookie":
			v = errs.Redacted
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
		return strings.TrimPrefix(errs.BareURL(":"+location), ":")
	}
	if errs.ForeignURL.MatchString(location) {
		return errs.ForeignURL.ReplaceAllStringFunc(location, errs.BareURL)
	}
	path, _, _ := strings.Cut(location, "#")
	path, _, hasQuery := strings.Cut(path, "?")
	if hasQuery {
		path += "?" + errs.Redacted
	}
	return path
}
