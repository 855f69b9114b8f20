package conformance

import (
	"encoding/json"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

const assignTrack = "track"

// trackIn tracks the key that a join asks for, after the join.
func trackIn(c *process, p payload) {
	var m map[string]any
	if p.IsBinary() || p.Decode(&m) != nil {
		return
	}
	v, ok := m["track"]
	if !ok {
		return
	}
	c.Send(func(c *process) {
		key := keyOf(v)
		c.Assign(assignTrack, key)
		if err := c.Track(key, map[string]any{"online_at": time.Now().Unix(), "state": "new"}); err != nil {
			panic(err)
		}
		c.PresenceState()
	})
}

// keyOf is to_string/1 of a value that came as JSON.
func keyOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool, float64:
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(text)
	default:
		panic("the key of a presence is a list or a map")
	}
}

func presences() phoenixtest.Events {
	return phoenixtest.Events{
		"update": func(c *process, p payload) reply {
			key, ok := c.Get(assignTrack).(string)
			if !ok || c.Update(key, p) != nil {
				return phoenixtest.Crash()
			}
			return phoenixtest.OK(nil)
		},
		"untrack": func(c *process, _ payload) reply {
			key, ok := c.Get(assignTrack).(string)
			if !ok {
				return phoenixtest.Crash()
			}
			c.Untrack(key)
			return phoenixtest.OK(nil)
		},
	}
}
