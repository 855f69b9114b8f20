package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/cmd/phx/internal/mask"
)

// newTrace shows the frames, and how the connection fares. What stands behind an
// arrow goes to the server (->) or comes from it (<-).
func newTrace(w *printer, secrets *mask.Masker) *phoenix.Trace {
	show := func(arrow, color string, f phoenix.Frame) {
		w.Printf("%s\n", w.paint(color, arrow+" "+frameText(f, secrets)))
	}
	return &phoenix.Trace{
		ConnectStart: func(ctx context.Context, info phoenix.ConnectStartInfo) context.Context {
			w.Printf("%s\n", w.paint(dim, "-- connecting to "+info.Endpoint))
			return ctx
		},
		ConnectDone: func(_ context.Context, info phoenix.ConnectDoneInfo) {
			if info.Err != nil {
				w.Printf("%s\n", w.paint(red, "-- "+describe(info.Err)))
				return
			}
			w.Printf("%s\n", w.paint(dim, "-- connected"))
		},
		Disconnected: func(err error) {
			color := red
			if errors.Is(err, phoenix.ErrClosed) {
				color = dim // by us
			}
			w.Printf("%s\n", w.paint(color, "-- "+describe(err)))
		},
		Heartbeat: func(rtt time.Duration) {
			w.Printf("%s\n", w.paint(dim, "-- heartbeat answered in "+round(rtt).String()))
		},
		FrameOut: func(f phoenix.Frame) { show("->", cyan, f) },
		FrameIn:  func(f phoenix.Frame) { show("<-", green, f) },
	}
}

// mostShown is how many bytes of a frame are shown.
const mostShown = 4096

func frameText(f phoenix.Frame, secrets *mask.Masker) string {
	if f.Binary {
		// The kind, the sizes and the names of a binary frame are readable enough.
		text := fmt.Sprintf("binary, %d bytes: %q", len(f.Data), f.Data[:min(len(f.Data), 64)])
		return secrets.MaskText(text)
	}
	text := clean(secrets.Mask(f.Data))
	if len(text) > mostShown {
		text = strings.ToValidUTF8(text[:mostShown], "") + fmt.Sprintf("… (%d bytes)", len(f.Data))
	}
	return text
}

// round shortens a duration to what a person reads.
func round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond)
	default:
		return d.Round(time.Microsecond)
	}
}
