package main

import (
	"context"
	"encoding/base64"
	"errors"
	"iter"
	"time"

	"github.com/phxgo/phoenix"
)

// watchFrames shows heartbeats and, while /raw says so, frames.
func (t *talk) watchFrames() *phoenix.Trace {
	show := func(arrow, color string, f phoenix.Frame) {
		if t.raw.Load() {
			t.app.err.Printf("%s\n", t.app.err.paint(color, arrow+" "+frameText(f, &t.app.secrets)))
		}
	}
	return &phoenix.Trace{
		FrameOut: func(f phoenix.Frame) { show("->", cyan, f) },
		FrameIn:  func(f phoenix.Frame) { show("<-", green, f) },
		Heartbeat: func(rtt time.Duration) {
			if !t.conn.trace { // which shows it, too
				t.note(dim, "heartbeat answered in %v", round(rtt))
			}
		},
	}
}

// showMessages shows what comes, and returns why no more will.
func (t *talk) showMessages(messages iter.Seq2[*phoenix.Message, error]) error {
	for m, err := range messages {
		var gap *phoenix.GapError
		var dropped *phoenix.DroppedError
		switch {
		case err == nil:
			t.showMessage(m)
		case errors.As(err, &gap):
			t.note(yellow, "messages may be missing here")
		case errors.As(err, &dropped):
			t.note(yellow, "%d messages dropped here: they came too fast", dropped.N)
		default:
			return err
		}
	}
	return nil
}

// A talkJSON is a line of phx join --json.
type talkJSON struct {
	lineJSON
	Status string  `json:"status,omitempty"` // of a reply
	Ms     float64 `json:"ms,omitempty"`     // the time until a reply
}

func (t *talk) line(event string, payload phoenix.Payload) talkJSON {
	line := talkJSON{lineJSON: lineJSON{Time: time.Now().UTC(), Topic: t.channel.Topic(), Event: event}}
	if payload.IsBinary() {
		line.Binary = base64.StdEncoding.EncodeToString(payload.Bytes())
	} else {
		line.Payload = oneLine(payload)
	}
	return line
}

func (t *talk) showMessage(m *phoenix.Message) {
	out := t.app.out
	if t.conn.json {
		_ = out.JSON(t.line(m.Event, m.Payload)) // failed keeps the error
		return
	}
	out.Printf("%s %s\n", out.paint(cyan, clean(m.Event)), payloadText(m.Payload))
}

func (t *talk) showReply(event string, reply *phoenix.Reply, took time.Duration) {
	out := t.app.out
	if t.conn.json {
		line := t.line(event, reply.Response)
		line.Status, line.Ms = reply.Status, ms(took)
		_ = out.JSON(line) // failed keeps the error
		return
	}
	color := green
	if reply.Status != "ok" {
		color = red
	}
	out.Printf("%s %s %s\n", out.paint(dim, "reply to "+clean(event)+":"), out.paint(color, clean(reply.Status)), payloadText(reply.Response))
}

// showStates shows how the connection fares, after the first state.
func (t *talk) showStates(states iter.Seq[phoenix.SocketEvent]) {
	lost := false
	for e := range states {
		switch {
		case e.State == phoenix.SocketWaiting:
			lost = true
			wait := max(time.Until(e.RetryAt), 0)
			t.note(red, "%s; the next attempt to connect in %v", describe(e.Err), wait.Round(time.Millisecond))
		case e.State == phoenix.SocketOpen && lost:
			lost = false
			t.note(green, "connected again")
		}
	}
}

// showEvents shows how the channel fares.
func (t *talk) showEvents(events iter.Seq[phoenix.ChannelEvent]) {
	for e := range events {
		switch {
		case e.State == phoenix.ChannelJoined && e.Rejoin && e.Reply != nil:
			t.note(green, "rejoined %s: %s", clean(t.channel.Topic()), payloadText(e.Reply.Response))
		case e.State == phoenix.ChannelErrored && !errors.Is(e.Err, phoenix.ErrConnectionLost):
			t.note(red, "%s; the channel will rejoin", describe(e.Err))
		}
	}
}

// showPresence shows who is present. The state may still be on its way.
func (t *talk) showPresence(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = t.presence.WaitSynced(ctx) // the status tells
	list := t.presence.Snapshot()
	if list.Status() == phoenix.PresenceAwaiting {
		t.note(yellow, "no presences: the server has sent no presence_state")
		return
	}
	t.note(dim, "%d present, %v", list.Len(), list.Status())
	for entry := range list.All() {
		t.app.out.Printf("%s\n", presenceLine(t.app.out, entry))
	}
}
