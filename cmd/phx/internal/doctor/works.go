package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/transport"
)

func (d *doctor) checkLongPoll(ctx context.Context) bool {
	socket, err := d.socket(ctx, useTransport(phoenix.LongPoll(nil)))
	var refused *phoenix.HandshakeError
	switch {
	case err == nil:
		_ = socket.Close() // always nil
		d.works = d.works || !d.WebSocket
		d.ok("longpoll", "the server answers long polls")
	case !d.WebSocket:
		d.explainLongPoll(ctx, err)
	case errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound:
		d.note("longpoll", NoLongPoll, "no long poll is mounted", "Set longpoll: true where the socket is mounted, if some of your users are behind proxies that let no WebSocket pass.")
	case d.works:
		d.warn("longpoll", LongPollFailed, fmt.Sprintf("the long poll failed, though the WebSocket works: %s", reason(err)), "Look at proxies on the way, or unmount it.")
	default:
		d.note("longpoll", LongPollFailed, fmt.Sprintf("the long poll failed, too: %s", reason(err)), "")
	}
	return true
}

// explainLongPoll says why there is no long poll, if that is all there is to examine.
func (d *doctor) explainLongPoll(ctx context.Context, err error) {
	var refused *phoenix.HandshakeError
	switch {
	case !errors.As(err, &refused):
		d.fail("longpoll", LongPollFailed, fmt.Sprintf("the long poll failed: %s", reason(err)), "Read the reason; look at the server, and at proxies on the way.")
	case refused.Proxy != "":
		d.failProxy(refused.StatusCode)
	case refused.StatusCode == http.StatusOK:
		d.fail("longpoll", NoPhoenix, "HTTP status 200: no Phoenix socket answers here", "Use the path of the socket line in endpoint.ex, such as /socket.")
	default:
		d.explainStatus(ctx, refused.StatusCode, refused.Header.Get("Server"))
	}
}

// polls reports whether a long poll with a difference is accepted. The status is in
// the body, so that a handshake by hand does not tell.
func (d *doctor) polls(ctx context.Context, v variation) bool {
	varied := *d
	if v.noToken {
		varied.token = ""
	}
	if v.noParams {
		u := *d.URL
		u.RawQuery = ""
		varied.URL = &u
	}
	socket, err := varied.socket(ctx, func(opts *phoenix.SocketOptions) {
		opts.Transport = phoenix.LongPoll(nil)
		if v.noParams {
			opts.Params = nil
		}
		if v.origin != nil {
			opts.Header = opts.Header.Clone()
			if opts.Header == nil {
				opts.Header = http.Header{}
			}
			opts.Header.Del("Origin")
			if *v.origin != "" {
				opts.Header.Set("Origin", *v.origin)
			}
		}
		switch v.vsn {
		case "1.0.0":
			opts.Serializer = phoenix.V1()
		case "2.0.0":
			opts.Serializer = phoenix.V2()
		}
	})
	if err != nil {
		return false
	}
	_ = socket.Close() // always nil
	return true
}

// mostSkew is how far clocks may differ without a warning.
const mostSkew = 10 * time.Second

func (d *doctor) checkClock(ctx context.Context) bool {
	if !d.dated {
		if _, err := d.shake(ctx, variation{longPoll: d.LongPoll, noUpgrade: true}); err != nil || !d.dated {
			d.note("clock", "", "no response says what time it is there", "")
			return true
		}
	}
	direction := "ahead"
	if d.skew < 0 {
		direction = "behind"
	}
	off := d.skew.Abs().Round(time.Second)
	if off < mostSkew {
		d.ok("clock", "the server's clock agrees with this one")
		return true
	}
	d.warn("clock", ClockSkew, fmt.Sprintf("the server's clock is %v %s of this one", off, direction), "Set the clocks (NTP). A token may seem expired, or signed in the future.")
	return true
}

// slow is the round trip from which a heartbeat is worth a warning.
const slow = time.Second

// checkHeartbeat measures round trips. Without a transport that works, what follows
// makes no sense.
func (d *doctor) checkHeartbeat(ctx context.Context) bool {
	if !d.works {
		return false
	}
	socket, err := d.socket(ctx, useTransport(d.transport()))
	if err != nil {
		d.fail("heartbeat", HeartbeatFailed, fmt.Sprintf("a second connection failed: %s", reason(err)), "Look at limits of the server and of proxies.")
		return false
	}
	defer socket.Close() //nolint:errcheck // always nil
	var longest time.Duration
	for range 3 {
		pingCtx, cancel := d.within(ctx)
		rtt, err := socket.Ping(pingCtx)
		cancel()
		if err != nil {
			d.fail("heartbeat", HeartbeatFailed, fmt.Sprintf("a heartbeat got no reply: %s", reason(err)), "Look at the network, and at the load of the server.")
			return false
		}
		longest = max(longest, rtt)
	}
	if longest >= slow {
		d.warn("heartbeat", SlowHeartbeat, fmt.Sprintf("a heartbeat took %v", longest.Round(time.Millisecond)), "Look at the network, and at the load of the server.")
		return true
	}
	d.ok("heartbeat", fmt.Sprintf("the slowest of three took %v", longest.Round(time.Microsecond)))
	return true
}

// checkDeflate offers compression, and uses it if the server accepts.
func (d *doctor) checkDeflate(ctx context.Context) bool {
	res, err := d.shake(ctx, variation{deflate: true})
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		d.warn("deflate", DeflateBroken, "the server does not accept a WebSocket that offers permessage-deflate", "Look at proxies on the way, and leave compression off.")
		return true
	}
	if res.Header.Get("Sec-WebSocket-Extensions") == "" {
		d.note("deflate", "", "the server does not compress", "Set websocket: [compress: true] on the server, and WebSocketOptions.Compression, if messages are large.")
		return true
	}
	socket, err := d.socket(ctx, useTransport(phoenix.WebSocket(&phoenix.WebSocketOptions{Compression: transport.CompressionContextTakeover})))
	if err != nil {
		d.warn("deflate", DeflateBroken, fmt.Sprintf("a compressed connection fails, and a plain one works: %s", reason(err)), "Look at proxies on the way, and leave compression off.")
		return true
	}
	_ = socket.Close() // always nil
	d.ok("deflate", "the server compresses for clients that ask for it")
	return true
}

func (d *doctor) checkJoin(ctx context.Context) bool {
	if d.Topic == "" {
		return true
	}
	socket, err := d.socket(ctx, useTransport(d.transport()))
	if err != nil {
		d.fail("join", JoinFailed, fmt.Sprintf("the connection for the join failed: %s", reason(err)), "Look at limits of the server and of proxies.")
		return true
	}
	defer socket.Close() //nolint:errcheck // always nil
	opts := &phoenix.ChannelOptions{RejoinBackoff: phoenix.Steps()}
	if d.JoinParams != nil {
		opts.Params = d.JoinParams
	}
	channel, err := socket.Channel(d.Topic, opts)
	if err != nil {
		d.fail("join", JoinFailed, fmt.Sprintf("the topic cannot be joined: %s", reason(err)), "Use a topic of the application, such as room:lobby.")
		return true
	}
	begin := time.Now()
	_, err = channel.Join(ctx)
	var reply *phoenix.ReplyError
	switch {
	case err == nil:
		d.ok("join", fmt.Sprintf("joined %s in %v", d.Topic, time.Since(begin).Round(10*time.Microsecond)))
		leave, cancel := d.within(ctx)
		defer cancel()
		_ = channel.Leave(leave) // the connection is closed next
	case errors.As(err, &reply) && reply.Reason() == "unmatched topic":
		d.fail("join", TopicUnmatched, "the socket has no channel for the topic "+d.Topic, `Add a line such as channel "room:*", MyAppWeb.RoomChannel to the socket's module.`)
	case errors.As(err, &reply):
		d.fail("join", JoinRefused, fmt.Sprintf("the server refuses the join: %s", reason(err)), "Check --join, and what join/3 wants. If the reason is \"join crashed\", read the server's log.")
	case errors.Is(err, phoenix.ErrTimeout):
		d.fail("join", JoinTimedOut, fmt.Sprintf("no reply to the join within %v", d.Timeout), "Do less in join/3: send(self(), :after_join).")
	default:
		d.fail("join", JoinFailed, fmt.Sprintf("the join failed: %s", reason(err)), "Read the server's log.")
	}
	return true
}

// checkSoak looks for an idle timeout: it opens a connection, sends nothing, and sees
// when that ends. If one with heartbeats ends as early, it is not the silence.
func (d *doctor) checkSoak(ctx context.Context) bool {
	if d.Soak <= 0 {
		return true
	}
	lived, err := d.live(ctx, -1, d.Soak)
	var closed *phoenix.CloseError
	switch {
	case ctx.Err() != nil:
		return false
	case err == nil:
		d.ok("soak", fmt.Sprintf("a silent connection lives for more than %v", d.Soak))
		return true
	case errors.As(err, &closed) && (closed.Code == 1002 || closed.Code == 1000):
		d.note("soak", ServerIdle, fmt.Sprintf("the server ends a connection that is silent for %v", lived), "That is its own timeout. Keep the heartbeat interval (30 s by default) below it.")
		return true
	}
	// With three heartbeats in the time that the silence was allowed to last.
	if again, err := d.live(ctx, max(lived/3, time.Millisecond), 2*lived); err != nil && ctx.Err() == nil {
		d.warn("soak", LifetimeLimited, fmt.Sprintf("something on the way ends each connection after about %v, whatever is sent", max(lived, again)), "Look at the load balancer's limit on the life of a connection. Each end is an outage with a rejoin.")
		return true
	}
	d.warn("soak", IdleTimeout, fmt.Sprintf("something on the way ends a connection that is silent for %v", lived), fmt.Sprintf("Raise the idle timeout of the proxy (nginx: proxy_read_timeout), or set HeartbeatInterval below %v.", lived))
	return true
}

// live keeps a connection for a time, with heartbeats at an interval. If it ends
// earlier, live returns how long it has lived, and why it ended.
func (d *doctor) live(ctx context.Context, interval, atMost time.Duration) (time.Duration, error) {
	lost := make(chan error, 1)
	begin := time.Now()
	socket, err := d.socket(ctx, func(opts *phoenix.SocketOptions) {
		opts.Transport = phoenix.WebSocket(nil)
		opts.HeartbeatInterval = interval
		opts.Trace = &phoenix.Trace{Disconnected: func(err error) { lost <- err }}
	})
	if err != nil {
		return 0, err
	}
	defer socket.Close() //nolint:errcheck // always nil
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case err := <-lost:
		return time.Since(begin).Round(10 * time.Millisecond), err
	case <-timer.C:
		return 0, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
