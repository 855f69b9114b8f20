// Package doctor looks for what is wrong between here and a Phoenix server, step by
// step, and says what to do.
package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
)

// A Status says how a step has ended.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Note    Status = "note"    // worth to know, and no fault
	Warning Status = "warning" // it works, but not well
	Failed  Status = "failed"
)

// A Finding is what a step has found.
type Finding struct {
	Step   string `json:"step"`
	Status Status `json:"status"`
	// Cause names what is wrong, for programs: one of the constants of this package.
	Cause string `json:"cause,omitempty"`
	Text  string `json:"text"`
	// Do is what to do about it.
	Do string `json:"do,omitempty"`
}

// The causes.
const (
	BadURL           = "bad_url"
	PlainText        = "plain_text"
	BadProxy         = "bad_proxy"
	ProxyUsed        = "proxy_used"
	ProxyRefused     = "proxy_refused"
	NameUnknown      = "name_unknown"
	PortClosed       = "port_closed"
	PortSilent       = "port_silent"
	NotTLS           = "not_tls"
	NeedsTLS         = "needs_tls"
	CertUntrusted    = "certificate_untrusted"
	CertExpired      = "certificate_expired"
	CertExpires      = "certificate_expires_soon"
	CertOtherHost    = "certificate_for_another_host"
	TLSFailed        = "tls_failed"
	PathUnknown      = "path_unknown"
	NoWebSocket      = "websocket_not_mounted"
	UpgradeStripped  = "upgrade_stripped"
	UpgradeHangs     = "upgrade_hangs"
	FramesSwallowed  = "frames_swallowed"
	RefusedOrigin    = "refused_origin"
	RefusedToken     = "refused_token"
	RefusedVsn       = "refused_vsn"
	RefusedParams    = "refused_params"
	RefusedConnect   = "refused_by_connect"
	ConnectRaised    = "connect_raised"
	Unavailable      = "unavailable"
	Redirected       = "redirected"
	NoPhoenix        = "not_phoenix"
	NoHTTP           = "not_http"
	NoLongPoll       = "longpoll_not_mounted"
	LongPollFailed   = "longpoll_failed"
	AuthTokenLost    = "auth_token_lost" //nolint:gosec // no credential, but the name of a cause
	ClockSkew        = "clock_skew"
	SlowHeartbeat    = "slow_heartbeat"
	HeartbeatFailed  = "heartbeat_failed"
	DeflateBroken    = "deflate_broken"
	TopicUnmatched   = "topic_unmatched"
	JoinRefused      = "join_refused"
	JoinTimedOut     = "join_timed_out"
	JoinFailed       = "join_failed"
	IdleTimeout      = "idle_timeout_on_the_way"
	ServerIdle       = "idle_timeout_of_the_server"
	LifetimeLimited  = "lifetime_limited"
	TokenUnavailable = "token_unavailable" //nolint:gosec // the same
)

const (
	connectionRefused  = "connection refused"
	websocketExtension = "permessage-deflate"
)

// A Config says what to look at.
type Config struct {
	URL *url.URL
	// Options are those of a socket. They are copied for each attempt.
	Options *phoenix.SocketOptions
	TLS     *tls.Config
	Proxy   func(*http.Request) (*url.URL, error)
	Vsn     string
	// WebSocket and LongPoll say which transports to examine: at least one.
	WebSocket, LongPoll bool
	// Topic is joined, with JoinParams, if it is not "".
	Topic      string
	JoinParams json.RawMessage
	// Soak is how long to look for an idle timeout. 0 does not.
	Soak    time.Duration
	Timeout time.Duration
	// Clean takes secrets out of a text.
	Clean func(string) string
}

// A doctor is one examination.
type doctor struct {
	Config
	report func(Finding)
	client *http.Client
	token  string
	failed bool
	// works says whether the transport carries frames: the WebSocket, if that is examined.
	works bool
	// skew is how far the server's clock is ahead, if a response has said that.
	skew  time.Duration
	dated bool
}

// Run examines a server, and calls report with each finding. A step that makes no
// sense after what was found is left out.
func Run(ctx context.Context, cfg Config, report func(Finding)) {
	d := &doctor{Config: cfg, report: report}
	d.client = &http.Client{
		Transport: &http.Transport{
			Proxy: cfg.Proxy, OnProxyConnectResponse: checkConnect, TLSClientConfig: cfg.TLS, DisableKeepAlives: true,
		},
		// A redirect is a finding.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer d.client.CloseIdleConnections()
	for _, step := range []struct {
		wanted bool
		check  func(context.Context) bool
	}{
		{true, d.checkURL},
		{true, d.checkToken},
		{true, d.checkProxy},
		{true, d.checkName},
		{true, d.checkTLS},
		{cfg.WebSocket, d.checkWebSocket},
		{cfg.LongPoll, d.checkLongPoll},
		{true, d.checkClock},
		{true, d.checkHeartbeat},
		{cfg.WebSocket, d.checkDeflate},
		{true, d.checkJoin},
		{cfg.WebSocket, d.checkSoak},
	} {
		if !step.wanted {
			continue
		}
		if ctx.Err() != nil || !step.check(ctx) {
			return
		}
	}
}

// step is the step that says whether the server accepts connections.
func (d *doctor) step() string {
	if d.WebSocket {
		return "websocket"
	}
	return "longpoll"
}

// transport is what heartbeats and joins go over.
func (d *doctor) transport() phoenix.Transport {
	if d.WebSocket {
		return phoenix.WebSocket(nil)
	}
	return phoenix.LongPoll(nil)
}

func (d *doctor) ok(step, text string) {
	d.report(Finding{Step: step, Status: OK, Text: d.Clean(text)})
}

func (d *doctor) note(step, cause, text, do string) {
	d.report(Finding{Step: step, Status: Note, Cause: cause, Text: d.Clean(text), Do: do})
}

func (d *doctor) warn(step, cause, text, do string) {
	d.report(Finding{Step: step, Status: Warning, Cause: cause, Text: d.Clean(text), Do: do})
}

func (d *doctor) fail(step, cause, text, do string) {
	d.failed = true
	d.report(Finding{Step: step, Status: Failed, Cause: cause, Text: d.Clean(text), Do: do})
}

// reason returns the text of an error of the client within a sentence.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "phoenix: ") }

// within returns a ctx with the time that a step has.
func (d *doctor) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.Timeout)
}

// socket connects a socket with changed options. The caller must close it.
func (d *doctor) socket(ctx context.Context, change func(*phoenix.SocketOptions)) (*phoenix.Socket, error) {
	opts := *d.Options
	opts.AuthToken = func(context.Context) (string, error) { return d.token, nil }
	opts.RetryIf = func(error) bool { return false }
	opts.Timeout = d.Timeout
	if change != nil {
		change(&opts)
	}
	socket, err := phoenix.NewSocket(d.URL.String(), &opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := d.within(ctx)
	defer cancel()
	if err := socket.Connect(ctx); err != nil {
		_ = socket.Close() // always nil
		return nil, err
	}
	return socket, nil
}
