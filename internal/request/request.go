// Package request checks what goes into the HTTP requests of a transport: what cannot
// work, or would be lost, is refused. What it says of that has no value in it.
package request

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/phxgo/phoenix/internal/errs"
)

// ownHeaders are set by the transports, or by net/http beneath them.
var ownHeaders = map[string]string{ //nolint:gosec,gochecknoglobals // names; never changed
	"X-Phoenix-Authtoken":      "set AuthToken",
	"X-Phoenix-Longpoll-Token": "the server gives it",
	"Sec-Websocket-Key":        "", "Sec-Websocket-Version": "", "Sec-Websocket-Extensions": "", "Sec-Websocket-Accept": "",
	"Upgrade": "", "Connection": "", "Keep-Alive": "", "Proxy-Connection": "", "Te": "", "Trailer": "",
	"Transfer-Encoding": "", "Content-Length": "", "Content-Type": "", "Content-Encoding": "", "Accept-Encoding": "", "Expect": "",
	"Proxy-Authorization": "put user and password into the URL of the HTTPClient's proxy",
	"Idempotency-Key":     "net/http would repeat a POST", "X-Idempotency-Key": "net/http would repeat a POST",
}

// Header returns a copy of h with canonical names, or why it cannot be sent.
func Header(h http.Header) (clean http.Header, reason string) {
	if h == nil {
		return nil, ""
	}
	bad := func(reason string) (http.Header, string) { return nil, reason }
	clean = make(http.Header, len(h))
	for name, values := range h {
		if !isToken(name) {
			return bad(errs.QuoteShort(name) + " is not the name of a header")
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if hint, own := ownHeaders[name]; own {
			if hint == "" {
				hint = "the transport sets it"
			}
			return bad(name + " cannot be set by hand: " + hint)
		}
		for _, v := range values {
			if !IsHeaderValue(v) {
				return bad("the value of " + name + " has a control character, such as a line break")
			}
		}
		clean[name] = append(clean[name], values...)
	}
	for _, value := range clean["Sec-Websocket-Protocol"] {
		for name := range strings.SplitSeq(value, ",") {
			if !isToken(strings.TrimSpace(name)) {
				return bad("Sec-Websocket-Protocol needs names with commas between them")
			}
		}
	}
	if host, ok := clean["Host"]; ok && (len(host) != 1 || !isHost(host[0])) {
		return bad("Host needs one value, a host name with or without a port")
	}
	return clean, ""
}

// isToken reports whether s can be the name of a header.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isHost reports whether s can be the value of a Host header.
func isHost(s string) bool {
	u, err := url.Parse("//" + s)
	return err == nil && s != "" && u.Host == s && u.Hostname() != ""
}

// Params returns why the server would not understand params, or why they contradict
// the serializer; "" if they are good.
func Params(params url.Values, vsn string) (reason string) {
	for name, values := range params {
		switch {
		case name == "":
			return "a param without a name"
		case !utf8.ValidString(name):
			return "the name of a param is not UTF-8: " + errs.QuoteShort(name)
		case name == "vsn" && slices.ContainsFunc(values, func(v string) bool { return v != vsn }):
			return "vsn is another than that of the Serializer, " + errs.QuoteShort(vsn) + ": choose the version with SocketOptions.Serializer"
		}
		for _, v := range values {
			if !utf8.ValidString(v) {
				return "the value of param " + errs.QuoteShort(name) + " is not UTF-8: encode it, as base64 for one"
			}
		}
	}
	return ""
}

// Query parses a query as a Phoenix server does: only "&" separates pairs.
func Query(query string) (values url.Values, reason string) {
	if query == "" {
		return nil, ""
	}
	values = url.Values{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err := url.QueryUnescape(name)
		v, verr := url.QueryUnescape(value)
		if err != nil || verr != nil {
			return nil, `a "%" in its query begins no escape: write it as "%25", or use SocketOptions.Params`
		}
		values.Add(n, v)
	}
	return values, ""
}

// IsHeaderValue reports whether net/http takes s for the value of a header.
func IsHeaderValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
