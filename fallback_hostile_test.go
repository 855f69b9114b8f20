package phoenix_test

import (
	"testing"
	"time"
)

func TestStatsOfAProbe(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.Delay(10*time.Millisecond, 10*time.Millisecond)
		plain, probed := h.connected(nil), h.withFallback(nil)
		if err := probed.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, got := plain.Stats(), probed.Stats()
		if got != want {
			t.Errorf("Stats = %+v\nwithout a fallback: %+v", got, want)
		}
	})
}
