package main

import (
	"embed"
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
)

//go:embed web
var web embed.FS

// outageTime is long enough to see what happens, and to type something.
const outageTime = 3 * time.Second

// A backend is the Phoenix server that the page and the bot talk to.
type backend struct {
	url  string // of its socket
	opts *phoenix.SocketOptions
	cut  func(d time.Duration) // nil if the server is somebody else's
}

// newSite serves the page, its button, and under the same address the Phoenix
// server, so that the page works wherever it is reached from. A server that cannot
// be cut off has no button.
func newSite(b backend, outage time.Duration) (http.Handler, error) {
	proxy, err := phoenixProxy(b)
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // the directory is embedded
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(files))
	mux.HandleFunc("POST /cut", func(w http.ResponseWriter, _ *http.Request) {
		if b.cut == nil {
			http.Error(w, "the plug of a server of somebody else's is out of reach", http.StatusNotImplemented)
			return
		}
		b.cut(outage)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]int64{"back_in_ms": outage.Milliseconds()}) //nolint:errcheck,errchkjson,gosec // the page does not wait for it
	})
	mux.Handle("/socket/", proxy)
	// Pages of others must not press the button, and this one loads nothing of theirs.
	protected := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		w.Header().Set("Cache-Control", "no-cache")
		protected.ServeHTTP(w, req)
	}), nil
}

// phoenixProxy hands what comes below /socket on to the socket of the server.
func phoenixProxy(b backend) (http.Handler, error) {
	target, err := url.Parse(b.url)
	if err != nil {
		return nil, err
	}
	target.Scheme = strings.Replace(target.Scheme, "ws", "http", 1)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = target.Scheme, target.Host, ""
			p.Out.URL.Path = target.Path + strings.TrimPrefix(p.In.URL.Path, "/socket")
			p.Out.URL.RawPath = ""
			// The page is not of the server's host, which would refuse it for that.
			p.Out.Header.Del("Origin")
		},
		// That the server is away now and then is the point.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	if b.opts.HTTPClient != nil {
		proxy.Transport = b.opts.HTTPClient.Transport
	}
	return proxy, nil
}
