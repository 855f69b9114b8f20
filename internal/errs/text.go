package errs

import (
	"encoding/hex"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// AuthTokenPrefix marks the subprotocol that carries the auth token. In spite
// of its name the server decodes standard base64 without padding
// (lib/phoenix/transports/websocket.ex).
const AuthTokenPrefix = "base64url.bearer.phx." //nolint:gosec // no credential, but what marks one

// maxForeign is the length to which foreign text in an error is cut, in bytes.
const maxForeign = 200

// DisplayURL returns a URL as it is shown: without its user, query and fragment.
func DisplayURL(u *url.URL) string {
	d := *u
	d.RawQuery, d.ForceQuery, d.User = "", false, nil
	d.Fragment, d.RawFragment = "", ""
	return d.String()
}

// HTTPScheme returns the scheme with which net/http speaks to an endpoint.
func HTTPScheme(scheme string) string {
	switch scheme {
	case "ws":
		return "http"
	case "wss":
		return "https"
	}
	return scheme
}

// ForeignURL finds URLs in the text of a library.
var ForeignURL = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+`)

// Tame makes foreign text fit for an error: without secrets, without the users
// and queries of URLs, without control characters, and of at most 200 bytes.
func (s *Secrets) Tame(text string) string {
	text = ForeignURL.ReplaceAllStringFunc(s.Redact(text), BareURL)
	return Shorten(Printable(text))
}

// BareURL returns a URL without its user and query.
func BareURL(raw string) string {
	raw, _, _ = strings.Cut(raw, "#")
	raw, _, hasQuery := strings.Cut(raw, "?")
	scheme, rest, _ := strings.Cut(raw, "://")
	host, path, hasPath := strings.Cut(rest, "/")
	if _, bare, ok := strings.Cut(host, "@"); ok {
		host = bare[strings.LastIndex(bare, "@")+1:]
	}
	raw = scheme + "://" + host
	if hasPath {
		raw += "/" + path
	}
	if hasQuery {
		raw += "?" + Redacted
	}
	return raw
}

// Printable escapes what a terminal or a log would not print as it is.
func Printable(text string) string {
	var out strings.Builder
	for i, r := range text {
		switch {
		case r == '\uFFFD' && text[i] != "\uFFFD"[0]: // a byte that is no UTF-8
			out.WriteString(`\x` + hex.EncodeToString([]byte{text[i]}))
		case strconv.IsPrint(r):
			out.WriteRune(r)
		default:
			out.WriteString(inQuotes(strconv.QuoteRune(r)))
		}
	}
	return out.String()
}

// Shorten cuts the middle out of a long text.
func Shorten(text string) string {
	const mark, tail = "…", 60
	if len(text) <= maxForeign {
		return text
	}
	head := strings.ToValidUTF8(text[:maxForeign-tail-len(mark)], "")
	return head + mark + strings.ToValidUTF8(text[len(text)-tail:], "")
}

// TrimPrefix drops our prefix from an error that is quoted inside another.
func TrimPrefix(err error) string {
	if err == nil {
		return "unknown cause"
	}
	return strings.TrimPrefix(err.Error(), "phoenix: ")
}

// QuoteShort quotes a string of the wire for a message, shortened so that a
// hostile peer cannot flood a log.
func QuoteShort(s string) string {
	const limit = 120
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	quoted := strconv.Quote(s)
	if len(quoted) > maxForeign {
		quoted = quoted[:maxForeign-len(`…"`)] + `…"` // it is all escapes
	}
	return quoted
}
