package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/phxgo/phoenix"
)

// A connection is what the flags of a command, and its context, say about where and
// how to connect.
type connection struct {
	app *app
	// hooks are those of the command, in addition to --trace. May be nil.
	hooks *phoenix.Trace
	flags *pflag.FlagSet

	url          string
	context      string
	params       []string
	headers      []string
	authToken    string
	authTokenEnv string
	authTokenCmd string
	origin       string
	vsn          string
	transport    string
	insecure     bool
	ca           string
	timeout      time.Duration
	trace        bool
	json         bool
}

// The transports that --transport knows.
const (
	transportWebSocket = "websocket"
	transportLongPoll  = "longpoll"
	transportFallback  = "fallback"
)

// defaultTimeout is that of a socket.
const defaultTimeout = 10 * time.Second

// newConnection adds the flags about connecting to a command.
func newConnection(a *app, cmd *cobra.Command) *connection {
	c := &connection{app: a}
	jsonFlag(cmd.Flags(), &c.json)
	f := cmd.Flags()
	c.flags = f
	before := names(f)
	defer func() { mark(f, before) }()
	c.endpointFlags(f)
	f.StringVar(&c.context, "context", "", "`NAME` of a context to use; see phx context")
	f.DurationVar(&c.timeout, "timeout", defaultTimeout, "how long to wait: to connect, to join, and for a reply")
	f.BoolVar(&c.trace, "trace", false, "show the frames on standard error, secrets masked")
	return c
}

// jsonFlag adds --json to a command that prints data.
func jsonFlag(f *pflag.FlagSet, on *bool) {
	f.BoolVar(on, "json", false, "print JSON, a line each")
}

// endpointFlags adds the flags that a context can keep.
func (c *connection) endpointFlags(f *pflag.FlagSet) {
	f.StringVar(&c.url, "url", "", "`URL` of the socket, such as ws://localhost:4000/socket")
	f.StringArrayVar(&c.params, "param", nil, "param of the connection, `NAME=VALUE`; may be repeated")
	f.StringArrayVar(&c.headers, "header", nil, "HTTP header, `'NAME: VALUE'`; may be repeated")
	f.StringVar(&c.authToken, "auth-token", "", "auth `TOKEN` (Phoenix 1.8); others on this machine can see it, so better use one of the next two")
	f.StringVar(&c.authTokenEnv, "auth-token-env", "", "environment `VARIABLE` with the auth token")
	f.StringVar(&c.authTokenCmd, "auth-token-cmd", "", "shell `COMMAND` that prints the auth token; it runs before each attempt to connect")
	f.StringVar(&c.origin, "origin", "", "Origin header, `https://HOST`")
	f.StringVar(&c.vsn, "vsn", "", "`VERSION` of the protocol: 2.0.0 or 1.0.0 (default 2.0.0)")
	f.StringVar(&c.transport, "transport", "", "`TRANSPORT`: websocket, longpoll or fallback (default websocket)")
	f.BoolVar(&c.insecure, "insecure", false, "do not verify the server's certificate")
	f.StringVar(&c.ca, "ca", "", "`FILE` with certificates, in PEM, to trust beside those of the system")
}

// check looks at what can be wrong with the flags.
func (c *connection) check() error {
	sources := 0
	for _, source := range []string{c.authToken, c.authTokenEnv, c.authTokenCmd} {
		if source != "" {
			sources++
		}
	}
	switch {
	case c.url == "" && c.flags != nil && c.flags.Changed("url"):
		return usage("--url is empty")
	case sources > 1:
		return usage("use only one of --auth-token, --auth-token-env and --auth-token-cmd")
	case c.vsn != "" && c.vsn != "1.0.0" && c.vsn != "2.0.0":
		return usage("--vsn is 2.0.0 or 1.0.0")
	case c.transport != "" && c.transport != transportWebSocket && c.transport != transportLongPoll && c.transport != transportFallback:
		return usage("--transport is websocket, longpoll or fallback")
	case c.timeout <= 0:
		return usage("--timeout must be positive, such as 10s")
	case c.insecure && c.ca != "":
		return usage("--insecure and --ca contradict each other")
	}
	_, err := pairs(c.params)
	if err == nil {
		_, err = headerLines(c.headers)
	}
	return err
}

// A pair is a name and a value.
type pair struct{ name, value string }

// pairs parses NAME=VALUE. The error has no value: it may be a secret.
func pairs(texts []string) ([]pair, error) {
	var all []pair
	for i, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usage(fmt.Sprintf("--param number %d is not of the form NAME=VALUE", i+1))
		}
		all = append(all, pair{name, value})
	}
	return all, nil
}

// headerLines parses 'NAME: VALUE'.
func headerLines(texts []string) (http.Header, error) {
	header := http.Header{}
	for i, text := range texts {
		name, value, ok := strings.Cut(text, ":")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return nil, usage(fmt.Sprintf("--header number %d is not of the form 'NAME: VALUE'", i+1))
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return header, nil
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s has no argument %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// between says how many arguments a command takes, and what they are. A negative most
// is no limit.
func between(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return errors.New("the arguments are: " + what)
		}
		return nil
	}
}
