package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/phxgo/phoenix"
)

// A draft is an event that is not in the feed yet. The key is its author's: a
// draft whose key the server knows is in the feed already, and is not added again.
type draft struct {
	Key  string `json:"key"`
	Text string `json:"text"`
}

// publish adds an event to the feed. Once it returns without an error the event is
// in the feed once, whatever has happened to the connection meanwhile.
//
// A push whose outcome is hidden is made again, with the same key. It waits for the
// channel to be joined again, so that this is no busy loop. That has an end: an
// event that crashes its channel would do so for ever. With errGaveUp, and when ctx
// ends, the outcome may be unknown; d can be published again at any time.
func publish(ctx context.Context, channel *phoenix.Channel, d draft) (event, error) {
	crashes := 0
	for pushes := 1; ; pushes++ {
		e, err := phoenix.PushFor[event](ctx, channel, "publish", d)
		var lost *phoenix.PushError
		if !errors.As(err, &lost) || !lost.Sent || ctx.Err() != nil {
			return e, err
		}
		if crashed(err) {
			crashes++
		}
		if crashes == maxCrashes || pushes == maxPushes {
			return event{}, fmt.Errorf("%w after %d pushes, of which %d ended with a crash: %w", errGaveUp, pushes, crashes, err)
		}
	}
}

const (
	// maxCrashes is how many crashes prove it. One may be the doing of another push.
	maxCrashes = 3
	// maxPushes bounds the others: outages, and replies that do not come. Not every
	// crash can be told from an outage.
	maxPushes = 10
)

var errGaveUp = errors.New("given up")

// crashed reports whether the server failed while the push was under way, and not
// the network: the channel has crashed, or the connection on the server.
func crashed(err error) bool {
	var closed *phoenix.CloseError
	var polled *phoenix.PollError
	switch {
	case errors.As(err, &closed):
		return closed.Code == 1011 // Phoenix could not decode the push, or encode the reply
	case errors.As(err, &polled):
		// The same over long poll.
		return polled.StatusCode == http.StatusRequestTimeout || polled.StatusCode == http.StatusInternalServerError
	}
	return errors.Is(err, phoenix.ErrChannelCrashed)
}
