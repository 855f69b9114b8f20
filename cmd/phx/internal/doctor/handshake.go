package doctor

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A variation is what is different in a handshake.
type variation struct {
	vsn       string // "" is that of the Config
	origin    *string
	noToken   bool
	noParams  bool
	deflate   bool
	path      string // "" is that of the URL
	longPoll  bool
	noUpgrade bool
}

// httpURL returns the URL of a handshake, as an HTTP client wants it.
func (d *doctor) httpURL(v variation) *url.URL {
	u := *d.URL
	u.Scheme = map[bool]string{true: "https", false: "http"}[d.secure()]
	if v.path != "" {
		u.Path, u.RawPath = v.path, ""
	}
	suffix := "/websocket"
	if v.longPoll {
		suffix = "/longpoll"
	}
	path := strings.TrimRight(u.Path, "/")
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/websocket"), "/longpoll")
	u.Path = path + suffix
	query := u.Query()
	if v.noParams {
		query = url.Values{}
	} else {
		maps.Copy(query, d.Options.Params)
	}
	query.Set("vsn", d.Vsn)
	if v.vsn != "" {
		query.Set("vsn", v.vsn)
	}
	u.RawQuery = query.Encode()
	return &u
}

// shake makes a handshake and returns the response, without its body. A connection
// that was accepted is closed at once.
func (d *doctor) shake(ctx context.Context, v variation) (*http.Response, error) {
	ctx, cancel := d.within(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.httpURL(v).String(), nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, d.Options.Header)
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	if v.origin != nil {
		req.Header.Del("Origin")
		if *v.origin != "" {
			req.Header.Set("Origin", *v.origin)
		}
	}
	if !v.longPoll && !v.noUpgrade {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		req.Header.Set("Sec-WebSocket-Version", "13")
		req.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString([]byte("phx doctor asks.")))
		if d.token != "" && !v.noToken {
			req.Header.Set("Sec-WebSocket-Protocol", "phoenix, base64url.bearer.phx."+base64.RawStdEncoding.EncodeToString([]byte(d.token)))
		}
		if v.deflate {
			req.Header.Set("Sec-WebSocket-Extensions", websocketExtension)
		}
	}
	begin := time.Now()
	res, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close() // nothing of it is shown: it may repeat a secret
	d.readDate(res, begin)
	return res, nil
}

// readDate learns the server's clock from a response.
func (d *doctor) readDate(res *http.Response, begin time.Time) {
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil || d.dated {
		return
	}
	took := time.Since(begin)
	// The header has whole seconds: on the average half a second is missing.
	d.skew = date.Add(500 * time.Millisecond).Sub(begin.Add(took / 2))
	d.dated = true
}
