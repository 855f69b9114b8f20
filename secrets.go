package phoenix

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// This file keeps secrets out of errors and logs. A server, a proxy or a library
// may repeat in its text what it was sent; secrets knows what that was.

const (
	redacted = "[redacted]"
	// minSecret is the length in bytes from which on a value is looked for by
	// itself. "1", "en" and "id" would tear holes into every text; with its name,
	// as in "user=1", a short value is found too.
	minSecret = 4
	// partSecret is the length from which on a part of a value is looked for.
	partSecret = 12
	// cutSecret is the length from which on the beginning of a value is looked for
	// at the very end of a text, which was perhaps cut there.
	cutSecret = 6
	// maxSecrets bounds what is looked for, and maxEarlier what of it is remembered
	// of earlier attempts, the latest first.
	maxSecrets = 128
	maxEarlier = 32
	// maxForeign is the length to which foreign text in an error is cut, in bytes.
	maxForeign = 200
)

// A secrets is what a server was told and must not be repeated: auth token,
// params, query, user and headers. A nil one knows nothing.
type secrets struct {
	values []*secret
	shown  string // of the endpoint: what we show anyhow is no secret
}

// isPublic reports whether a header holds nothing worth hiding. Such values stand in
// many a text.
func isPublic(header string) bool {
	switch http.CanonicalHeaderKey(header) {
	case "Accept", "Accept-Language", "Host", "Origin", "User-Agent":
		return true
	}
	return false
}

// secrets returns what the request tells a server.
func (req *DialRequest) secrets() *secrets {
	s := &secrets{shown: fold(displayURL(req.URL))}
	s.add(req.AuthToken)
	s.addQuery(req.URL.RawQuery)
	s.addUser(req.URL.User)
	for name, values := range req.Header {
		if isPublic(name) {
			continue
		}
		for _, v := range values {
			s.addHeader(v)
		}
	}
	if c := req.HTTPClient; c != nil {
		s.addClient(c, req.URL)
	}
	return s
}

// A secret is one value. The ways in which it may be repeated are made once, and
// only when there is a text in which to look for them.
type secret struct {
	value string
	once  sync.Once
	forms []string
}

func (v *secret) allForms() []string {
	v.once.Do(func() { v.forms = forms(v.value) })
	return v.forms
}

func (s *secrets) has(value string) bool {
	return slices.ContainsFunc(s.values, func(v *secret) bool { return v.value == value })
}

func (s *secrets) add(values ...string) {
	for _, v := range values {
		if v != "" && len(s.values) < maxSecrets && !s.has(v) {
			s.values = append(s.values, &secret{value: v})
		}
	}
}

func (s *secrets) addQuery(query string) {
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(value); err == nil {
			value = decoded
		}
		if name == "vsn" {
			continue // everybody knows it
		}
		s.add(query, pair, value)
		if decoded, err := url.QueryUnescape(name); err == nil && value != "" {
			s.add(decoded + "=" + value)
		}
	}
}

func (s *secrets) addUser(u *url.Userinfo) {
	if u == nil {
		return
	}
	password, _ := u.Password()
	s.add(u.Username(), password, u.Username()+":"+password)
}

// addHeader adds the value of a header, and what follows its scheme, as in
// "Bearer x", or what its cookies are.
func (s *secrets) addHeader(value string) {
	s.add(value)
	if _, rest, ok := strings.Cut(value, " "); ok {
		s.add(strings.TrimSpace(rest))
	}
	for part := range strings.SplitSeq(value, ";") {
		if _, v, ok := strings.Cut(strings.TrimSpace(part), "="); ok {
			s.add(v)
		}
	}
}

// addClient adds the cookies of an HTTP client, and what its proxy is told.
func (s *secrets) addClient(c *http.Client, endpoint *url.URL) {
	u := *endpoint
	u.Scheme = httpScheme(u.Scheme)
	if c.Jar != nil {
		for _, cookie := range c.Jar.Cookies(&u) {
			s.add(cookie.Value)
		}
	}
	tr, ok := c.Transport.(*http.Transport)
	if !ok || tr == nil {
		return
	}
	for _, values := range tr.ProxyConnectHeader {
		for _, v := range values {
			s.addHeader(v)
		}
	}
}

// httpScheme returns the scheme with which net/http speaks to an endpoint.
func httpScheme(scheme string) string {
	switch scheme {
	case "ws":
		return "http"
	case "wss":
		return "https"
	}
	return scheme
}

// since returns s with what earlier attempts told the server, who may remember.
func (s *secrets) since(earlier *secrets) *secrets {
	if earlier == nil {
		return s
	}
	most := min(len(s.values)+maxEarlier, maxSecrets)
	for _, v := range earlier.values {
		if len(s.values) < most && !s.has(v.value) {
			s.values = append(s.values, v)
		}
	}
	return s
}

// forms returns the ways in which a value may be repeated, in lower case.
func forms(v string) []string {
	all := []string{
		v, url.QueryEscape(v), url.PathEscape(v), html.EscapeString(v), hex.EncodeToString([]byte(v)),
		inQuotes(strconv.Quote(v)), inQuotes(strconv.QuoteToASCII(v)),
		base64.RawStdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)),
	}
	if j, err := json.Marshal(v); err == nil {
		all = append(all, inQuotes(string(j)), strings.ReplaceAll(inQuotes(string(j)), "/", `\/`))
	}
	// Base64 of a text in which the value stands somewhere.
	for before := 1; before < 3; before++ {
		padded := append(make([]byte, before), v...)
		first, last := (8*before+5)/6, 8*len(padded)/6
		if last-first >= minSecret {
			all = append(all, base64.RawStdEncoding.EncodeToString(padded)[first:last],
				base64.RawURLEncoding.EncodeToString(padded)[first:last])
		}
	}
	for i, f := range all {
		all[i] = fold(f)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func inQuotes(quoted string) string { return quoted[1 : len(quoted)-1] }

// fold returns s in lower case, byte for byte: the name of a header has another
// case than the value that it repeats.
func fold(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// bearer is a subprotocol that carries an auth token, however short that is.
var bearer = regexp.MustCompile(`(?i)` + regexp.QuoteMeta(authTokenPrefix) + `[A-Za-z0-9+/=_%-]*`)

// redact returns text without the secrets in it.
func (s *secrets) redact(text string) string {
	if s == nil || len(text) < minSecret {
		return text
	}
	text = bearer.ReplaceAllLiteralString(text, redacted)
	folded := fold(text)
	hide := make([]bool, len(text)) // of each byte
	var grams parts
	grams.of(folded)
	found := false
	mark := func(from, n int) {
		found = true
		for i := from; i < from+n; i++ {
			hide[i] = true
		}
	}
	for _, v := range s.values {
		if len(v.value) < minSecret {
			continue
		}
		for _, form := range v.allForms() {
			s.find(form, folded, &grams, mark)
		}
	}
	if !found {
		return text
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !hide[i]:
			out.WriteByte(text[i])
		case i == 0 || !hide[i-1]:
			out.WriteString(redacted)
		}
	}
	return out.String()
}

// parts finds where each part of a text stands. Most of what is asked for is not
// there, which the first two bytes tell sooner than a map.
type parts struct {
	begins [1 << 16 / 64]uint64
	at     map[string][]int
}

func begin(part string) (word int, bit uint64) {
	n := uint(part[0])<<8 | uint(part[1])
	return int(n / 64), 1 << (n % 64)
}

func (p *parts) of(text string) {
	p.at = map[string][]int{}
	for i := 0; i+partSecret <= len(text); i++ {
		part := text[i : i+partSecret]
		word, bit := begin(part)
		p.begins[word] |= bit
		p.at[part] = append(p.at[part], i)
	}
}

func (p *parts) find(part string) []int {
	if word, bit := begin(part); p.begins[word]&bit == 0 {
		return nil
	}
	return p.at[part]
}

// find marks where a form of a secret stands in a text.
func (s *secrets) find(form, text string, grams *parts, mark func(from, n int)) {
	if len(form) < minSecret || strings.Contains(s.shown, form) {
		return
	}
	if len(form) < partSecret {
		for at := 0; ; {
			i := strings.Index(text[at:], form)
			if i < 0 {
				break
			}
			mark(at+i, len(form))
			at += i + len(form)
		}
	}
	for i := 0; i+partSecret <= len(form); i++ {
		g := form[i : i+partSecret]
		if at := grams.find(g); at != nil && !strings.Contains(s.shown, g) {
			for _, from := range at {
				mark(from, partSecret)
			}
			delete(grams.at, g) // is marked
		}
	}
	for n := min(partSecret, len(form)) - 1; n >= cutSecret; n-- {
		if strings.HasSuffix(text, form[:n]) {
			mark(len(text)-n, n)
			return
		}
	}
}

// foreignURL finds URLs in the text of a library.
var foreignURL = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+`)

// tame makes foreign text fit for an error: without secrets, without the users
// and queries of URLs, without control characters, and of at most 200 bytes.
func (s *secrets) tame(text string) string {
	text = foreignURL.ReplaceAllStringFunc(s.redact(text), bareURL)
	return shorten(printable(text))
}

// bareURL returns a URL without its user and query.
func bareURL(raw string) string {
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
		raw += "?" + redacted
	}
	return raw
}

// printable escapes what a terminal or a log would not print as it is.
func printable(text string) string {
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

// shorten cuts the middle out of a long text.
func shorten(text string) string {
	const mark, tail = "…", 60
	if len(text) <= maxForeign {
		return text
	}
	head := strings.ToValidUTF8(text[:maxForeign-tail-len(mark)], "")
	return head + mark + strings.ToValidUTF8(text[len(text)-tail:], "")
}
