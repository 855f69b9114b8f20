package main

import (
	"context"
	"errors"

	"github.com/phxgo/phoenix"
)

// A draft is an event that is not in the feed yet. The key is its author's: a
// draft whose key the server knows is in the feed already, and is not added again.
type draft struct {
	Key  string `json:"key"`
	Text string `json:"text"`
}

// publish adds an event to the feed. Whatever happens to the connection, once it
// returns without an error the event is in the feed once.
//
// A push whose outcome the outage has hidden is made again, with the same key. It
// waits for the channel to be joined again, so that this is no busy loop; what
// bounds it is ctx. If that ends, the outcome is unknown, and d can be published
// again at any time.
func publish(ctx context.Context, channel *phoenix.Channel, d draft) (event, error) {
	for {
		e, err := phoenix.PushFor[event](ctx, channel, "publish", d)
		var lost *phoenix.PushError
		if !errors.As(err, &lost) || !lost.Sent || ctx.Err() != nil {
			return e, err
		}
	}
}
