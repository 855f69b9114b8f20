package phoenixtest_test

import (
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix/phoenixtest"
)

func TestMountedTransports(t *testing.T) {
	for transports, want := range map[phoenixtest.Transports][2]int{
		phoenixtest.BothTransports: {101, 410}, phoenixtest.WebSocketOnly: {101, 404}, phoenixtest.LongPollOnly: {404, 410},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := phoenixtest.NewServer(t, &phoenixtest.Options{Transports: transports})
			checkDial(t, s, "/socket/websocket?vsn=2.0.0", want[0])
			(&poller{t: t, s: s, query: "vsn=2.0.0"}).get().want(t, want[1], 0)
		})
	}
	for _, opts := range []phoenixtest.Options{{Transports: 3}, {Transports: -1}, {LongPollWindow: -1}} {
		if _, err := phoenixtest.Start(&opts); err == nil {
			t.Errorf("started with %+v", opts)
		}
	}
}
