package phoenix

import (
	"context"
	"testing"
)

func TestASocketForgetsChannelsThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	s := newTestSocket(t)
	for range 100 {
		c, err := s.Channel("room:1", nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		events := c.Events(ctx)
		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		sub := c.Subscribe(nil)
		cancel()
		for range events {
			continue
		}
		sub.Close()
	}
	s.lock()
	defer s.unlock()
	if n := len(s.strays); n != 0 {
		t.Errorf("%d channels are kept", n)
	}
}
