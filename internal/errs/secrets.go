package errs

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// This file keeps secrets out of errors and logs. A server, a proxy or a library
// may repeat in its text what it was sent; a Secrets knows what that was.

const (
	// Redacted stands in the place of a secret.
	Redacted = "[redacted]"
	// minSecret is the length in bytes from which on a value is looked for by
	// itself. "1", "en" and "id" would tear holes into every text; with its name,
	// as in "user=1", a short value is found too.
	minSecret = 4
	// partSecret is the length from which on a part of a value is looked for.
	partSecret = 12
	// cutSecret is the length from which on the beginning of a value is looked for
	// at the very end of a text, which was perhaps cut there.
	cutSecret = 6
	// maxSecrets bounds what is looked for, the params of the query last, and
	// maxEarlier what of it is remembered of earlier attempts, the latest first.
	maxSecrets = 512
	maxEarlier = 32
	// maxJoinSecrets bounds the params of a join in which secrets are looked for.
	maxJoinSecrets = 64 << 10
)

// A Secrets is what a server was told and must not be repeated: auth token,
// params, query, user and headers. A nil one knows nothing.
type Secrets struct {
	values []*secret
	shown  *display // what we show anyhow is no secret
}

// A display is how an endpoint is shown. It is made when there is a text in which to
// look for secrets.
type display struct {
	endpoint url.URL
	once     sync.Once
	text     string // in lower case
}

// has reports whether the endpoint is shown with form in it.
func (d *display) has(form string) bool {
	if d == nil {
		return false
	}
	d.once.Do(func() { d.text = fold(DisplayURL(&d.endpoint)) })
	return strings.Contains(d.text, form)
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

// SecretsOf returns what a request tells a server. The client may be nil.
func SecretsOf(endpoint *url.URL, header http.Header, authToken string, client *http.Client) *Secrets {
	s := &Secrets{shown: &display{endpoint: *endpoint}}
	s.Add(authToken)
	s.AddUser(endpoint.User)
	for name, values := range header {
		if isPublic(name) {
			continue
		}
		for _, v := range values {
			s.AddHeader(v)
		}
	}
	if client != nil {
		s.addClient(client, endpoint)
	}
	s.addQuery(endpoint.RawQuery) // of which there may be most
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

func (s *Secrets) has(value string) bool {
	return slices.ContainsFunc(s.values, func(v *secret) bool { return v.value == value })
}

// hasAll reports whether s knows all that o does.
func (s *Secrets) hasAll(o *Secrets) bool {
	if s == nil {
		return false
	}
	for _, v := range o.values {
		if !s.has(v.value) {
			return false
		}
	}
	return true
}

// Add adds values. Empty ones and those that s knows are skipped.
func (s *Secrets) Add(values ...string) {
	for _, v := range values {
		if v != "" && len(s.values) < maxSecrets && !s.has(v) {
			s.values = append(s.values, &secret{value: v})
		}
	}
}

func (s *Secrets) addQuery(query string) {
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(value); err == nil {
			value = decoded
		}
		if name == "vsn" {
			continue // everybody knows it
		}
		s.Add(query, pair, value)
		if decoded, err := url.QueryUnescape(name); err == nil && value != "" {
			s.Add(decoded + "=" + value)
		}
	}
}

// AddUser adds the name and the password of a URL, which may have neither.
func (s *Secrets) AddUser(u *url.Userinfo) {
	if u == nil {
		return
	}
	password, _ := u.Password()
	s.Add(u.Username(), password, u.Username()+":"+password)
}

// AddHeader adds the value of a header, and what follows its scheme, as in
// "Bearer x", or what its cookies are.
func (s *Secrets) AddHeader(value string) {
	s.Add(value)
	if _, rest, ok := strings.Cut(value, " "); ok {
		s.Add(strings.TrimSpace(rest))
	}
	for part := range strings.SplitSeq(value, ";") {
		if _, v, ok := strings.Cut(strings.TrimSpace(part), "="); ok {
			s.Add(v)
		}
	}
}

// WithJoin returns s with what the params of a join hold. Words of them stand in
// many a reason, so that only what is as long as a token counts.
func (s *Secrets) WithJoin(params []byte) *Secrets {
	var all any
	if len(params) > maxJoinSecrets || json.Unmarshal(params, &all) != nil {
		return s
	}
	with := &Secrets{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if len(v) >= partSecret {
				with.Add(v)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(all)
	if s != nil {
		with.shown = s.shown
		with.addThose(s.values)
	}
	return with
}

// addClient adds the cookies of an HTTP client, and what its proxy is told.
func (s *Secrets) addClient(c *http.Client, endpoint *url.URL) {
	u := *endpoint
	u.Scheme = HTTPScheme(u.Scheme)
	if c.Jar != nil {
		for _, cookie := range c.Jar.Cookies(&u) {
			s.Add(cookie.Value)
		}
	}
	tr, ok := c.Transport.(*http.Transport)
	if !ok || tr == nil {
		return
	}
	for _, values := range tr.ProxyConnectHeader {
		for _, v := range values {
			s.AddHeader(v)
		}
	}
}

// With returns s with more values, for which there is room in any case.
func (s *Secrets) With(values ...string) *Secrets {
	if s == nil {
		return nil
	}
	all := &Secrets{shown: s.shown}
	all.Add(values...)
	all.addThose(s.values)
	return all
}

// WithUser does the same with the name and the password of a URL.
func (s *Secrets) WithUser(u *url.Userinfo) *Secrets {
	more := &Secrets{}
	more.AddUser(u)
	values := make([]string, len(more.values))
	for i, v := range more.values {
		values[i] = v.value
	}
	return s.With(values...)
}

// addThose adds values of another Secrets, with the forms that are made already.
func (s *Secrets) addThose(values []*secret) {
	for _, v := range values {
		if len(s.values) < maxSecrets && !s.has(v.value) {
			s.values = append(s.values, v)
		}
	}
}

// AddsTo reports whether s knows something that earlier does not.
func (s *Secrets) AddsTo(earlier *Secrets) bool { return len(s.values) > 0 && !earlier.hasAll(s) }

// Since returns s with what earlier attempts told the server, who may remember.
func (s *Secrets) Since(earlier *Secrets) *Secrets {
	all := &Secrets{shown: s.shown, values: slices.Clone(s.values)}
	if earlier == nil {
		return all
	}
	most := min(len(all.values)+maxEarlier, maxSecrets)
	for _, v := range earlier.values {
		if len(all.values) < most && !all.has(v.value) {
			all.values = append(all.values, v)
		}
	}
	return all
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
