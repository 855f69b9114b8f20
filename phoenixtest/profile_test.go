package phoenixtest_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix/phoenixtest"
)

func TestProfileOfOddVsn(t *testing.T) {
	for release, want := range map[phoenixtest.Profile]int{
		phoenixtest.Phoenix1724: 500, phoenixtest.Phoenix189: 403, phoenixtest.Phoenix1812: 403,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := phoenixtest.NewServer(t, &phoenixtest.Options{Profile: release})
			checkDial(t, s, "/socket/websocket?vsn[]=2.0.0", want)
		})
	}
}

func TestProfileOfAuthToken(t *testing.T) {
	for release, want := range map[phoenixtest.Profile]string{
		phoenixtest.Phoenix1724: "", phoenixtest.Phoenix189: "token",
	} {
		synctest.Test(t, func(t *testing.T) {
			var got string
			s := phoenixtest.NewServer(t, &phoenixtest.Options{
				Profile: release, AuthToken: true,
				Connect: func(info *phoenixtest.ConnectInfo) error { got = info.AuthToken; return nil },
			})
			checkDial(t, s, "/socket/websocket?vsn=2.0.0", 101, "phoenix", "base64url.bearer.phx.dG9rZW4")
			if got != want {
				t.Errorf("%s: token %q, want %q", release, got, want)
			}
		})
	}
}

func TestUnknownProfile(t *testing.T) {
	_, err := phoenixtest.Start(&phoenixtest.Options{Profile: "1.5.0"})
	if err == nil || !strings.Contains(err.Error(), "Options.Profile") {
		t.Errorf("got %v", err)
	}
}

// A channel that was joined with a null join_ref takes any join_ref before
// 1.8.12, and only null from then on.
func TestProfileOfNullJoins(t *testing.T) {
	for release, want := range map[phoenixtest.Profile]int{
		phoenixtest.Phoenix1724: 2, phoenixtest.Phoenix189: 2, phoenixtest.Phoenix1812: 1,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := phoenixtest.NewServer(t, &phoenixtest.Options{Profile: release})
			s.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{"echo": echo}})
			c := open(t, s)
			c.send(t, `[null,"1","room:a","phx_join",{}]`)
			c.wait(1)
			c.send(t, `["9","2","room:a","echo",{}]`)
			synctest.Wait()
			if got := c.wait(0); len(got) != want {
				t.Errorf("%s: got %q", release, got)
			}
		})
	}
}
