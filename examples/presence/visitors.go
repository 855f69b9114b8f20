package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// startVisitors has people come and go until ctx is done.
func startVisitors(ctx context.Context, cfg config, srv *server) *sync.WaitGroup {
	var visitors sync.WaitGroup
	for _, who := range []config{
		{name: "ann", device: "laptop"},
		{name: "ann", device: "phone"},
		{name: "bob", device: "laptop"},
		{name: "cleo", device: "tablet"},
	} {
		cfg := cfg
		cfg.name, cfg.device = who.name, who.device
		visitors.Go(func() {
			for pause(ctx, time.Second, 6*time.Second) {
				visit(ctx, cfg, srv)
			}
		})
	}
	return &visitors
}

// visit enters the room, is busy there for a while, and leaves. While the server is
// away it fails, and so would any visitor.
func visit(ctx context.Context, cfg config, srv *server) {
	c, err := newClient(cfg, srv.options())
	if err != nil || c.enter(ctx) != nil {
		return
	}
	for _, status := range []string{"reading", "writing", "on the phone", "making tea", "thinking"} {
		if !pause(ctx, 2*time.Second, 6*time.Second) {
			break
		}
		if rand.IntN(2) == 0 {
			c.setStatus(ctx, status) // it is seen, or it is not
		}
	}
	_ = c.leave(ctx) // gone in any case
}

// pause waits for some time between least and most, or until ctx is done, when it
// returns false.
func pause(ctx context.Context, least, most time.Duration) bool {
	timer := time.NewTimer(least + rand.N(most-least))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
