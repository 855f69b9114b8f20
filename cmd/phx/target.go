package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/cmd/phx/internal/demo"
	"github.com/phxgo/phoenix/cmd/phx/internal/mask"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/transport"
)

// A target is a server to connect to, and how.
type target struct {
	url     string
	options *phoenix.SocketOptions
	used    *atomic.Value       // the name of the transport that dialed last
	demo    *phoenixtest.Server // nil if the server is somewhere else
}

// close ends the demo server, if there is one.
func (t *target) close() {
	if t.demo != nil {
		_ = t.demo.Close() // the process ends anyway
	}
}

// target says what to connect to: --url, or the context, or else a demo server that
// it starts. The caller must close the target.
func (c *connection) target() (*target, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := c.useContext(); err != nil {
		return nil, err
	}
	t := &target{url: c.url, used: &atomic.Value{}}
	var err error
	if t.options, err = c.socketOptions(t.used); err != nil {
		return nil, err
	}
	if t.url == "" {
		if t.demo, err = demo.Start(""); err != nil {
			return nil, fmt.Errorf("cannot start the demo server: %w", err)
		}
		t.url = t.demo.URL()
		c.app.err.Printf("phx: no --url and no context: using a demo server in this process, %s\n", t.url)
	}
	return t, nil
}

// transport returns the name of the transport that is in use.
func (t *target) transport() string {
	name, _ := t.used.Load().(string)
	return name
}

// socketOptions makes the options of a socket, and tells the app the secrets among
// them. The transport keeps in used which one it is.
func (c *connection) socketOptions(used *atomic.Value) (*phoenix.SocketOptions, error) {
	secrets := &c.app.secrets
	params, err := pairs(c.params)
	if err != nil {
		return nil, err
	}
	header, err := headerLines(c.headers)
	if err != nil {
		return nil, err
	}
	client, err := c.httpClient()
	if err != nil {
		return nil, err
	}
	if c.origin != "" {
		header.Set("Origin", c.origin)
	}
	opts := &phoenix.SocketOptions{
		Params:     url.Values{},
		Header:     header,
		HTTPClient: client,
		Timeout:    c.timeout,
		Transport:  newTransport(c.transport, used),
	}
	for _, p := range params {
		opts.Params.Add(p.name, p.value)
		if mask.IsSecret(p.name) {
			secrets.Add(p.value)
		}
	}
	c.addURLSecrets()
	for name, values := range header {
		for _, value := range values {
			if mask.IsSecret(name) {
				secrets.Add(value)
			}
		}
	}
	if c.vsn == "1.0.0" {
		opts.Serializer = phoenix.V1()
	}
	if source := c.tokenSource(); source != nil {
		opts.AuthToken = func(ctx context.Context) (string, error) {
			token, err := source(ctx)
			secrets.Add(token)
			return token, err
		}
	}
	if c.trace {
		opts.Trace = newTrace(c.app.err, secrets)
	}
	opts.Trace = phoenix.MultiTrace(opts.Trace, c.hooks)
	retryOnceOpen(opts)
	return opts, nil
}

// addURLSecrets tells the app what is secret in the URL: the password, and params.
func (c *connection) addURLSecrets() {
	u, err := url.Parse(c.url)
	if err != nil {
		return // the socket refuses it
	}
	if password, ok := u.User.Password(); ok {
		c.app.secrets.Add(password)
	}
	for name, values := range u.Query() {
		for _, value := range values {
			if mask.IsSecret(name) {
				c.app.secrets.Add(value)
			}
		}
	}
}

// A namedTransport keeps its name when it has dialed.
type namedTransport struct {
	phoenix.Transport
	name string
	used *atomic.Value
}

func (t *namedTransport) Dial(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
	conn, err := t.Transport.Dial(ctx, req)
	if err == nil {
		t.used.Store(t.name)
	}
	return conn, err
}

// tryOptions returns what a socket says about the options.
func (c *connection) tryOptions() error {
	opts, err := c.socketOptions(&atomic.Value{})
	if err != nil {
		return err
	}
	_, err = phoenix.NewSocket(c.url, opts)
	return err
}

func newTransport(name string, used *atomic.Value) phoenix.Transport {
	webSocket := &namedTransport{phoenix.WebSocket(nil), transportWebSocket, used}
	longPoll := &namedTransport{phoenix.LongPoll(nil), transportLongPoll, used}
	switch name {
	case transportLongPoll:
		return longPoll
	case transportFallback:
		return phoenix.Fallback(webSocket, longPoll, nil)
	default:
		return webSocket
	}
}

// retryOnceOpen lets a first attempt to connect fail at once: somebody waits, and can
// call the command again. Later the socket reconnects.
func retryOnceOpen(opts *phoenix.SocketOptions) {
	var opened atomic.Bool
	opts.Trace = phoenix.MultiTrace(opts.Trace, &phoenix.Trace{
		ConnectDone: func(_ context.Context, info phoenix.ConnectDoneInfo) {
			if info.Err == nil {
				opened.Store(true)
			}
		},
	})
	opts.RetryIf = func(error) bool { return opened.Load() }
}

// httpClient returns a client with the proxy of the environment and the certificates
// that --ca and --insecure say.
func (c *connection) httpClient() (*http.Client, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: c.insecure, //nolint:gosec // the user has asked for it
	}
	if c.insecure {
		c.app.err.Printf("phx: --insecure: the server's certificate is not verified\n")
	}
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, usage("--ca: no certificate in PEM in " + c.ca)
		}
		config.RootCAs = roots
	}
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config}}, nil
}

// tokenSource returns the function that gets the auth token, nil if there is none.
func (c *connection) tokenSource() func(context.Context) (string, error) {
	switch {
	case c.authToken != "":
		return func(context.Context) (string, error) { return c.authToken, nil }
	case c.authTokenEnv != "":
		return func(context.Context) (string, error) {
			token := os.Getenv(c.authTokenEnv)
			if token == "" {
				return "", usage("the environment variable " + c.authTokenEnv + " is not set")
			}
			return token, nil
		}
	case c.authTokenCmd != "":
		return func(ctx context.Context) (string, error) { return runTokenCommand(ctx, c.authTokenCmd, c.app.err) }
	default:
		return nil
	}
}

// runTokenCommand runs a shell command and returns what it prints, without the white
// space around it. What it prints on standard error is for the user.
func runTokenCommand(ctx context.Context, command string, stderr *printer) (string, error) {
	shell, flag := "sh", "-c"
	if runtime.GOOS == "windows" {
		shell, flag = "cmd", "/C"
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, shell, flag, command) //nolint:gosec // the user's own command
	cmd.Stdout = &out
	cmd.Stderr = stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("the command for the auth token failed: %w", err)
	}
	token := strings.TrimSpace(out.String())
	if token == "" {
		return "", errors.New("the command for the auth token printed nothing")
	}
	return token, nil
}
